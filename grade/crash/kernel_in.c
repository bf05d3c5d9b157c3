/* kernel_in.c - the kernel's own recovery, fs/journal, on the memory disk.
 *
 * Idea.       The sources of lab 9 are compiled for the host and see a file system of which only the
 *             superblock and the disk exist: all that recovery uses. It can be stopped at any of its
 *             writes, as a power cut would; what it has written since its last flush is then kept by
 *             chance, sector by sector.
 * Interface.  kernel_recover(), kernel_text; memdisk.h.
 * Invariants. I1 memory of one run is a piece of arena[], given back at the next.
 * Locks.      None: one thread.
 */
#include "fs/eclipsefs/efs.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define ARENA   (8u << 20)
#define WRITES  2048

/* memdisk.h includes headers of the host, which would clash with the kernel's */
void memdisk_put(uint64_t off, const void *data, size_t n);
const uint8_t *memdisk_bytes(void);
size_t memdisk_size(void);
uint64_t crash_random(uint64_t n);
int kernel_recover(int64_t cut_after);
extern char kernel_text[512];
extern _Noreturn void abort(void);
extern int vsnprintf(char *, size_t, const char *, va_list);

char kernel_text[512];

static const struct efs_txn_ops *ops;
static uint8_t arena[ARENA] __attribute__((aligned(16)));
static size_t arena_used;
static struct blockdev disk = { .name = "disk" };
static struct { uint64_t off; uint8_t before[EFS_BLOCK]; } since_flush[WRITES];
static size_t nsince;
static int64_t writes_left;		/* until the power goes; negative: it stays */
static void *cut_jump[5];

/* ---- kernel services ---- */

void *
kmalloc(size_t n)
{
	size_t room = (n + 31) & ~15ul;
	if (room > ARENA - arena_used)
		return NULL;
	uint8_t *p = arena + arena_used;
	arena_used += room;
	memcpy(p, &n, sizeof(n));
	memset(p + 16, 0xa5, n);
	return p + 16;
}

void *kzalloc(size_t n) { void *p = kmalloc(n); return p ? memset(p, 0, n) : NULL; }
void kfree(void *p) { (void)p; }

void *
krealloc(void *old, size_t n)
{
	void *p = kmalloc(n);
	size_t had = 0;
	if (p && old) {
		memcpy(&had, (uint8_t *)old - 16, sizeof(had));
		memcpy(p, old, had < n ? had : n);
	}
	return p;
}

uint64_t clock_ns(void) { return 0; }
uint64_t clock_wall_ns(void) { return 1700000000ul * NSEC; }
void waitq_init(struct waitq *q) { list_init(&q->waiters); }
void waitq_wake_all(struct waitq *q) { (void)q; }
void mutex_lock(struct mutex *m) { (void)m; }
void mutex_unlock(struct mutex *m) { (void)m; }
void efs_txn_register(const struct efs_txn_ops *o) { ops = o; }

static void __attribute__((format(printf, 1, 0)))
text_add(const char *fmt, va_list ap)
{
	size_t used = strlen(kernel_text);
	vsnprintf(kernel_text + used, sizeof(kernel_text) - used, fmt, ap);
}

void
klog(enum loglevel level, const char *fmt, ...)
{
	va_list ap;
	(void)level;
	va_start(ap, fmt);
	text_add(fmt, ap);
	va_end(ap);
}

int
efs_damage(struct efs *fs, const char *fmt, ...)
{
	va_list ap;
	fs->readonly = fs->damaged = true;
	va_start(ap, fmt);
	text_add(fmt, ap);
	va_end(ap);
	return -EIO;
}

void
panic_at(const char *file, int line, const char *fmt, ...)
{
	(void)file, (void)line, (void)fmt;
	abort();
}

/* ---- the disk ---- */

/* The power goes now: of each write since the last flush some sectors are kept. */
static _Noreturn void
power_cut(void)
{
	const uint8_t *now = memdisk_bytes();
	for (size_t i = nsince; i-- > 0;)
		for (uint32_t s = 0; s < EFS_BLOCK; s += SECTOR_SIZE)
			if (crash_random(2) && memcmp(now + since_flush[i].off + s, since_flush[i].before + s, SECTOR_SIZE) != 0)
				memdisk_put(since_flush[i].off + s, since_flush[i].before + s, SECTOR_SIZE);
	__builtin_longjmp(cut_jump, 1);
}

static int
disk_write(uint64_t off, const void *buf, size_t n)
{
	for (size_t at = 0; at < n; at += EFS_BLOCK) {
		if (writes_left >= 0 && nsince < WRITES) {
			since_flush[nsince].off = off + at;
			memcpy(since_flush[nsince++].before, memdisk_bytes() + off + at, EFS_BLOCK);
		}
		memdisk_put(off + at, (const uint8_t *)buf + at, EFS_BLOCK);
		if (writes_left >= 0 && writes_left-- == 0)
			power_cut();
	}
	return 0;
}

int
block_rw(struct blockdev *d, enum bio_op op, uint64_t sector, void *buf, uint32_t count)
{
	size_t n = (size_t)count * SECTOR_SIZE;
	if (sector > d->nsectors || count > d->nsectors - sector || n % EFS_BLOCK)
		return -EIO;
	if (op == BIO_WRITE)
		return disk_write(sector * SECTOR_SIZE, buf, n);
	memcpy(buf, memdisk_bytes() + sector * SECTOR_SIZE, n);
	return 0;
}

int
block_flush(struct blockdev *d)
{
	(void)d;
	nsince = 0;
	return 0;
}

void
bio_submit(struct bio *b)
{
	uint64_t sector = b->sector;
	b->error = 0;
	for (uint32_t i = 0; i < b->nvec && !b->error; i++) {
		uint32_t count = b->vec[i].len / SECTOR_SIZE;
		b->error = block_rw(b->dev, b->op, sector, P2V(b->vec[i].phys), count);
		sector += count;
	}
	b->done(b);
}

int bio_submit_wait(struct bio *b) { bio_submit(b); return b->error; }
void block_plug(void) { }
void block_unplug(void) { }

/* ---- recovery ---- */

static int
recover(struct efs *fs)
{
	const char *wrong = efs_super_check(fs->sb, disk.nsectors * SECTOR_SIZE / EFS_BLOCK);
	if (wrong || !ops || !fs->sb->journal_blocks)
		return -EINVAL;
	int err = ops->mount(fs);
	return err < 0 ? err : 0;
}

/* What mounting does with the log of the memory disk.
 *
 * Does:    stops at the write after `cut_after` others, if that is not negative.
 * Returns: 0; 1: it was cut off; -errno, kernel_text says why.
 */
int
kernel_recover(int64_t cut_after)
{
	static struct efs fs;
	static uint8_t super[EFS_BLOCK] __attribute__((aligned(16)));
	static struct ebuf sbuf = { .data = super, .magic = EBUF_SUPER, .refs = 1 };
	static struct super vsb;

	arena_used = nsince = 0;
	kernel_text[0] = 0;
	writes_left = cut_after;
	disk.nsectors = memdisk_size() / SECTOR_SIZE;
	memcpy(super, memdisk_bytes(), sizeof(super));
	fs = (struct efs){ .bdev = &disk, .sb = (struct efs_super *)super, .sbuf = &sbuf, .vsb = &vsb };
	if (__builtin_setjmp(cut_jump))
		return 1;
	return recover(&fs);
}
