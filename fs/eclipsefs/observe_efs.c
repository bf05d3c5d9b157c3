/* observe_efs.c - lab 8 shown to the grader: an index, free blocks, extents, directories.       (lab 8)
 *
 * Idea.       The index stands alone. The rest is driven on the file system that is the root, on a disk that
 *             the judge made and looks at afterwards. Nothing in here knows what is right; the judges
 *             (labs/08-eclipsefs/test_eclipsefs.py) do. They draw everything again from the same seed, in
 *             the same order: so where C does not say what is computed first, each draw is a statement.
 * Interface.  OBSERVE (kern/boot/observe.h).
 */
#include "fs/eclipsefs/efs.h"

#include "fs/vfs/namei.h"
#include "fs/vfs/names.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

/* ---- the index of names ---- */

static void
index_look(struct dirindex *x, uint32_t hash)
{
	uint32_t cursor = 0, pos;

	observe("look %u", hash);
	for (int n = 0; n < 600 && efs_index_next(x, hash, &cursor, &pos); n++)
		observe("at %u", pos);
}

/* arg: steps, hashes there are, distance between two of them (a power of two: they meet in the table),
 * removals in 8 steps. */
OBSERVE(8, index_play)
{
	struct dirindex *x = efs_index_new();
	uint32_t next = 1, base = observe_random();
	struct { uint32_t hash, pos; } have[600];
	int n = 0;

	for (uint64_t i = observe_number(0); i > 0 && x; i--) {
		uint32_t hash = base + observe_below(observe_number(1)) * observe_number(2);

		if (n && observe_below(8) < observe_number(3)) {
			int k = observe_below(n);

			efs_index_del(x, have[k].hash, have[k].pos);
			observe("del %u %u", have[k].hash, have[k].pos);
			have[k] = have[--n];
		} else if (n < 600) {
			have[n].hash = hash;
			have[n].pos = next++;
			observe("add %u %u: %d", hash, have[n].pos, efs_index_add(x, hash, have[n].pos));
			n++;
		}
		if (observe_below(16) == 0)
			efs_index_del(x, hash, next + 1);        /* nothing like it is there */
		index_look(x, n && observe_below(2) ? have[observe_below(n)].hash : hash);
	}
	observe("used %u", x ? x->used : 0);
	for (int k = 0; k < n; k++)
		index_look(x, have[k].hash);
	efs_index_free(x);
}

/* ---- files of the root ---- */

static struct inode *
inode_of(const char *path)
{
	char name[64];
	struct path p;

	strlcpy(name, path, sizeof name);
	if (path_lookup(AT_FDCWD, name, WALK_FOLLOW, &p))
		panic("the grader does not find %s", path);
	return p.dentry->inode;              /* kept until the end */
}

static struct inode *
made(const char *path, uint32_t mode)
{
	int err = vfs_create(AT_FDCWD, path, mode, 0, NULL);

	if (err)
		panic("the grader cannot make %s: error %d", path, err);
	return inode_of(path);
}

/* How many metadata buffers somebody still uses. Between two calls nobody should. */
static void
show_kept(struct efs *fs)
{
	int n = 0;

	for (int i = 0; i < EFS_HASH; i++)
		for (struct list *l = fs->hash[i].next; l != &fs->hash[i]; l = l->next) {
			struct ebuf *b = list_entry(l, struct ebuf, hash_link);

			n += b != fs->sbuf && b->refs > 0;
		}
	observe("kept %d", n);
}

/* ---- free blocks ---- */

enum { RUNS = 500 };

static struct { uint64_t start; uint32_t len; } runs[RUNS];
static int nruns;

static void
run_free(struct efs *fs)
{
	int i = observe_below(nruns);
	uint64_t start = runs[i].start;
	uint32_t len = runs[i].len, n = observe_below(2) ? 1 + observe_below(len) : len;

	observe("free %lu+%u: %d", start, n, efs_blocks_free(fs, start, n, false));
	runs[i].start += n;
	runs[i].len -= n;
	if (!runs[i].len)
		runs[i] = runs[--nruns];
}

