/* buf.c - a cache of checked metadata blocks, and their way home.                              (lab 8)
 *
 * Idea.       Found by number in a hash; read and checked when absent; thrown out least recently used first
 *             when clean and unused. Checksums are looked at when a block comes in and set when it goes
 *             out, never in between.
 *
 *                 absent --efs_buf_get--> clean <--efs_bufs_write-- dirty
 *                    ^---- limit ---------'   `----efs_buf_dirty-----^
 *
 * Interface.  efs.h. efs_damage() is how everybody in this lab says that the disk is wrong.
 * Invariants. I1 clean and dirty lists hold every buffer once; nclean, ndirty count them.
 *             I2 a buffer was checked, or made by efs_buf_new(), before anybody sees it.
 * Locks.      fs->lock around everything. Completions touch only fs->inflight and the request.
 */
#include "fs/eclipsefs/efs.h"

#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define COMPLAINTS_MAX 20
#define SECTORS_PER_BLOCK (EFS_BLOCK / SECTOR_SIZE)

struct efs_write {
	struct bio bio;
	struct bio_vec vec;
	struct ebuf *b;
};

/* Writers wait here for their fs->inflight to reach 0; one for all, so that it outlives every file system. */
static struct waitq idle = WAITQ(idle);

static void
buf_mark(struct efs *fs, struct ebuf *b)
{
	if (b->dirty)
		return;
	b->dirty = true;
	list_remove(&b->link);
	list_push_back(&fs->dirty, &b->link);
	fs->nclean--;
	fs->ndirty++;
}

/* The disk is not what it should be: say so (the first times), and take no more changes.
 *
 * Requires: fs->lock, or a mount that is not finished.
 * Returns:  -EIO, for the caller to return.
 */
int
efs_damage(struct efs *fs, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	if (__atomic_fetch_add(&fs->complaints, 1, __ATOMIC_RELAXED) < COMPLAINTS_MAX) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		klog(LOG_ERR, "eclipsefs %s: damaged: %s%s\n", fs->bdev->name, text, fs->readonly ? "" : "; now read-only");
	}
	fs->damaged = true;
	if (!fs->readonly) {
		fs->readonly = true;
		__atomic_fetch_or(&fs->vsb->flags, MS_RDONLY, __ATOMIC_RELAXED);
		fs->sb->state |= EFS_ERRORS;
		buf_mark(fs, fs->sbuf);
	}
	return -EIO;
}

static struct list *
hash_of(struct efs *fs, uint64_t block)
{
	return &fs->hash[block * 0x9e3779b97f4a7c15ul >> 54];
}

static struct ebuf *
buf_find(struct efs *fs, uint64_t block)
{
	list_for_each(b, hash_of(fs, block), struct ebuf, hash_link)
		if (b->block == block)
			return b;
	return NULL;
}

static void
buf_free(struct efs *fs, struct ebuf *b)
{
	list_remove(&b->hash_link);
	list_remove(&b->link);
	b->dirty ? fs->ndirty-- : fs->nclean--;
	kfree(b->data);
	kfree(b);
}

static struct ebuf *
buf_memory(void)
{
	struct ebuf *b = kzalloc(sizeof(*b));

	if (b && !(b->data = kmalloc(EFS_BLOCK))) {
		kfree(b);
		b = NULL;
	}
	return b;
}

/* A transaction that has begun must not stop half way for want of memory: there are buffers for it beforehand.
 * Requires: fs->lock. Returns 0 or -ENOMEM. */
int
efs_spares_fill(struct efs *fs)
{
	while (fs->nspares < EFS_SPARES) {
		struct ebuf *b = buf_memory();
		if (!b)
			return fs->nspares < 3 * EFS_SPARES / 4 ? -ENOMEM : 0;
		list_push_back(&fs->spares, &b->link);
		fs->nspares++;
	}
	return 0;
}

