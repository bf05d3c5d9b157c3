/* observe_vfs.c - lab 7 shown to the grader: sparse arrays, cached pages, walks, a terminal.   (lab 7)
 *
 * Idea.       Each is driven at random from inside, in ways that programs cannot; reported is what was asked
 *             and what came back. What should is known to the judge (labs/07-files/test_files.py), which
 *             draws everything again from the same seed, in the same order: so where C does not say what is
 *             computed first, each draw is a statement of its own.
 * Interface.  OBSERVE (kern/boot/observe.h).
 */
#include "fs/vfs/mountcall.h"
#include "fs/vfs/names.h"
#include "fs/vfs/namei.h"
#include "fs/vfs/openops.h"
#include "fs/vfs/pagewrite.h"
#include "fs/vfs/radix.h"
#include "fs/vfs/tty.h"
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

/* ---- sparse arrays ---- */

enum { NWHERE = 48 };

/* Indexes at all distances; `far` bits at most. */
static void
places_draw(uint64_t *where, unsigned far)
{
	for (int i = 0; i < NWHERE; i++) {
		uint64_t edge = 1ul << observe_below(far);

		if (observe_below(3)) {
			where[i] = observe_random() & (edge - 1);
		} else {
			where[i] = edge - observe_below(2);
			where[i] += observe_below(2);
		}
	}
}

/* Pages that are only compared. */
static struct page tokens[2048];

static long
token_number(const struct page *p)
{
	return p ? p - tokens : -1;
}

static void
radix_step(void **root, uint64_t at, uint64_t k)
{
	uint64_t next = at;
	struct page *p;

	switch (observe_below(7)) {
	case 0: case 1: case 2:
		if (!radix_get(*root, at))
			observe("put %lu %lu: %d", at, k, radix_put(root, at, &tokens[k]));
		break;
	case 3: radix_del(root, at); observe("del %lu", at); break;
	case 4: observe("get %lu: %ld", at, token_number(radix_get(*root, at))); break;
	case 5:
		if (radix_get(*root, at)) {
			k &= 1;
			radix_mark(root, at, k);
			observe("mark %lu %lu", at, k);
		}
		break;
	case 6:
		k &= 1;
		p = k ? radix_next_dirty(*root, &next) : radix_next(*root, &next);
		observe("next %lu %lu: %ld at %lu", at, k, token_number(p), p ? next : 0);
		break;
	}
}

/* What is in it, and that nothing is left when it is taken out. */
static void
radix_end(void **root)
{
	struct page *p;

	for (uint64_t at = 0; (p = radix_next(*root, &at)); at++)
		observe("holds %lu: %ld %ld", at, token_number(p), token_number(radix_get(*root, at)));
	for (uint64_t at = 0; (p = radix_next(*root, &at)); at = 0)
		radix_del(root, at);
	observe("empty %d", *root == NULL);
}

/* arg: bits of an index at most. */
OBSERVE(7, radix_play)
{
	for (int round = 0; round < 6; round++) {
		uint64_t where[NWHERE];
		void *root = NULL;

		observe("round");
		places_draw(where, observe_number(0));
		for (uint64_t k = 0; k < 150; k++)
			radix_step(&root, where[observe_below(NWHERE)], k);
		radix_end(&root);
	}
}

/* Under a lock, as its users do it: nobody tries to make memory free meanwhile. */
static int
put_locked(void **root, uint64_t at, struct page *p)
{
	static struct spinlock lock = SPINLOCK("array", RANK(7, 30));
	int err;

	spin_lock(&lock);
	err = radix_put(root, at, p);
	spin_unlock(&lock);
	return err;
}

/* Memory ends while it grows: it holds what it held. */
OBSERVE(7, radix_scarce)
{
	for (int round = 0; round < 6; round++) {
		uint64_t where[NWHERE], spare = observe_below(12), k = 0;
		struct page *p;
		struct list all;
		void *root = NULL;
		int err = 0;

		observe("round");
		list_init(&all);
		while (page_count_free() > spare && (p = page_alloc(PG_KERNEL)))
			list_push_back(&all, &p->link);
		for (int failed = 0, n = 0; failed < 30 && n < 40; n++) {
			places_draw(where, 54);
			for (int i = 0; i < NWHERE; i++)
				if (!radix_get(root, where[i])) {
					err = put_locked(&root, where[i], &tokens[++k]);
					observe("put %lu %lu: %d", where[i], k, err);
					failed += err != 0;
					if (err)
						observe("get %lu: %ld", where[i], token_number(radix_get(root, where[i])));
				}
		}
		for (struct list *l; (l = list_pop_front(&all)); )
			page_unref(list_entry(l, struct page, link));
		radix_end(&root);
	}
}

/* ---- pages of a file ---- */

#define DIR "/observed"
enum { CHUNK = 5 * PAGE_SIZE };