static int
run_alloc(struct efs *fs, uint32_t most, bool promised)
{
	uint64_t goal = 0, start = 0;
	uint32_t want = 1 + observe_below(observe_below(3) ? most : 3), got = 0;
	int err;

	if (nruns && observe_below(2))
		goal = runs[nruns - 1].start + runs[nruns - 1].len;
	else if (observe_below(3))
		goal = observe_below(fs->sb->blocks + 100);
	err = efs_blocks_alloc(fs, goal, want, promised, &start, &got);
	observe("alloc %lu %u: %d %lu+%u left %lu", goal, want, err, err ? 0 : start, err ? 0 : got,
		fs->sb->free_blocks);
	if (!err && nruns < RUNS) {
		runs[nruns].start = start;
		runs[nruns++].len = got;
	}
	return err;
}

/* arg: steps, blocks wanted at most, frees in 8 steps, whether everything is taken in the end. */
OBSERVE(8, blocks_play)
{
	struct inode *root = inode_of("/");
	struct efs *fs = efs_of(root);
	uint32_t most = observe_number(1);

	super_sync(root->sb, true);
	efs_begin(fs);
	observe("left %lu data %lu end %lu", fs->sb->free_blocks, fs->sb->data_start, fs->sb->blocks);
	for (uint64_t i = observe_number(0); i > 0; i--)
		if (nruns && (nruns == RUNS || observe_below(8) < observe_number(2)))
			run_free(fs);
		else
			run_alloc(fs, most, true);
	observe("rest");
	for (int tries = 0, err = 0; observe_number(3) && !err && tries < 100000; tries++)
		err = run_alloc(fs, fs->sb->free_blocks < 100 ? 1 : most, true);
	efs_end(fs);
	super_sync(root->sb, true);
}

/* ---- extents ---- */

enum { EXTENTS = 2600 };

static void
map_look(struct efs *fs, struct einode *ei, uint32_t logical)
{
	uint64_t block = 0;
	uint32_t len = 0;
	int err = efs_extent_map(fs, ei, logical, &block, &len);

	observe("map %u: %d %lu %u", logical, err, block, len);
}

/* Every slot of 64 blocks of the file that `order` names gets an extent somewhere in it. */
static void
extents_add(struct efs *fs, struct einode *ei, uint16_t *order, int n)
{
	uint64_t block = 5000;

	for (int i = 0; i < n; i++) {
		struct efs_extent e = { .logical = order[i] * 64u + observe_below(30) };
		int err;

		e.len = 1 + observe_below(30);
		e.block = block += 100 + observe_below(50);
		err = efs_extent_add(fs, ei, e);
		observe("extent %u+%u at %lu: %d", e.logical, e.len, e.block, err);
		if (observe_below(8) == 0) {
			uint32_t at = order[observe_below(i + 1)] * 64;

			map_look(fs, ei, at + observe_below(64));
		}
	}
}