/* An empty buffer for `block`, in use, on no list but the hash; an old one may be thrown out for it. */
static struct ebuf *
buf_alloc(struct efs *fs, uint64_t block, uint32_t magic)
{
	struct ebuf *b = list_first(&fs->clean, struct ebuf, link);

	if (fs->nclean >= fs->limit && b && !b->refs)
		buf_free(fs, b);
	b = buf_memory();
	if (!b && (b = list_first(&fs->spares, struct ebuf, link))) {
		list_remove(&b->link);
		fs->nspares--;
	}
	if (!b)
		return NULL;
	b->block = block;
	b->magic = magic;
	b->refs = 1;
	list_push_front(hash_of(fs, block), &b->hash_link);
	list_push_back(&fs->clean, &b->link);
	fs->nclean++;
	return b;
}

/* What is wrong with a block just read, or NULL. */
static const char *
buf_check(struct efs *fs, const struct ebuf *b, uint32_t owner)
{
	if (b->magic == EBUF_RAW || b->magic == EBUF_SUPER)
		return NULL;
	const char *wrong = efs_mb_check(b->data, b->magic, b->block, fs->sb->fsid, owner);
	if (wrong)
		return wrong;
	if (b->magic == EFS_MB_DIR)
		return efs_dir_check(b->data);
	if (b->magic == EFS_MB_EXTENT) {
		const struct efs_extent_node *n = (const struct efs_extent_node *)b->data;
		if (n->count == 0 || n->count > EFS_NODE_EXTENTS || n->level >= EFS_MAX_LEVEL)
			return "impossible extent node";
		return efs_extents_check(fs->sb, n->extents, n->count, n->level, 0, 1ul << 32);
	}
	return NULL;
}

/* Read a buffer's block. A disk may end within the last one of a 2.0 image: the rest is zeros. */
static int
buf_read(struct efs *fs, struct ebuf *b)
{
	uint64_t sector = b->block * SECTORS_PER_BLOCK, end = fs->bdev->nsectors, n = SECTORS_PER_BLOCK;

	if (b->magic == EBUF_RAW && sector < end && end - sector < n) {
		n = end - sector;
		memset(b->data, 0, EFS_BLOCK);
	}
	return block_rw(fs->bdev, BIO_READ, sector, b->data, n);
}

/* The block as a buffer of this kind, in use until efs_buf_put.
 *
 * Does:     reads and checks it unless it is cached.
 * Returns:  0; -EIO: the disk failed, or damage (said so); -ENOMEM. May sleep.
 */
int
efs_buf_get(struct efs *fs, uint64_t block, uint32_t magic, uint32_t owner, struct ebuf **out)
{
	struct ebuf *b = buf_find(fs, block);

	if (b) {
		bool headed = magic != EBUF_RAW && magic != EBUF_SUPER;
		if (b->magic != magic || (headed && ((struct efs_mb *)b->data)->owner != owner))
			return efs_damage(fs, "block %lu is used for two things", block);
		b->refs++;
		if (!b->dirty) {
			list_remove(&b->link);
			list_push_back(&fs->clean, &b->link);
		}
		*out = b;
		return 0;
	}
	b = buf_alloc(fs, block, magic);
	if (!b)
		return -ENOMEM;
	int err = buf_read(fs, b);
	const char *wrong = err ? NULL : buf_check(fs, b, owner);
	if (wrong)
		err = efs_damage(fs, "block %lu: %s", block, wrong);
	if (err) {
		buf_free(fs, b);
		return err;
	}
	*out = b;
	return 0;
}

/* A fresh block of this kind, zero but for its head, in use and dirty, whatever the disk has there.
 * Returns 0 or -ENOMEM; -EIO when the block is in use as something else (damage). */
int
efs_buf_new(struct efs *fs, uint64_t block, uint32_t magic, uint32_t owner, struct ebuf **out)
{
	struct ebuf *b = buf_find(fs, block);

	if (b && b->refs)
		return efs_damage(fs, "block %lu is used for two things", block);
	if (b) {
		b->magic = magic;
		b->refs = 1;
	} else {
		b = buf_alloc(fs, block, magic);
		if (!b)
			return -ENOMEM;
	}
	efs_mb_init(b->data, magic, block, fs->sb->fsid, owner);
	efs_buf_dirty(fs, b);
	*out = b;
	return 0;
}

void
efs_buf_put(struct efs *fs, struct ebuf *b)
{
	(void)fs;
	assert(b->refs > 0);
	b->refs--;
}