static uint32_t
sum_of(const uint8_t *p, long n)
{
	uint32_t a = 1, b = 0;

	for (long i = 0; i < n; i++) {
		a = (a + p[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* A file system in memory at DIR. */
static void
dir_make(void)
{
	int err = vfs_create(AT_FDCWD, DIR, S_IFDIR | 0777, 0, NULL);

	if (err || (err = vfs_mount("none", DIR, "tmpfs", 0, NULL)))
		panic("the grader has no file system: %d", err);
}

static void
file_step(struct inode *ip, uint8_t *buf)
{
	uint64_t at = observe_below(16) ? observe_below(12 * PAGE_SIZE) : observe_below(1ul << 34);
	long n = 1 + observe_below(observe_below(2) ? 600 : CHUNK), r;
	uint8_t c = observe_random();

	mutex_lock(&ip->lock);
	switch (observe_below(4)) {
	case 0:
		memset(buf, c, n);
		observe("write %lu %ld byte %u: %ld", at, n, c, pagecache_write(ip, at, buf, n));
		break;
	case 1:
		if (observe_below(6) == 0)
			observe("cut %lu: %d", at, inode_truncate(ip, at));
	}
	mutex_unlock(&ip->lock);
	at = observe_below(14 * PAGE_SIZE);
	if (observe_below(8) == 0)
		at = ip->size - observe_below(ip->size < 300 ? ip->size + 1 : 300);
	n = observe_below(observe_below(2) ? 600 : CHUNK);
	memset(buf, 0xee, CHUNK);
	r = pagecache_read(ip, at, buf, n);
	observe("read %lu %ld: %ld sum %u", at, n, r, sum_of(buf, r));
	observe("behind %d", r >= 0 && r < CHUNK ? buf[r] : 0xee);
}

OBSERVE(7, pages_read)
{
	uint8_t *buf = kmalloc(CHUNK + 1);
	struct file *f;

	dir_make();
	if (!buf || file_open(DIR "/file", O_RDWR | O_CREAT, 0644, &f))
		panic("the grader has no file");
	for (int i = 0; i < 150; i++)
		file_step(f->inode, buf);
	file_put(f);
	kfree(buf);
}

/* ---- walks ---- */

enum { NDIR = 14, PATH = 240 };
#define CONTENTS "f"                     /* a file in every directory */

/* The directories made, by number; 0 is DIR. */
static struct {
	char path[PATH];
	struct inode *dir, *file;
} places[NDIR];

static struct inode *
inode_at(const char *path, unsigned how, int *err)
{
	char name[PATH + 8];
	struct path p;
	struct inode *ip;

	strlcpy(name, path, sizeof name);
	*err = path_lookup(AT_FDCWD, name, how, &p);
	if (*err)
		return NULL;
	ip = p.dentry->inode;
	path_put(&p);
	return ip;
}

static void
link_make(const char *dir, const char *name, const char *to)
{
	char path[PATH];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	vfs_create(AT_FDCWD, path, S_IFLNK | 0777, 0, to);
}

/* Directory k in one that is there; what is mounted on it, up to twice, covers it. */
static void
place_make(int k)
{
	char *path = places[k].path, file[PATH];
	int parent = k ? (int)observe_below(k) : 0, err, mounts = observe_below(3);

	if (k)
		snprintf(path, PATH, "%s/d%d", places[parent].path, k);
	else
		strlcpy(path, DIR, PATH);
	if (k && vfs_create(AT_FDCWD, path, S_IFDIR | 0777, 0, NULL))
		panic("the grader cannot make %s", path);
	for (int i = 0; k && i < mounts; i++)
		if (vfs_mount("none", path, "tmpfs", 0, NULL))
			panic("the grader cannot mount on %s", path);
	link_make(path, "here", ".");
	link_make(path, "up", "..");
	link_make(path, "top", DIR "/");
	link_make(path, "loop", "here/loop");
	link_make(path, "gone", "up/nothing");
	link_make(path, "tofile", "here/" CONTENTS);
	snprintf(file, sizeof file, "%s/" CONTENTS, path);
	vfs_create(AT_FDCWD, file, S_IFREG | 0644, 0, NULL);
	places[k].dir = inode_at(path, WALK_FOLLOW, &err);
	places[k].file = inode_at(file, WALK_FOLLOW, &err);
	observe("place %d in %d", k, parent);
}

/* A name that may or may not be there, at `path`. */
static void
name_add(char *path)
{
	static const char *const fixed[] = { "..", "..", ".", "here", "up", "top", "here", "up", CONTENTS, "tofile",
		"loop", "gone", "nothing" };
	int k = observe_below(8) ? observe_below(13) : 20;
	char name[16];

	if (observe_below(5) < 2)
		snprintf(name, sizeof name, "d%d", 1 + (int)observe_below(NDIR - 1));
	else
		strlcpy(name, fixed[k == 20 || (k > 7 && observe_below(2)) ? observe_below(6) : (uint64_t)k], sizeof name);
	strlcat(path, "/", PATH);
	strlcat(path, name, PATH);
}

/* What a walk has found; *k: whose directory or file it is, -1: nobody's. */
static const char *
found_what(const struct inode *ip, const struct inode *root, int *k)
{
	*k = -1;
	if (ip == root)
		return "root";
	for (int i = 0; i < NDIR; i++)
		if (places[i].dir == ip || places[i].file == ip) {
			*k = i;
			return places[i].dir == ip ? "dir" : "file";
		}
	return S_ISLNK(ip->mode) ? "link" : "other";
}

static void
walk_one(const struct inode *root)
{
	const char *what = "none";
	int start = observe_below(NDIR), err, k = -1;
	unsigned how = observe_below(3) ? WALK_FOLLOW : 0;
	char path[PATH];
	struct inode *ip;

	strlcpy(path, places[start].path, PATH);
	for (int n = observe_below(7); n >= 0; n--)
		name_add(path);
	if (observe_below(8) == 0)
		strlcat(path, "/", PATH);
	ip = inode_at(path, how, &err);
	if (!err)
		what = found_what(ip, root, &k);
	observe("walk %s follow %u: %d %s %d", path + strlen(DIR), how & WALK_FOLLOW, err, what, k);
}

OBSERVE(7, walks)
{
	int err;

	dir_make();
	for (int k = 0; k < NDIR; k++)
		place_make(k);
	for (int i = 0; i < 250; i++)
		walk_one(inode_at("/", 0, &err));
}

/* ---- a terminal ---- */

static struct screen {
	struct tty t;
	uint8_t shown[2048];
	size_t n;
} screen;

static void
screen_put(struct tty *t, const char *s, size_t n)
{
	struct screen *f = container_of(t, struct screen, t);

	for (; n && f->n < sizeof f->shown; n--)
		f->shown[f->n++] = *s++;
}

static void
show_bytes(const char *what, const uint8_t *p, size_t n)
{
	char text[256];
	size_t at = 0;

	do {
		size_t k = n - at < 100 ? n - at : 100;

		for (size_t i = 0; i < k; i++)
			snprintf(text + 2 * i, 3, "%02x", p[at + i]);
		text[2 * k] = 0;
		observe("%s %s", what, text);
		at += k;
	} while (at < n);
}

/* Keys by kind: letters, ends of lines, editing, bytes that are shown as two, characters of several bytes. */
static void
key(char kind, uint8_t *to, size_t *n)
{
	static const char edits[] = { 127, 127, 127, 21, 23, 18 }, odd[] = { 1, 27, 9, 11, 2 };
	static const char *const wide[] = { "\xc3\xa4", "\xe4\xb8\xad", "\xf0\x9f\x99\x82", "\xc3" };
	const char *s;

	switch (kind) {
	case 'n': to[(*n)++] = observe_below(4) ? '\n' : '\r'; break;
	case 'e': to[(*n)++] = edits[observe_below(6)]; break;
	case 'd': to[(*n)++] = 4; break;
	case 'o': to[(*n)++] = odd[observe_below(5)]; break;
	case 'u':
		for (s = wide[observe_below(4)]; *s; s++)
			to[(*n)++] = *s;
		break;
	default: to[(*n)++] = observe_below(5) ? 'a' + observe_below(26) : ' '; break;
	}
}

static void
type_some(const char *kinds)
{
	uint8_t typed[64];
	size_t n = 0;

	for (int i = observe_below(12); i >= 0; i--)
		key(kinds[observe_below(strlen(kinds))], typed, &n);
	screen.n = 0;
	for (size_t i = 0; i < n; i++)
		tty_input(&screen.t, typed[i]);
	show_bytes("typed", typed, n);
	show_bytes("shown", screen.shown, screen.n);
}

static void
take_some(void)
{
	uint8_t got[64];
	size_t want = 1 + observe_below(observe_below(2) ? 6 : sizeof got), n = 0;
	bool ready, ended = false;

	spin_lock(&screen.t.lock);
	ready = screen.t.rd != screen.t.line;
	if (ready)
		n = tty_take(&screen.t, got, want, &ended);
	spin_unlock(&screen.t.lock);
	observe("take %lu: ready %d ended %d", want, ready, ended);
	show_bytes("got", got, n);
}

/* arg: kinds of keys, then flags as in `stty -a` by number: input, local. */
OBSERVE(7, tty_play)
{
	char kinds[32];
	struct termios tio;

	strlcpy(kinds, observe_arg(), sizeof kinds);
	for (char *s = kinds; *s; s++)
		if (*s == ',')
			*s = 0;
	tty_init(&screen.t, screen_put);
	tio = screen.t.tio;
	tio.c_iflag = observe_number(1);
	tio.c_lflag = observe_number(2);
	spin_lock(&screen.t.lock);
	tty_set_termios(&screen.t, &tio);
	spin_unlock(&screen.t.lock);
	for (int i = 0; i < 150; i++)
		if (observe_below(3))
			type_some(kinds);
		else
			take_some();
}
