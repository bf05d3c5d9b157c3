/* eclipsefs_sim.c - the kernel's EclipseFS driver, compiled for the host under sanitizers.
 *
 * Idea.       The driver's own sources are linked with a small single-threaded imitation of what lies below
 *             and around them: memory, block device (a file), inode cache, page cache. Random operations
 *             are compared with a model in memory; or a hostile image is walked all over. fsck.eclipsefs
 *             then judges the image (test_eclipsefs_driver.py). INITCALL is made a constructor on the
 *             command line.
 *
 *             crash: random operations again, on a disk with a cache that forgets. At random writes and flushes the process
 *             forks: the child is the machine after the power came back. It keeps what was flushed, and of the rest
 *             a random part, sector by sector; mounts (where the power may fail again), and compares names and contents with
 *             what was promised: some state that the operations went through, not older than what was synced; contents
 *             exact since the last sync, else made of what was written, never of what the disk held before.
 *
 *             mutate: OPS times a few structure-aware changes to the image, checksums mended, each walked as above, all in one
 *             process; the n-th of seed s is the first of seed s+n. leave: the image as a power cut leaves it. spoil: only the changes.
 * Interface.  eclipsefs_sim random|large|walk|crash|mutate|spoil|leave IMAGE SEED OPS [1-in-N FSCK [verbose]]: one in N allocations
 *             fails, and with odd seeds one in 20 reads; crash: at one in N writes the power fails. Compiled by clang with -fsanitize=fuzzer -Dmain=unused it is
 *             a libFuzzer program for the same changes, on the image that EFS_IMAGE names.
 */
#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/efs.h"
#include "fs/vfs/pcache.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

/* of the host's library, whose headers would clash with the kernel's */
extern void *malloc(size_t), *calloc(size_t, size_t), *realloc(void *, size_t);
extern void free(void *);
extern int fflush(void *);
extern _Noreturn void abort(void);
extern int open(const char *, int, ...), close(int), atoi(const char *), vprintf(const char *, va_list), printf(const char *, ...);
extern long pread(int, void *, size_t, long), pwrite(int, const void *, size_t, long), lseek(int, long, int);
extern long syscall(long, ...);
extern unsigned alarm(unsigned);
extern char *getenv(const char *);
extern int ftruncate(int, long), fork(void), waitpid(int, int *, int), mkstemp(char *), unlink(const char *), execlp(const char *, const char *, ...);
extern _Noreturn void _exit(int);

static int fd;
static unsigned seed;
static bool verbose;
static int fail_alloc;			/* 1 in so many allocations fails */
static struct cpu fake_cpu;
static struct thread *fake_thread = (struct thread *)&fake_thread;

static unsigned
rnd(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % n;
}

#define REQUIRE(e) do { if (!(e)) { printf("FAILED %s:%d: %s\n", __FILE__, __LINE__, #e); fflush(NULL); abort(); } } while (0)

/* ---- kernel services ---- */

static bool alloc_fails(void) { return fail_alloc && rnd(fail_alloc) == 0; }
void *kmalloc(size_t n) { return alloc_fails() ? NULL : memset(malloc(n), 0xa5, n); }
void *kzalloc(size_t n) { return alloc_fails() ? NULL : calloc(1, n); }
void *krealloc(void *p, size_t n) { return alloc_fails() ? NULL : realloc(p, n); }
void kfree(void *p) { free(p); }
uint64_t page_count_total(void) { return 512; }
uint64_t clock_ns(void) { return 0; }
uint64_t clock_wall_ns(void) { static uint64_t t = 1700000000ul * NSEC; return t += 1000; }
static uint32_t serial;			/* of the object made last: becomes its uid, so that it is known again after a crash */
uint32_t cred_uid(void) { return serial; }
uint32_t cred_gid(void) { return 0; }
void waitq_init(struct waitq *q) { list_init(&q->waiters); }
void waitq_wake_all(struct waitq *q) { (void)q; }
bool waitq_empty(struct waitq *q) { (void)q; return true; }
void waitq_add(struct waitq *q, struct waiter *w) { (void)q, (void)w; REQUIRE(!"would sleep"); }
void waitq_del(struct waiter *w) { (void)w; }
int wait_step(struct waiter *w, int how, uint64_t deadline) { (void)w, (void)how, (void)deadline; return 0; }
void thread_prepare_sleep(bool i) { (void)i; }
void thread_cancel_sleep(void) { }
void spin_lock(struct spinlock *l) { (void)l; }
void spin_unlock(struct spinlock *l) { (void)l; }
void mutex_init(struct mutex *m, const char *name, uint32_t rank) { *m = (struct mutex){ .name = name, .rank = rank }; }
void mutex_lock(struct mutex *m) { REQUIRE(!m->owner); m->owner = fake_thread; }
void mutex_unlock(struct mutex *m) { REQUIRE(m->owner); m->owner = NULL; }
bool mutex_held(const struct mutex *m) { return m->owner; }

void
klog(enum loglevel level, const char *fmt, ...)
{
	va_list ap;
	(void)level;
	if (!verbose)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
}