/* arg: how many, in order or shuffled, lookups. */
OBSERVE(8, extents_play)
{
	static uint16_t order[EXTENTS];
	struct einode *ei = einode_of(made("/extents", S_IFREG | 0644));
	struct efs *fs = efs_of(ei->ip);
	int n = observe_number(0) < EXTENTS ? observe_number(0) : EXTENTS;

	for (int i = 0; i < n; i++)
		order[i] = 1 + 2 * i + observe_below(2);
	for (int i = n - 1; i > 0 && observe_number(1); i--) {
		int k = observe_below(i + 1);
		uint16_t t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
	efs_begin(fs);
	extents_add(fs, ei, order, n);
	observe("now level %u", ei->di.level);
	for (uint64_t i = observe_number(2); i > 0; i--) {
		uint32_t at = observe_below(4) ? order[observe_below(n)] * 64 : observe_below((2 * n + 4) * 64);

		map_look(fs, ei, at + observe_below(70));
	}
	map_look(fs, ei, 0);
	map_look(fs, ei, 0xffffffff);
	show_kept(fs);
	efs_end(fs);
}

/* ---- directories ---- */

enum { NAMES = 1200 };

/* Names of which every second one has the hash of the one before (FNV-1a). */
static const char *const twins[][2] = { { "costarring", "liquid" }, { "declinate", "macallums" },
	{ "altarage", "zinke" } };

static uint8_t lengths[NAMES], there[NAMES];

static size_t
name_text(int i, bool clash, char *name)
{
	size_t n = clash ? snprintf(name, 256, "%s%d", twins[i / 2 % 3][i % 2], i / 2) :
		snprintf(name, 256, "%d.", i);

	for (; !clash && n < lengths[i]; n++)
		name[n] = 'a' + (i + n * 7) % 26;
	name[n] = 0;
	return n;
}

static int
name_step(struct inode *dir, struct inode *file, int i, const char *name, size_t len)
{
	struct inode *found;
	int err = dir->dops->lookup(dir, name, len, &found);

	observe("look %d: %d %d", i, err, err ? 0 : found == file);
	if (!err)
		inode_put(found);
	if (observe_below(4) == 0)
		return 0;
	if (err)
		err = dir->dops->link(dir, name, len, file);
	else
		err = dir->dops->unlink(dir, name, len, file);
	observe("%s %d: %d", there[i] ? "unlink" : "link", i, err);
	there[i] ^= err == 0;
	return err;
}

static void
names_round(struct inode *dir, struct inode *file, int n, int steps, bool clash)
{
	char name[256];

	for (int i = 0; i < steps; i++) {
		int k = steps == n ? i : (int)observe_below(n);
		size_t len = name_text(k, clash, name);

		name_step(dir, file, k, name, len);
	}
}

/* Everything is on the disk; then one more name goes. */
static void
last_change(struct inode *dir, struct inode *file, int n, bool clash)
{
	char name[256];
	int i = 0;

	mutex_unlock(&dir->sb->ns);
	super_sync(dir->sb, true);
	mutex_lock(&dir->sb->ns);
	while (i < n && !there[i])
		i++;
	if (i < n) {
		size_t len = name_text(i, clash, name);

		observe("unlink %d: %d", i, dir->dops->unlink(dir, name, len, file));
	}
}

/* arg: names, steps at random, whether their hashes are equal in pairs, longest name. */
OBSERVE(8, names_play)
{
	struct inode *dir = made("/names", S_IFDIR | 0755), *file = made("/file", S_IFREG | 0644);
	int n = observe_number(0) < NAMES ? observe_number(0) : NAMES;
	char name[256];

	for (int i = 0; i < n; i++) {
		lengths[i] = 5 + observe_below(observe_below(3) ? 40 : observe_number(3));
		name_text(i, observe_number(2), name);
		observe("name %d %s", i, name);
	}
	mutex_lock(&dir->sb->ns);
	names_round(dir, file, n, n, observe_number(2));
	names_round(dir, file, n, observe_number(1), observe_number(2));
	show_kept(efs_of(dir));
	last_change(dir, file, n, observe_number(2));
	mutex_unlock(&dir->sb->ns);
	super_sync(dir->sb, true);
}

/* All names added, all removed, all added in another order, and so on: how large is the directory then?
 * arg: names, a number that neither 7 nor 11 divides. */
OBSERVE(8, names_room)
{
	struct inode *dir = made("/names", S_IFDIR | 0755), *file = made("/file", S_IFREG | 0644);
	int n = observe_number(0), errors = 0;
	char name[256];

	for (int i = 0; i < n; i++)
		lengths[i] = 8 + observe_below(observe_below(3) ? 30 : 200);
	mutex_lock(&dir->sb->ns);
	for (int round = 0; round < 4; round++) {
		uint32_t bytes = 0;

		for (int i = 0; i < n; i++) {
			int k = (i * 7 + round) % n;
			size_t len = name_text(k, false, name);

			errors += dir->dops->link(dir, name, len, file) != 0;
			bytes += EFS_DIRENT_SIZE(len);
		}
		observe("round %d bytes %u size %lu errors %d", round, bytes, dir->size, errors);
		for (int i = 0; i < n && round < 3; i++) {
			int k = (i * 11 + round) % n;
			size_t len = name_text(k, false, name);

			errors += dir->dops->unlink(dir, name, len, file) != 0;
		}
		efs_begin(efs_of(dir));
		observe("empty %d", efs_dir_empty(efs_of(dir), dir));
		efs_end(efs_of(dir));
	}
	mutex_unlock(&dir->sb->ns);
	super_sync(dir->sb, true);
}