/* The caller changes the buffer in this transaction: it goes home some time after that. */
void
efs_buf_dirty(struct efs *fs, struct ebuf *b)
{
	buf_mark(fs, b);
	b->sealed = false;
	if (fs->txn->dirty)
		fs->txn->dirty(fs, b);
}

/* The block was freed: what the cache has of it never goes home. Nobody uses it now. */
void
efs_buf_forget(struct efs *fs, uint64_t block)
{
	struct ebuf *b = buf_find(fs, block);

	if (b && !b->refs)
		buf_free(fs, b);
}

/* ---- writing ---- */

static void
write_done(struct bio *bio)
{
	struct efs *fs = bio->arg;

	if (__atomic_sub_fetch(&fs->inflight, 1, __ATOMIC_ACQ_REL) == 0)
		waitq_wake_all(&idle);
}

/* Take the first dirty buffers for writing; returns how many. */
static int
batch_fill(struct efs *fs)
{
	int n = 0;

	for (; n < EFS_BATCH && !list_empty(&fs->dirty); n++) {
		struct efs_write *w = &fs->batch[n];
		struct ebuf *b = list_entry(list_pop_front(&fs->dirty), struct ebuf, link);
		if (b->magic == EBUF_SUPER)
			efs_super_seal((struct efs_super *)b->data);
		else if (!b->sealed)
			efs_mb_seal(b->data);
		b->sealed = true;
		w->b = b;
		w->vec = (struct bio_vec){ .phys = V2P(b->data), .len = EFS_BLOCK };
		w->bio = (struct bio){
			.op = BIO_WRITE, .sector = b->block * SECTORS_PER_BLOCK, .nvec = 1, .vec = &w->vec,
			.dev = fs->bdev, .done = write_done, .arg = fs,
		};
	}
	return n;
}

/* Write all dirty buffers home and wait for it (not for the device's cache). What failed stays dirty.
 *
 * Requires: fs->lock; not with a journal that holds some of them back.
 * Returns:  0 or the first error.
 */
int
efs_bufs_write(struct efs *fs)
{
	struct list failed = LIST_INIT(failed);
	int err = 0, n;

	while ((n = batch_fill(fs)) > 0) {
		fs->inflight = n;
		block_plug();
		for (int i = 0; i < n; i++)
			bio_submit(&fs->batch[i].bio);
		block_unplug();
		wait_event(&idle, !__atomic_load_n(&fs->inflight, __ATOMIC_ACQUIRE), (void *)NULL);
		for (int i = 0; i < n; i++) {
			struct ebuf *b = fs->batch[i].b;
			int e = fs->batch[i].bio.error;
			err = err ? err : e;
			b->dirty = e != 0;
			list_push_back(e ? &failed : &fs->clean, &b->link);
			fs->ndirty -= !e;
			fs->nclean += !e;
		}
	}
	list_splice_back(&fs->dirty, &failed);
	return err;
}

/* Make an empty cache. 0 or -ENOMEM (efs_bufs_free cleans up). */
int
efs_bufs_init(struct efs *fs)
{
	fs->limit = page_count_total() / 32 + 64;
	list_init(&fs->clean);
	list_init(&fs->dirty);
	list_init(&fs->spares);
	fs->hash = kmalloc(EFS_HASH * sizeof(*fs->hash));
	fs->batch = kmalloc(EFS_BATCH * sizeof(*fs->batch));
	for (int i = 0; fs->hash && i < EFS_HASH; i++)
		list_init(&fs->hash[i]);
	return fs->hash && fs->batch ? 0 : -ENOMEM;
}

/* Free all buffers, written or not. */
void
efs_bufs_free(struct efs *fs)
{
	struct ebuf *b;

	while ((b = list_first(&fs->clean, struct ebuf, link)) || (b = list_first(&fs->dirty, struct ebuf, link)))
		buf_free(fs, b);
	while ((b = list_first(&fs->spares, struct ebuf, link))) {
		list_remove(&b->link);
		kfree(b->data);
		kfree(b);
	}
	kfree(fs->hash);
	kfree(fs->batch);
}