void
panic_at(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	printf("PANIC %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(NULL);
	abort();
}

/* ---- the disk ---- */

static struct blockdev disk = { .name = "sim" };

/* A disk in memory for crashes. */
struct pending { uint64_t sector; uint32_t n; char *data; };
static char *image, *now, *durable;			/* what reads see; what a power cut leaves at least */
static struct pending pending[1 << 16];		/* writes since the last flush */
static int npending;
static bool broken;				/* the disk writes no more */
static int fail_read;				/* 1 in so many reads fails, where allocations may fail, too */
static void crash_maybe(void);

static int
ram_move(enum bio_op op, uint64_t sector, void *buf, size_t n)
{
	if (op == BIO_READ) {
		memcpy(buf, now + sector * SECTOR_SIZE, n);
		return 0;
	}
	crash_maybe();
	if (broken)
		return -EIO;
	memcpy(now + sector * SECTOR_SIZE, buf, n);
	REQUIRE(npending < 1 << 16);
	pending[npending] = (struct pending){ sector, n / SECTOR_SIZE, malloc(n) };
	memcpy(pending[npending++].data, buf, n);
	return 0;
}

static int
ram_flush(void)
{
	crash_maybe();
	if (broken)
		return -EIO;
	for (int i = 0; i < npending; i++) {
		memcpy(durable + pending[i].sector * SECTOR_SIZE, pending[i].data, pending[i].n * SECTOR_SIZE);
		free(pending[i].data);
	}
	npending = 0;
	crash_maybe();
	return 0;
}

static int
disk_move(enum bio_op op, uint64_t sector, void *buf, size_t n)
{
	if (sector >= disk.nsectors || n / SECTOR_SIZE > disk.nsectors - sector)
		return -EIO;
	if (op == BIO_READ && fail_read && fail_alloc && rnd(fail_read) == 0)
		return -EIO;
	if (now)
		return ram_move(op, sector, buf, n);
	long got = op == BIO_READ ? pread(fd, buf, n, sector * SECTOR_SIZE) : pwrite(fd, buf, n, sector * SECTOR_SIZE);
	return got == (long)n ? 0 : -EIO;
}

int block_rw(struct blockdev *d, enum bio_op op, uint64_t sector, void *buf, uint32_t n)
{ (void)d; return disk_move(op, sector, buf, n * SECTOR_SIZE); }
int block_flush(struct blockdev *d) { (void)d; return now ? ram_flush() : 0; }
void block_plug(void) { }
void block_unplug(void) { }

void
bio_submit(struct bio *b)
{
	uint64_t sector = b->sector;
	b->error = 0;
	for (uint32_t i = 0; i < b->nvec; i++) {
		int err = disk_move(b->op, sector, P2V(b->vec[i].phys), b->vec[i].len);
		b->error = b->error ? b->error : err;
		sector += b->vec[i].len / SECTOR_SIZE;
	}
	b->done(b);
}

/* ---- pages ---- */

/* page_array is placed so that page_virt() of a page in the pool is its memory. */
#define NPAGES 65536
static struct page pool[NPAGES];
static char memory[NPAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static struct page *free_pages;
struct page *page_array;

static void
pages_init(void)
{
	page_array = (struct page *)((uint64_t)pool - (V2P(memory) >> PAGE_SHIFT) * sizeof(struct page));
	for (int i = 0; i < NPAGES; i++) {
		pool[i].owner = free_pages;
		free_pages = &pool[i];
	}
	REQUIRE(page_virt(&pool[7]) == memory + 7 * PAGE_SIZE);
}

static void
page_free(struct page *p)
{
	p->owner = free_pages;
	free_pages = p;
}

bool page_trylock(struct page *p) { (void)p; return true; }
void page_unlock(struct inode *ip, struct page *p) { (void)ip, (void)p; }
void page_zero(struct page *p) { memset(page_virt(p), 0, PAGE_SIZE); }

static struct page *
page_find(struct inode *ip, uint64_t index)
{
	for (struct page *p = ip->pages; p; p = (struct page *)p->link.next)
		if (p->index == index)
			return p;
	return NULL;
}

static struct page *
page_make(struct inode *ip, uint64_t index)
{
	struct page *p = free_pages, **at = (struct page **)(void *)&ip->pages;
	REQUIRE(p);
	free_pages = p->owner;
	*p = (struct page){ .index = index };
	memset(page_virt(p), 0x5a, PAGE_SIZE);
	p->owner = ip;
	p->index = index;
	while (*at && (*at)->index < index)
		at = (struct page **)(void *)&(*at)->link.next;
	p->link.next = (struct list *)*at;
	*at = p;
	return p;
}

static void
pages_drop(struct inode *ip, uint64_t first)
{
	for (struct page **at = (struct page **)(void *)&ip->pages; *at;) {
		struct page *p = *at;
		if (p->index < first) {
			at = (struct page **)(void *)&p->link.next;
			continue;
		}
		*at = (struct page *)p->link.next;
		ip->ndirty -= (p->flags & PC_DIRTY) != 0;
		page_free(p);
	}
}

void
page_read_done(struct page *p, int error)
{
	struct inode *ip = p->owner;
	uint64_t at = p->index << PAGE_SHIFT;
	if (!error && at < ip->size && ip->size - at < PAGE_SIZE)
		memset((char *)page_virt(p) + (ip->size - at), 0, PAGE_SIZE - (ip->size - at));
	p->flags |= error ? PC_ERROR : PC_VALID;
}

void
page_write_done(struct page *p, int error)
{
	REQUIRE(p->flags & PC_WRITEBACK);
	p->flags &= ~PC_WRITEBACK;
	((struct inode *)p->owner)->nwriteback--;
	if (error)
		((struct inode *)p->owner)->wberr = error;
}

/* Valid pages from index on: read a run, as read-ahead would. NULL: error. */
static struct page *
page_read(struct inode *ip, uint64_t index)
{
	struct page *run[PC_BATCH], *p = page_find(ip, index);
	uint64_t end = (ip->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	int n = 0;
	if (p && (p->flags & PC_VALID))
		return p;
	if (p)
		run[n++] = p;
	for (int want = 1 + rnd(PC_BATCH); n < want && index + n < end && !page_find(ip, index + n); n++)
		run[n] = page_make(ip, index + n);
	REQUIRE(n > 0);
	int err = ip->iops->read_pages(ip, run, n);
	for (int i = 0; i < n; i++)
		if (err)
			page_read_done(run[i], err);
	p = run[0];
	return p->flags & PC_VALID ? p : NULL;
}

/* Write all dirty pages back, in runs. */
static int
file_sync(struct inode *ip)
{
	struct page *run[PC_BATCH];
	int n = 0;
	for (struct page *p = ip->pages; p || n; p = p ? (struct page *)p->link.next : NULL) {
		bool fits = p && (p->flags & PC_DIRTY) && n < PC_BATCH && (n == 0 || run[n - 1]->index + 1 == p->index);
		if (n && !fits) {
			int err = ip->iops->write_pages(ip, run, n);
			for (int i = 0; err && i < n; i++)
				page_write_done(run[i], err);
			n = 0;
		}
		if (p && (p->flags & PC_DIRTY)) {
			p->flags = (p->flags & ~PC_DIRTY) | PC_WRITEBACK;
			ip->ndirty--;
			ip->nwriteback++;
			run[n++] = p;
		}
	}
	int err = ip->wberr;
	ip->wberr = 0;
	return err;
}

int
pagecache_sync(struct inode *ip, uint64_t first, uint64_t last, bool wait)
{
	REQUIRE(first == 0 && last == ~0ul);
	int fails = fail_alloc;
	fail_alloc = 0;
	int err = file_sync(ip);
	fail_alloc = fails;
	if (wait)
		return err;
	ip->wberr = err;
	return 0;
}

static void
page_dirty(struct inode *ip, struct page *p)
{
	ip->ndirty += !(p->flags & PC_DIRTY);
	p->flags |= PC_DIRTY;
}

static long
file_write(struct inode *ip, uint64_t off, const void *buf, size_t n)
{
	int err = ip->iops->reserve(ip, off, n);
	if (err)
		return err;
	for (size_t done = 0; done < n;) {
		uint64_t at = off + done;
		size_t in = at % PAGE_SIZE, part = PAGE_SIZE - in < n - done ? PAGE_SIZE - in : n - done;
		struct page *p = page_find(ip, at >> PAGE_SHIFT);
		if (!p || !(p->flags & PC_VALID)) {
			if ((at & ~(PAGE_SIZE - 1)) < ip->size) {
				p = page_read(ip, at >> PAGE_SHIFT);
				if (!p)
					return -EIO;
			} else {
				p = p ? p : page_make(ip, at >> PAGE_SHIFT);
				page_zero(p);
				p->flags = PC_VALID;
			}
		}
		memcpy((char *)page_virt(p) + in, (const char *)buf + done, part);
		page_dirty(ip, p);
		done += part;
		if (off + done > ip->size)
			ip->size = off + done;
	}
	inode_dirty(ip);
	return n;
}

static long
file_read(struct inode *ip, uint64_t off, void *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		uint64_t at = off + done;
		if (at >= ip->size)
			return done;
		size_t in = at % PAGE_SIZE, part = PAGE_SIZE - in < n - done ? PAGE_SIZE - in : n - done;
		part = part < ip->size - at ? part : ip->size - at;
		struct page *p = page_read(ip, at >> PAGE_SHIFT);
		if (!p)
			return -EIO;
		memcpy((char *)buf + done, (char *)page_virt(p) + in, part);
		done += part;
	}
	return n;
}

static int
file_truncate(struct inode *ip, uint64_t size)
{
	size_t tail = size % PAGE_SIZE;
	if (size < ip->size) {
		struct page *p = tail ? page_read(ip, size >> PAGE_SHIFT) : NULL;
		if (tail && !p)
			return -EIO;
		if (p && ip->iops->reserve(ip, size - tail, PAGE_SIZE) == 0) {
			memset((char *)page_virt(p) + tail, 0, PAGE_SIZE - tail);
			page_dirty(ip, p);
		}
		pages_drop(ip, (size + PAGE_SIZE - 1) >> PAGE_SHIFT);
	}
	return ip->iops->truncate(ip, size);
}

/* ---- inodes, supers ---- */

static struct fs_type *type;
static struct super *vsb;
static struct inode *root;

void fs_register(struct fs_type *t) { type = t; }

struct super *
super_new(struct fs_type *t, const struct super_ops *ops)
{
	struct super *sb = calloc(1, sizeof(*sb));
	sb->type = t;
	sb->ops = ops;
	list_init(&sb->inodes);
	return sb;
}

static struct inode *
inode_cached(struct super *sb, uint64_t ino)
{
	list_for_each(ip, &sb->inodes, struct inode, sb_link)
		if (ip->ino == ino)
			return ip;
	return NULL;
}

int
inode_get(struct super *sb, uint64_t ino, struct inode **out)
{
	struct inode *ip = inode_cached(sb, ino);
	if (!ip) {
		if (alloc_fails())
			return -ENOMEM;
		ip = calloc(1, sizeof(*ip));
		ip->sb = sb;
		ip->ino = ino;
		ip->flags = I_NEW;
		list_push_back(&sb->inodes, &ip->sb_link);
	}
	ip->refs++;
	*out = ip;
	return 0;
}

static void
inode_destroy(struct inode *ip)
{
	list_remove(&ip->sb_link);
	pages_drop(ip, 0);
	if (ip->priv)
		ip->sb->ops->evict(ip);
	free(ip);
}

void inode_unlock_new(struct inode *ip) { ip->flags &= ~I_NEW; }
void inode_fail_new(struct inode *ip) { REQUIRE(ip->refs == 1); ip->priv = NULL; inode_destroy(ip); }
void inode_dirty(struct inode *ip) { ip->flags |= I_DIRTY; }

void
inode_put(struct inode *ip)
{
	REQUIRE(ip->refs > 0);
	if (--ip->refs == 0 && ip->nlink == 0)
		inode_destroy(ip);
}

int super_set_root(struct super *sb, struct inode *ip) { (void)sb; root = ip; return 0; }

static void
inodes_evict(struct super *sb)
{
	list_for_each_safe(ip, &sb->inodes, struct inode, sb_link)
		if (ip->refs == 0)
			inode_destroy(ip);
}

void
super_free(struct super *sb)
{
	if (root)
		root->refs = 0;
	root = NULL;
	inodes_evict(sb);
	free(sb);
}

void shutdown_register(void (*fn)(void)) { (void)fn; }

static int
sync_all(void)
{
	int err = 0;
	list_for_each(ip, &vsb->inodes, struct inode, sb_link) {
		if (S_ISREG(ip->mode)) {
			int e = file_sync(ip);
			err = err ? err : e;
		}
	}
	list_for_each(ip, &vsb->inodes, struct inode, sb_link)
		if (ip->flags & I_DIRTY) {
			ip->flags &= ~I_DIRTY;
			int e = vsb->ops->write_inode(ip);
			err = err ? err : e;
		}
	int e = vsb->ops->sync(vsb, true);
	return err ? err : e;
}

static int
mount(unsigned long flags)
{
	root = NULL;
	return type->mount(type, &disk, flags, NULL, &vsb);
}

static void
unmount(void)
{
	sync_all();
	inode_put(root);
	inodes_evict(vsb);
	sync_all();
	REQUIRE(list_empty(&vsb->inodes));
	REQUIRE(((struct efs *)vsb->priv)->reserved == 0);
	vsb->ops->unmount(vsb);
	free(vsb);
}

/* ---- random operations against a model ---- */

#define NOBJ     400
#define PIECES   40
#define NCONTENT 20000			/* things that may ever be made */

struct obj {
	bool used, isdir;
	uint32_t data;			/* its serial number: index of content (hard links share) */
	int parent;
	char name[64];
};
/* w: what was written, in order; after the first i pieces the size is sizes[i]. link: not compared (any more). */
struct content {
	int links;
	uint64_t size, sizes[PIECES + 1];
	struct { uint64_t off; uint32_t len; uint8_t c; } w[PIECES];
	int n, synced;			/* pieces; of which promised to be durable */
	int born, version;		/* model versions: when it was made, when its names (or those in it) changed last */
	bool link;
};
static struct obj obj[NOBJ];
static struct content content[NCONTENT];
static void model_changed(uint32_t a, uint32_t b, uint32_t c);

/* The byte that the model says is at `off` after n pieces. A truncation is a piece with c == 0 to the end of everything. */
static uint8_t
model_byte(const struct content *c, int n, uint64_t off)
{
	uint8_t v = 0;
	for (int i = 0; i < n; i++)
		if (off >= c->w[i].off && off - c->w[i].off < (c->w[i].len ? c->w[i].len : ~0ull))
			v = c->w[i].c;
	return v;
}

static struct inode *
walk(int o)
{
	struct inode *dir, *ip;
	if (o == 0) {
		root->refs++;
		return root;
	}
	int fails = fail_alloc;
	fail_alloc = 0;
	dir = walk(obj[o].parent);
	int err = dir->dops->lookup(dir, obj[o].name, strlen(obj[o].name), &ip);
	fail_alloc = fails;
	inode_put(dir);
	if (err)
		printf("lookup %s: %d\n", obj[o].name, err);
	REQUIRE(err == 0);
	return ip;
}

static int
pick(bool dir)
{
	for (int i = 0; i < 60; i++) {
		int o = rnd(NOBJ);
		if (obj[o].used && obj[o].isdir == dir)
			return o;
	}
	return dir ? 0 : -1;
}

static int
slot(void)
{
	for (int i = 1; i < NOBJ; i++)
		if (!obj[i].used)
			return i;
	return -1;
}

static void
name_make(char *out)
{
	int n = rnd(10) == 0 ? 50 : 1 + rnd(12);
	snprintf(out, 64, "%u", rnd(1u << 30));
	for (int i = strlen(out); i < n; i++, out[i] = 0)
		out[i] = 'a' + rnd(26);
}

static bool
below(int o, int dir)
{
	for (; o; o = obj[o].parent)
		if (o == dir)
			return true;
	return dir == 0;
}

static bool
has_children(int o)
{
	for (int i = 1; i < NOBJ; i++)
		if (obj[i].used && obj[i].parent == o)
			return true;
	return false;
}

static const char LONG_TARGET[] = "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
	"0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/";

/* In every operation: an error must be one that low memory or a full disk explains, and then nothing has
 * happened. */
static bool
fine(int err)
{
	REQUIRE(err == 0 || err == -ENOSPC || (broken && (err == -EIO || err == -EROFS)) || ((err == -ENOMEM || err == -EIO) && fail_alloc) || err == -EMLINK);
	return err == 0;
}

static void
op_create(void)
{
	int o = slot(), parent = pick(true), what = rnd(10);
	struct inode *dir, *ip;
	if (o < 0)
		return;
	dir = walk(parent);
	REQUIRE(serial + 1 < NCONTENT);
	obj[o] = (struct obj){ .isdir = what < 2, .parent = parent, .data = ++serial };
	name_make(obj[o].name);
	uint32_t mode = what < 2 ? S_IFDIR | 0755 : what == 2 ? S_IFLNK | 0777 : what == 3 ? S_IFCHR | 0600 : S_IFREG | 0644;
	const char *target = rnd(2) ? "short" : LONG_TARGET;
	int err = dir->dops->create(dir, obj[o].name, strlen(obj[o].name), mode, what == 3 ? 0x501 : 0, target, &ip);
	if (fine(err)) {
		obj[o].used = true;
		content[serial] = (struct content){ .links = 1, .link = !S_ISREG(mode) };
		model_changed(serial, obj[parent].data, 0);
		content[serial].born = content[serial].version;
		if (S_ISLNK(mode)) {
			char buf[4096];
			long n = ip->iops->readlink(ip, buf, sizeof(buf));
			REQUIRE(((n == -ENOMEM || n == -EIO) && fail_alloc) || (n == (long)strlen(target) && memcmp(buf, target, n) == 0));
		}
		inode_put(ip);
	}
	inode_put(dir);
}

static void
op_link(void)
{
	int o = slot(), from = pick(false), parent = pick(true);
	if (o < 0 || from < 0)
		return;
	struct inode *ip = walk(from), *dir = walk(parent);
	obj[o] = (struct obj){ .parent = parent, .data = obj[from].data };
	name_make(obj[o].name);
	if (fine(dir->dops->link(dir, obj[o].name, strlen(obj[o].name), ip))) {
		obj[o].used = true;
		content[obj[o].data].links++;
		model_changed(obj[o].data, obj[parent].data, 0);
		REQUIRE((int)ip->nlink == content[obj[o].data].links);
	}
	inode_put(ip);
	inode_put(dir);
}

static void
obj_remove(int o)
{
	content[obj[o].data].links--;
	obj[o].used = false;
}

static void
op_unlink(void)
{
	int o = pick(rnd(4) == 0);
	if (o <= 0)
		return;
	struct inode *ip = walk(o), *dir = walk(obj[o].parent);
	bool keep = rnd(3) == 0 && S_ISREG(ip->mode) && ip->nlink == 1;
	int err = dir->dops->unlink(dir, obj[o].name, strlen(obj[o].name), ip);
	if (obj[o].isdir && has_children(o)) {
		REQUIRE(err == -ENOTEMPTY || (fail_alloc && (err == -ENOMEM || err == -EIO)) || broken);
	} else if (fine(err)) {
		obj_remove(o);
		model_changed(obj[o].data, obj[obj[o].parent].data, 0);
		if (keep) {
			char c = 'o';
			content[obj[o].data].link = true;
			long n = file_write(ip, rnd(100000), &c, 1);		/* unlinked while open */
			fine(n < 0 ? n : 0);
		}
	}
	inode_put(ip);
	inode_put(dir);
}

static void
op_rename(void)
{
	int o = pick(rnd(3) == 0), parent = pick(true), over = -1;
	if (o <= 0 || below(parent, o))
		return;
	if (rnd(3) == 0) {
		over = pick(obj[o].isdir);
		if (over <= 0 || over == o || below(o, over) || (obj[over].isdir && below(o, over)))
			return;
		parent = obj[over].parent;
		if (below(parent, o) || (!obj[o].isdir && obj[over].data == obj[o].data))
			return;
	}
	struct inode *ip = walk(o), *odir = walk(obj[o].parent), *ndir = walk(parent), *target = over > 0 ? walk(over) : NULL;
	char name[64];
	name_make(name);
	if (over > 0)
		memcpy(name, obj[over].name, sizeof(name));
	int err = odir->dops->rename(odir, obj[o].name, strlen(obj[o].name), ip, ndir, name, strlen(name), target);
	if (over > 0 && obj[over].isdir && has_children(over)) {
		REQUIRE(err == -ENOTEMPTY || (fail_alloc && (err == -ENOMEM || err == -EIO)) || broken);
	} else if (fine(err)) {
		uint32_t oldparent = obj[obj[o].parent].data;
		if (over > 0)
			obj_remove(over);
		obj[o].parent = parent;
		memcpy(obj[o].name, name, sizeof(name));
		model_changed(obj[o].data, obj[parent].data, oldparent);
	}
	inode_put(ip);
	inode_put(odir);
	inode_put(ndir);
	if (target)
		inode_put(target);
}

static void
piece_add(struct content *c, uint64_t off, uint32_t len, uint8_t ch, uint64_t size)
{
	c->w[c->n].off = off;
	c->w[c->n].len = len;
	c->w[c->n++].c = ch;
	c->size = c->sizes[c->n] = size;
}

static void
op_write(void)
{
	static uint8_t buf[1 << 19];
	int o = pick(false);
	struct content *c = o > 0 ? &content[obj[o].data] : NULL;
	if (!c || c->link || c->n == PIECES)
		return;
	struct inode *ip = walk(o);
	uint32_t len = rnd(4) == 0 ? 1 + rnd(sizeof(buf)) : 1 + rnd(5000);
	uint64_t off = rnd(3) == 0 ? ip->size : rnd(3) ? rnd(300000) : (uint64_t)rnd(1u << 22) << 12 | rnd(4096);
	uint8_t ch = 1 + rnd(255);
	memset(buf, ch, len);
	piece_add(c, off, len, ch, ip->size < off + len ? off + len : ip->size);
	long n = file_write(ip, off, buf, len);
	if (fine(n < 0 ? n : 0)) {
		REQUIRE(c->size == ip->size);
	} else {
		c->n = PIECES;			/* part may have been written: this file is not compared any more */
		c->link = true;
	}
	inode_put(ip);
}

static void
op_truncate(void)
{
	int o = pick(false);
	struct content *c = o > 0 ? &content[obj[o].data] : NULL;
	if (!c || c->link || c->n == PIECES)
		return;
	struct inode *ip = walk(o);
	uint64_t size = rnd(3) == 0 ? 0 : rnd(2) && ip->size ? rnd(ip->size > 1u << 30 ? 1u << 30 : ip->size) : rnd(1u << 20);
	piece_add(c, size, 0, 0, size);
	if (!fine(file_truncate(ip, size))) {
		c->link = true;
		c->n = PIECES;
	}
	inode_put(ip);
}

static void
compare(int o)
{
	static uint8_t buf[8192];
	struct content *c = &content[obj[o].data];
	if (obj[o].isdir || c->link)
		return;
	struct inode *ip = walk(o);
	REQUIRE(ip->size == c->size);
	for (int i = 0; i < 6; i++) {
		uint64_t off = c->n && rnd(4) ? c->w[rnd(c->n)].off : c->size ? rnd(c->size > 1u << 30 ? 1u << 30 : c->size) : 0;
		off = off > 4000 && rnd(2) ? off - rnd(4000) : off;
		long n = file_read(ip, off, buf, 1 + rnd(sizeof(buf)));
		if (n == -ENOMEM || (n == -EIO && fail_alloc))
			continue;
		REQUIRE(n >= 0);
		for (long k = 0; k < n; k += 1 + rnd(50))
			REQUIRE(buf[k] == model_byte(c, c->n, off + k));
	}
	inode_put(ip);
}

static int listed;

static int
count_emit(void *arg, const char *name, size_t len, uint64_t ino, int dtype, uint64_t next)
{
	(void)name, (void)len, (void)ino, (void)dtype, (void)next;
	if (arg && --*(int *)arg < 0)
		return 1;
	listed++;
	return 0;
}

/* Every directory lists as many names as the model has, also in small portions. */
static void
compare_directories(void)
{
	for (int o = 0; o < NOBJ; o++) {
		if (o && (!obj[o].used || !obj[o].isdir))
			continue;
		int want = 0;
		uint64_t pos = 0, before = 1;
		struct inode *dir = walk(o);
		for (int i = 1; i < NOBJ; i++)
			want += obj[i].used && obj[i].parent == o;
		listed = 0;
		while (pos != before) {
			int portion = 1 + rnd(20);
			before = pos;
			REQUIRE(dir->dops->readdir(dir, &pos, count_emit, &portion) == 0);
		}
		REQUIRE(listed == want);
		inode_put(dir);
	}
}

static void (*const op[])(void) = {
	op_create, op_create, op_create, op_link, op_unlink, op_unlink, op_rename, op_write, op_write, op_write, op_write,
	op_truncate,
};

static void
run_random(int ops)
{
	obj[0] = (struct obj){ .used = true, .isdir = true };
	int want = fail_alloc;
	fail_alloc = 0;
	REQUIRE(mount(0) == 0);
	for (int i = 0; i < ops; i++) {
		fail_alloc = want;
		op[rnd(sizeof(op) / sizeof(*op))]();
		fail_alloc = 0;
		if (rnd(30) == 0)
			sync_all();
		if (rnd(20) == 0) {
			int o = pick(false);
			if (o > 0)
				compare(o);
		}
		if (rnd(200) == 0) {
			unmount();
			REQUIRE(mount(0) == 0);
		}
	}
	for (int o = 1; o < NOBJ; o++)
		if (obj[o].used)
			compare(o);
	compare_directories();
	unmount();
}

/* ---- crashes ---- */

#define VERSIONS 40000
static uint64_t digests[VERSIONS];	/* of all names, per version of the model */
static int version, promised;		/* the latest; names are at least as new as that after a crash */
static int crash_rate, crashes, depth;	/* the power fails at one in so many writes */
static const char *fsck;

static uint64_t
hash_bytes(uint64_t h, const void *p, size_t n)
{
	for (const uint8_t *b = p; n-- > 0; b++)
		h = (h ^ *b) * 0x100000001b3ul;
	return h ^ h >> 29;
}

static uint64_t
path_hash(int o)
{
	return o ? hash_bytes(path_hash(obj[o].parent) * 31, obj[o].name, strlen(obj[o].name)) : 7;
}

static uint64_t
entry_hash(uint64_t path, uint32_t id, bool isdir)
{
	uint64_t h = path * 0x9e3779b97f4a7c15ul + id * 2ul + isdir;
	return hash_bytes(h, &h, sizeof(h));
}

/* The names in the model have changed; those of objects a, b, c in particular. */
static void
model_changed(uint32_t a, uint32_t b, uint32_t c)
{
	if (!now)
		return;
	REQUIRE(version + 1 < VERSIONS);
	digests[++version] = 0;
	for (int o = 1; o < NOBJ; o++)
		if (obj[o].used)
			digests[version] += entry_hash(path_hash(o), obj[o].data, obj[o].isdir);
	content[a].version = content[b].version = content[c].version = version;
}

static void
content_print(const struct inode *ip, const struct content *c)
{
	printf("file %u, size %lu, synced %d of %d\n", ip->uid, ip->size, c->synced, c->n);
	for (int i = 0; i < c->n; i++)
		printf("\t%d: %#x at %lu, %u bytes; size %lu\n", i + 1, c->w[i].c, c->w[i].off, c->w[i].len, c->sizes[i + 1]);
}

/* A regular file after a crash: every byte is one that was written there (or a hole then), not older than the last sync. */
static void
crash_file(struct inode *ip)
{
	static uint8_t buf[8192];
	REQUIRE(ip->uid <= serial);
	struct content *c = &content[ip->uid];
	uint64_t least = c->sizes[c->synced], most = least;
	if (c->link)
		return;
	for (int i = c->synced; i <= c->n; i++) {
		least = c->sizes[i] < least ? c->sizes[i] : least;
		most = c->sizes[i] > most ? c->sizes[i] : most;
	}
	if (ip->size < least || ip->size > most)
		printf("file %u: size %lu, not %lu to %lu\n", ip->uid, ip->size, least, most);
	REQUIRE(ip->size >= least && ip->size <= most);
	for (int i = 0; i < 8 && ip->size; i++) {
		uint64_t off = i < 2 ? ip->size - (ip->size < 1 + i * 3000u ? ip->size : 1 + i * 3000u)
			: c->n && i < 6 ? c->w[rnd(c->n)].off : rnd(ip->size < 1u << 30 ? ip->size : 1u << 30);
		long n = file_read(ip, off, buf, sizeof(buf));
		REQUIRE(n >= 0);
		for (long k = 0; k < n; k += 1 + rnd(60)) {
			bool known = false;
			for (int v = c->synced; v <= c->n && !known; v++)
				known = off + k < c->sizes[v] && buf[k] == model_byte(c, v, off + k);
			/* the zeros behind the end of a shorter file may be there before the size is */
			for (int v = c->synced; v < c->n && !known; v++)
				known = c->w[v].len == 0 && off + k >= c->w[v].off && buf[k] == 0;
			if (!known)
				content_print(ip, c);
			if (!known)
				printf("byte %#x at %lu\n", buf[k], off + k);
			REQUIRE(known);
		}
	}
}

struct entries { int n; struct found { char name[256]; size_t len; } e[NOBJ + 1]; };

static int
entries_emit(void *arg, const char *name, size_t len, uint64_t ino, int dtype, uint64_t next)
{
	(void)ino, (void)dtype, (void)next;
	struct entries *x = arg;
	REQUIRE(x->n <= NOBJ);
	memcpy(x->e[x->n].name, name, len);
	x->e[x->n++].len = len;
	return 0;
}

/* All below `dir`: the sum of hashes; files are compared. */
static uint64_t
crash_tree(struct inode *dir, uint64_t path)
{
	struct entries *x = calloc(1, sizeof(*x));
	uint64_t pos = 0, sum = 0;
	struct inode *ip;
	REQUIRE(dir->dops->readdir(dir, &pos, entries_emit, x) == 0);
	for (int i = 0; i < x->n; i++) {
		uint64_t h = hash_bytes(path * 31, x->e[i].name, x->e[i].len);
		REQUIRE(dir->dops->lookup(dir, x->e[i].name, x->e[i].len, &ip) == 0);
		sum += entry_hash(h, ip->uid, S_ISDIR(ip->mode));
		if (S_ISDIR(ip->mode))
			sum += crash_tree(ip, h);
		else if (S_ISREG(ip->mode))
			crash_file(ip);
		inode_put(ip);
	}
	free(x);
	return sum;
}

/* fsck.eclipsefs -n finds nothing. */
static void
crash_fsck(void)
{
	char name[] = "/dev/shm/eclipsefs-crash-XXXXXX";
	int out = mkstemp(name), status;
	static const char zeros[EFS_BLOCK];
	REQUIRE(out >= 0 && ftruncate(out, disk.nsectors * SECTOR_SIZE) == 0);
	for (uint64_t at = 0; at < disk.nsectors * SECTOR_SIZE; at += EFS_BLOCK)
		if (memcmp(now + at, zeros, EFS_BLOCK))
			REQUIRE(pwrite(out, now + at, EFS_BLOCK, at) == EFS_BLOCK);
	int pid = fork();
	if (pid == 0) {
		if (!verbose)
			close(1);
		execlp(fsck, fsck, "-n", name, (char *)NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	close(out);
	if (status == 0)
		unlink(name);
	else
		printf("fsck: status %#x, image %s\n", status, name);
	REQUIRE(status == 0);
}

/* What the disk holds after the power cut: of what was not flushed, a part. */
static void
crash_disk(void)
{
	int how = rnd(5), some = npending ? (int)rnd(npending + 1) : 0;
	for (int i = 0; i < npending; i++)
		memcpy(now + pending[i].sector * SECTOR_SIZE, durable + pending[i].sector * SECTOR_SIZE, pending[i].n * SECTOR_SIZE);
	for (int i = 0; i < npending && how; i++) {
		struct pending *p = &pending[i];
		bool all = how == 1 || (how == 2 && i < some) || (how == 3 && rnd(2)), torn = how == 4;
		for (uint32_t k = 0; k < p->n; k++)
			if (all || (torn && rnd(4)))
				memcpy(now + (p->sector + k) * SECTOR_SIZE, p->data + k * SECTOR_SIZE, SECTOR_SIZE);
	}
	for (int i = 0; i < npending; i++)
		memcpy(durable + pending[i].sector * SECTOR_SIZE, now + pending[i].sector * SECTOR_SIZE, pending[i].n * SECTOR_SIZE);
	npending = 0;
}

/* The machine after the power came back. Everything the old one had in memory is forgotten but the model. */
static void
crash_check(void)
{
	broken = false;
	crash_disk();
	crash_rate = ++depth == 1 && rnd(3) == 0 ? 6 : 0;
	fail_alloc = fail_read = 0;
	if (rnd(4) == 0)
		crash_fsck();
	REQUIRE(mount(0) == 0);
	REQUIRE(!(vsb->flags & MS_RDONLY) && ((struct efs *)vsb->priv)->sb->orphans == 0);
	uint64_t sum = crash_tree(root, 7);
	int v = version;
	while (v >= promised && digests[v] != sum)
		v--;
	if (v < promised) {
		for (v = version; v >= 0 && digests[v] != sum; v--)
			;
		printf("the names are those of version %d, not of one from %d to %d\n", v, promised, version);
		fflush(NULL);
		_exit(1);
	}
	crash_rate = 0;
	unmount();
	crash_fsck();
	if (verbose)
		printf("crash %d: names %d of %d..%d\n", crashes, v, promised, version);
}

static void
crash_maybe(void)
{
	if (!crash_rate || rnd(crash_rate))
		return;
	fflush(NULL);
	int pid = fork(), status;
	if (pid == 0) {
		seed += 12345 * ++crashes;
		crash_check();
		fflush(NULL);
		_exit(0);
	}
	REQUIRE(pid > 0);
	waitpid(pid, &status, 0);
	if (status)
		printf("crash %d (depth %d) failed\n", crashes, depth);
	REQUIRE(status == 0);
	crashes++;
}

static void
promise_all(void)
{
	promised = version;
	for (uint32_t i = 0; i <= serial; i++)
		content[i].synced = content[i].n;
}

/* fsync or fdatasync of something; or the flusher comes by. */
static void
op_sync(void)
{
	int o = pick(rnd(4) == 0), how = rnd(6);
	if (how == 0) {
		if (fine(sync_all()))
			promise_all();
	} else if (how == 1) {
		fine(vsb->ops->sync(vsb, false));
	} else if (o > 0) {
		struct inode *ip = walk(o);
		struct content *c = &content[obj[o].data];
		fine(S_ISREG(ip->mode) ? file_sync(ip) : 0);
		if (how > 2 && fine(ip->iops->fsync(ip, how == 3))) {
			int upto = how == 3 && S_ISREG(ip->mode) ? c->born : c->version;
			promised = upto > promised ? upto : promised;
			c->synced = c->n;
		}
		inode_put(ip);
	}
}

static void image_load(void);

static void
run_crash(int ops, int rate)
{
	image_load();
	obj[0] = (struct obj){ .used = true, .isdir = true };
	REQUIRE(mount(0) == 0);
	crash_rate = rate;
	int want = seed % 3 == 0 ? 30 : 0;
	fail_read = seed % 2 ? 20 : 0;
	for (int i = 0; i < ops; i++) {
		bool change = rnd(4);
		fail_alloc = change ? want : 0;
		change ? op[rnd(sizeof(op) / sizeof(*op))]() : op_sync();
		fail_alloc = 0;
		if (rnd(300) == 0) {
			unmount();
			promise_all();
			REQUIRE(mount(0) == 0);
		}
	}
	/* Now the disk stops writing in the middle of things. Errors, and no harm to what was promised. */
	for (int i = 0; i < 60; i++) {
		broken |= rnd(30) == 0;
		rnd(4) ? op[rnd(sizeof(op) / sizeof(*op))]() : op_sync();
	}
	crash_rate = 1;
	crash_maybe();
	crash_rate = 0;
	unmount();
	printf("%d crashes, %d versions\n", crashes, version);
}

/* ---- a directory with many names; files with many extents ---- */

static void
run_large(int count)
{
	struct inode *dir, *ip;
	char name[32];
	REQUIRE(mount(0) == 0);
	REQUIRE(root->dops->create(root, "many", 4, S_IFDIR | 0755, 0, NULL, &dir) == 0);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		REQUIRE(dir->dops->create(dir, name, strlen(name), S_IFREG | 0644, 0, NULL, &ip) == 0);
		inode_put(ip);
	}
	uint64_t pos = 0;
	listed = 0;
	REQUIRE(dir->dops->readdir(dir, &pos, count_emit, NULL) == 0 && listed == count);
	for (int i = 0; i < count; i += 1 + (i % 3 == 0)) {
		snprintf(name, sizeof(name), "file%d", i);
		REQUIRE(dir->dops->lookup(dir, name, strlen(name), &ip) == 0);
		REQUIRE(dir->dops->unlink(dir, name, strlen(name), ip) == 0);
		inode_put(ip);
	}
	inode_put(dir);
	/* every other block of a file, written backwards and forwards: thousands of extents */
	REQUIRE(root->dops->create(root, "holes", 5, S_IFREG | 0644, 0, NULL, &ip) == 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t at = (i % 2 ? 3000 + i : 3000 - i) * 2ul;
		char c = 'a' + i % 26;
		REQUIRE(file_write(ip, at * PAGE_SIZE + 5, &c, 1) == 1);
		if (i % 64 == 63)
			REQUIRE(file_sync(ip) == 0);
	}
	REQUIRE(file_sync(ip) == 0);
	pages_drop(ip, 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t at = (i % 2 ? 3000 + i : 3000 - i) * 2ul;
		char c[2];
		REQUIRE(file_read(ip, at * PAGE_SIZE + 5, c, 2) == 2 || i == 2999);
		REQUIRE(c[0] == 'a' + i % 26);
	}
	REQUIRE(file_truncate(ip, 3001 * PAGE_SIZE) == 0);
	/* beyond 4 GiB */
	REQUIRE(file_write(ip, (5ul << 30) + 1, "far", 3) == 3);
	inode_put(ip);
	unmount();
	REQUIRE(mount(0) == 0);
	REQUIRE(root->dops->lookup(root, "holes", 5, &ip) == 0);
	char far[3];
	REQUIRE(file_read(ip, (5ul << 30) + 1, far, 3) == 3 && memcmp(far, "far", 3) == 0);
	inode_put(ip);
	unmount();
}

/* ---- walking what may be hostile ---- */

static struct found names[64];
static int nnames;

static int
walk_emit(void *arg, const char *name, size_t len, uint64_t ino, int dtype, uint64_t next)
{
	(void)arg, (void)ino, (void)dtype, (void)next;
	REQUIRE(len <= NAME_MAX);
	if (nnames < 64 && rnd(3)) {
		memcpy(names[nnames].name, name, len);
		names[nnames++].len = len;
	}
	return 0;
}

static void
poke(struct inode *dir, struct inode *ip, const struct found *f)
{
	static char buf[20000];
	struct inode *fresh;
	if (ip->iops->readlink && S_ISLNK(ip->mode))
		ip->iops->readlink(ip, buf, sizeof(buf));
	if (S_ISREG(ip->mode) && ip->iops->read_pages) {
		file_read(ip, 0, buf, sizeof(buf));
		if (ip->size > sizeof(buf))
			file_read(ip, ip->size - sizeof(buf), buf, sizeof(buf));
	}
	if (vsb->flags & MS_RDONLY)
		return;
	if (S_ISREG(ip->mode)) {
		file_write(ip, rnd(1 << 20), buf, rnd(sizeof(buf)));
		if (rnd(2))
			file_truncate(ip, rnd(1 << 20));
		if (rnd(2))
			file_sync(ip);
	}
	if (rnd(3) == 0 && dir->dops->create(dir, "fresh", 5, S_IFREG | 0600, 0, NULL, &fresh) == 0)
		inode_put(fresh);
	if (rnd(4) == 0)
		dir->dops->rename(dir, f->name, f->len, ip, root, "moved", 5, NULL);
	else if (rnd(3) == 0)
		dir->dops->unlink(dir, f->name, f->len, ip);
}

static int visits;

static void
walk_dir(struct inode *dir, int depth)
{
	uint64_t pos = 0;
	struct found mine[64];
	nnames = 0;
	dir->dops->readdir(dir, &pos, walk_emit, NULL);
	int n = nnames;
	memcpy(mine, names, sizeof(mine));
	for (int i = 0; i < n; i++) {
		struct inode *ip;
		if (dir->dops->lookup(dir, mine[i].name, mine[i].len, &ip) != 0)
			continue;
		visits++;
		if (ip->dops && depth < 4)
			walk_dir(ip, depth + 1);
		poke(dir, ip, &mine[i]);
		inode_put(ip);
	}
}

static int walks;

static void
run_walk(void)
{
	struct statfs st;
	if (mount(rnd(3) ? 0 : MS_RDONLY) != 0)
		return;
	walks++;
	vsb->ops->statfs(vsb, &st);
	walk_dir(root, 0);
	unmount();
}

/* ---- images made hostile here: structure-aware, checksums right afterwards ---- */

#define METAS 4096
static uint32_t metas[METAS];		/* the blocks of the image that are metadata, the log's too */
static uint32_t nmetas;

static void *
disk_block(uint64_t n)
{
	return now + n * EFS_BLOCK;
}

static void
metas_find(void)
{
	static const uint32_t kinds[] = {
		EFS_MB_BMAP, EFS_MB_IMAP, EFS_MB_INODES, EFS_MB_EXTENT, EFS_MB_DIR, EFS_MB_JSUPER, EFS_MB_JDESC, EFS_MB_JREVOKE,
		EFS_MB_JCOMMIT,
	};
	metas[nmetas++] = EFS_SUPER_BLOCK;
	for (uint64_t n = 1; n < disk.nsectors * SECTOR_SIZE / EFS_BLOCK; n++)
		for (unsigned k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
			if (nmetas < METAS && ((struct efs_mb *)disk_block(n))->magic == kinds[k])
				metas[nmetas++] = n;
}

/* The log's checksums are made right: tags, chain, seals; as far as it can be followed. */
static void
log_reseal(void)
{
	const struct efs_super *sb = disk_block(EFS_SUPER_BLOCK);
	uint64_t area = sb->journal_start, length = sb->journal_blocks, all = disk.nsectors * SECTOR_SIZE / EFS_BLOCK;
	if (length < 2 || area >= all || length > all - area)
		return;
	struct efs_jsuper *js = disk_block(area);
	uint64_t pos = js->start, left = length;
	uint32_t chain = 0;
	while (pos > 0 && pos < length && left > 0) {
		struct efs_jdesc *d = disk_block(area + pos);
		uint32_t images = d->mb.magic == EFS_MB_JDESC && d->count <= EFS_JTAGS ? d->count : 0;
		if (d->mb.magic != EFS_MB_JDESC && d->mb.magic != EFS_MB_JREVOKE && d->mb.magic != EFS_MB_JCOMMIT)
			return;
		for (uint32_t i = 0; i < images; i++)
			d->tags[i].crc = crc32c(0, disk_block(area + (pos + i) % (length - 1) + 1), EFS_BLOCK);
		if (d->mb.magic == EFS_MB_JCOMMIT)
			((struct efs_jcommit *)d)->chain = chain;
		efs_mb_seal(d);
		chain = d->mb.magic == EFS_MB_JCOMMIT ? 0 : crc32c(chain, &d->mb.crc, sizeof(d->mb.crc));
		pos = (pos + images) % (length - 1) + 1;
		left -= left > images ? images + 1 : left;
	}
}

/* One change: which block, where and how, by what. */
struct change { uint16_t block, at; uint32_t value; };

static void
change_apply(struct change c)
{
	static const uint64_t edges[] = { 0, 1, 2, 15, 253, 254, 4095, 4096, 1u << 16, ~0u, 1ul << 32, 1ul << 44, ~0ul, 1ul << 63 };
	uint32_t n = metas[c.block % nmetas], from = metas[c.value % nmetas];
	uint8_t *p = (uint8_t *)disk_block(n) + c.at % EFS_BLOCK;
	uint32_t *word = (uint32_t *)((uint64_t)p & ~3ul);
	switch (c.at >> 12 & 7) {
	case 0: *word = c.value; break;
	case 1: *word += (int)c.value >> 28; break;
	case 2: *word ^= 1u << c.value % 32; break;
	case 3: *p = c.value; break;
	case 4: *word = from; break;
	case 5: memcpy(disk_block(n), disk_block(from), EFS_BLOCK); break;
	case 6: *word = edges[c.value % 14]; word[(uint64_t)word % EFS_BLOCK < EFS_BLOCK - 4] = edges[c.value % 14] >> 32; break;
	case 7: *(uint32_t *)(disk_block(n) + 256 + (c.value % 15) * 256 + c.at % 64 * 4) = c.value >> 8; break;
	}
	if (c.at >> 15 & c.value & 1)
		return;				/* the checksum stays wrong */
	struct efs_mb *mb = disk_block(n);
	if (n == EFS_SUPER_BLOCK)
		efs_super_seal(disk_block(n));
	else if (c.value & 2)
		mb->block = n;
	if (n != EFS_SUPER_BLOCK)
		efs_mb_seal(mb);
}

/* Make one hostile image. 2.0 images have no checksums: bytes are changed. */
static void
hostile_make(const struct change *c, uint32_t n)
{
	size_t size = disk.nsectors * SECTOR_SIZE;
	bool v2 = ((const struct efs_super *)image)->h.version == EFS_VERSION_2;
	memcpy(now, image, size);
	for (uint32_t i = 0; i < n; i++)
		if (v2)
			now[(c[i].block % 6 * 4096ul + c[i].at % 4096) % size] = c[i].value;
		else
			change_apply(c[i]);
	if (!v2)
		log_reseal();
	while (npending > 0)
		free(pending[--npending].data);
}

/* Mounted, walked, written, unmounted. */
static void
hostile_run(const struct change *c, uint32_t n)
{
	hostile_make(c, n);
	alarm(20);
	run_walk();
	alarm(0);
}

static void
image_load(void)
{
	size_t size = disk.nsectors * SECTOR_SIZE;
	image = malloc(3 * size);
	REQUIRE(pread(fd, image, size, 0) == (long)size);
	now = memcpy(image + size, image, size);
	durable = memcpy(now + size, image, size);
}

/* The changes of this seed; how many. */
static unsigned
changes_random(struct change *c, unsigned s)
{
	seed = s * 2654435761u;
	unsigned n = 1 + rnd(rnd(3) ? 3 : 16);
	for (unsigned k = 0; k < n; k++) {
		unsigned where = rnd(3) ? rnd(320) : rnd(EFS_BLOCK), value = rnd(4) ? rnd(1u << 24) << 8 | rnd(256) : rnd(300);
		c[k] = (struct change){ rnd(3) ? rnd(nmetas) : rnd(8), where | rnd(16) << 12, value };
	}
	return n;
}

static void
run_mutate(int count)
{
	struct change c[16];
	unsigned first = seed;
	image_load();
	metas_find();
	for (int i = 0; i < count; i++)
		hostile_run(c, changes_random(c, first + i));
	printf("%d images, %d mounted, %d things found in them\n", count, walks, visits);
}

/* Spoil the image itself. */
static void
run_spoil(void)
{
	struct change c[16];
	image_load();
	metas_find();
	hostile_make(c, changes_random(c, seed));
	REQUIRE(pwrite(fd, now, disk.nsectors * SECTOR_SIZE, 0) == (long)(disk.nsectors * SECTOR_SIZE));
}

/* Random operations, and the disk as a power cut leaves it: a log that wants to be replayed. */
static void
run_leave(int ops)
{
	image_load();
	obj[0] = (struct obj){ .used = true, .isdir = true };
	REQUIRE(mount(0) == 0);
	for (int i = 0; i < ops; i++)
		rnd(4) ? op[rnd(sizeof(op) / sizeof(*op))]() : op_sync();
	sync_all();
	REQUIRE(pwrite(fd, durable, disk.nsectors * SECTOR_SIZE, 0) == (long)(disk.nsectors * SECTOR_SIZE));
}

#define ARCH_SET_GS 0x1001
#define SYS_ARCH_PRCTL 158

static int
setup(const char *name)
{
	fake_cpu.self = &fake_cpu;
	fake_cpu.thread = fake_thread;
	pages_init();
	syscall(SYS_ARCH_PRCTL, ARCH_SET_GS, &fake_cpu);
	fd = open(name, 2);
	disk.nsectors = fd < 0 ? 0 : lseek(fd, 0, 2) / SECTOR_SIZE;
	disk.disk = &disk;
	return fd;
}

/* For libFuzzer: the input is a list of changes to the image that EFS_IMAGE names. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct change c[64];
	if (!image) {
		REQUIRE(setup(getenv("EFS_IMAGE")) >= 0);
		image_load();
		metas_find();
	}
	if (n > sizeof(c))
		n = sizeof(c);
	memcpy(c, data, n);
	seed = n > 4 ? data[0] + data[4] * 256 : 1;
	hostile_run(c, n / sizeof(*c));
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc < 5) {
		printf("usage: eclipsefs_sim random|large|walk|crash|mutate|spoil|leave IMAGE SEED OPS [1-in-N fail FSCK [v]]\n");
		return 2;
	}
	if (setup(argv[2]) < 0)
		return 2;
	seed = atoi(argv[3]);
	fail_alloc = argc > 5 ? atoi(argv[5]) : 0;
	fail_read = seed % 2 ? 20 : 0;
	verbose = argc > 7;
	if (strcmp(argv[1], "random") == 0)
		run_random(atoi(argv[4]));
	else if (strcmp(argv[1], "large") == 0)
		run_large(atoi(argv[4]));
	else if (strcmp(argv[1], "crash") == 0 && argc > 6)
		run_crash(atoi(argv[4]), (fail_alloc = 0, fsck = argv[6], atoi(argv[5])));
	else if (strcmp(argv[1], "mutate") == 0)
		run_mutate(atoi(argv[4]));
	else if (strcmp(argv[1], "spoil") == 0)
		run_spoil();
	else if (strcmp(argv[1], "leave") == 0)
		run_leave(atoi(argv[4]));
	else
		run_walk();
	close(fd);
	return 0;
}
