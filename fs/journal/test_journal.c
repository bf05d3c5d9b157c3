/* test_journal.c - a disk that knows the law, and tests that give it something to judge.        (lab 9)
 *
 * Idea.       The disk of these tests (fs/eclipsefs/test_disk.c) shows us every request before it is done. So
 *             J1 to J6 of journal.h are checked where they count: at the disk, at each write, against what a
 *             power cut in this very moment would leave:
 *
 *             durable     the disk as of its last flush
 *             log_read    what the log on `durable` says, by a reader of its own (FORMAT.md section 8)
 *
 *             A rule that is broken is counted, and so is every time that it had something to say: a test in
 *             which a rule was never tried proves nothing.
 * Interface.  KTESTs.
 * Invariants. None.
 * Locks.      law_lock: the flusher may write beside the test.
 */
#include "fs/journal/journal.h"

#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/test_disk.h"
#include "fs/vfs/names.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define DIR    TESTFS_DIR
#define BLOCKS 900u
#define LOG    (2 * EFS_JOURNAL_MIN)
#define WORD   0x4154414441544144ul	/* what all file data here consists of: "DATADATA" */
#define IMAGES 512u

struct image {
	uint64_t block, seq;
	uint32_t at;			/* log block; 0: a revoke */
};

static uint8_t *durable;
static struct image images[IMAGES];	/* of the complete transactions in the durable log, in order */
static uint32_t nimages;
static bool live[LOG];			/* log blocks that belong to them */
static uint64_t newest;			/* number of the newest of them */
static uint32_t unflushed;		/* blocks of data written since the last flush */
static uint32_t broken[7], tried[7];	/* by rule; [0] is not used */
static struct spinlock law_lock = SPINLOCK("journal test", RANK(6, 99));

/* ---- reading the log ---- */

static void *
durable_block(uint64_t n)
{
	return durable + n * EFS_BLOCK;
}

static void
image_note(uint64_t block, uint64_t seq, uint32_t at)
{
	if (nimages < IMAGES)
		images[nimages++] = (struct image){ block, seq, at };
}

/* One transaction from *ring on: its images and revokes are noted. False: there is no complete one with this
 * number. */
static bool
transaction_read(uint64_t seq, uint32_t *ring)
{
	uint32_t controls = 0, chain = 0, at = *ring, fsid = ((struct efs_super *)durable)->fsid;

	for (uint32_t left = LOG - 1; left > 0; left--, controls++) {
		struct efs_jdesc *d = durable_block(EFS_FIRST_AREA + at);
		uint32_t n = d->mb.magic == EFS_MB_JDESC ? d->count : 0;
		if (efs_mb_check(d, d->mb.magic, EFS_FIRST_AREA + at, fsid, 0) || d->mb.seq != seq)
			return false;
		live[at] = true;
		at = at % (LOG - 1) + 1;
		if (d->mb.magic == EFS_MB_JCOMMIT) {
			*ring = at;
			return ((struct efs_jcommit *)d)->controls == controls && ((struct efs_jcommit *)d)->chain == chain;
		}
		chain = crc32c(chain, &d->mb.crc, sizeof(d->mb.crc));
		for (uint32_t i = 0; d->mb.magic == EFS_MB_JREVOKE && i < d->count; i++)
			image_note(((struct efs_jrevoke *)d)->blocks[i], seq, 0);
		for (uint32_t i = 0; i < n; i++, at = at % (LOG - 1) + 1) {
			live[at] = true;
			image_note(d->tags[i].block, seq, at);
			if (crc32c(0, durable_block(EFS_FIRST_AREA + at), EFS_BLOCK) != d->tags[i].crc)
				return false;
		}
	}
	return false;
}

/* All complete transactions of the durable log. Returns the number that comes after them. */
static uint64_t
log_read(void)
{
	struct efs_jsuper *js = durable_block(EFS_FIRST_AREA);
	uint64_t seq = js->seq;
	uint32_t ring = js->start;

	nimages = 0;
	memset(live, 0, sizeof(live));
	while (ring) {
		uint32_t kept = nimages;
		bool was[LOG];
		memcpy(was, live, sizeof(was));
		if (transaction_read(seq, &ring)) {
			seq++;
			continue;
		}
		nimages = kept;
		memcpy(live, was, sizeof(was));
		break;
	}
	return seq;
}

/* What replay would write to `block`: its newest image, unless a later transaction revoked it. Or NULL. */
static const void *
image_last(uint64_t block)
{
	const struct image *last = NULL;
	uint64_t revoked = 0;

	for (uint32_t i = 0; i < nimages; i++) {
		if (images[i].block != block)
			continue;
		if (images[i].at)
			last = &images[i];
		else
			revoked = images[i].seq;
	}
	return last && revoked <= last->seq ? durable_block(EFS_FIRST_AREA + last->at) : NULL;
}

/* Does the log know `block` at all, be it revoked? */
static bool
image_noted(uint64_t block)
{
	for (uint32_t i = 0; i < nimages; i++)
		if (images[i].block == block)
			return true;
	return false;
}

/* ---- the law ---- */

static void
rule(int number, bool kept)
{
	tried[number]++;
	broken[number] += !kept;
}

/* Is `block` in use, by the last complete transaction? */
static bool
in_use(uint64_t block)
{
	const struct efs_bitmap *map = image_last(testfs.map);

	if (!map)
		map = durable_block(testfs.map);
	return map->bits[block / 64] >> block % 64 & 1;
}

/* The log's superblock says that some transactions are not needed any more: what they hold must be home. */
static void
space_judge(const struct efs_jsuper *js)
{
	for (uint32_t i = 0; i < nimages; i++) {
		const void *image = images[i].at ? image_last(images[i].block) : NULL;
		bool dropped = !js->start || images[i].seq < js->seq;
		if (image && dropped && images[i].block != EFS_SUPER_BLOCK)
			rule(4, memcmp(image, durable_block(images[i].block), EFS_BLOCK) == 0);
	}
}

/* Block n is about to be written. */
static void
write_judge(uint64_t n, const void *data)
{
	const struct efs_mb *mb = data;
	const void *image = image_last(n);

	if (n == EFS_FIRST_AREA) {
		space_judge(data);
	} else if (n > EFS_FIRST_AREA && n < EFS_FIRST_AREA + LOG) {
		rule(5, !live[n - EFS_FIRST_AREA]);
		if (mb->magic == EFS_MB_JCOMMIT && mb->seq > newest)
			rule(2, unflushed == 0);
	} else if (*(const uint64_t *)data == WORD) {
		unflushed++;
		rule(3, !in_use(n));
		if (image_noted(n))
			rule(6, !image);
	} else if (n != EFS_BACKUP_BLOCK) {
		rule(1, memcmp(data, image ? image : durable_block(n), EFS_BLOCK) == 0);
	}
}

/* testfs.watch. */
static int
law_watch(const struct bio *b)
{
	uint64_t n = b->disk_sector / (EFS_BLOCK / SECTOR_SIZE);

	if (b->op == BIO_READ)
		return 0;
	spin_lock(&law_lock);
	for (uint32_t i = 0; b->op == BIO_WRITE && i < b->nvec; i++)
		for (uint32_t off = 0; off < b->vec[i].len; off += EFS_BLOCK)
			write_judge(n++, (const uint8_t *)P2V(b->vec[i].phys) + off);
	if (b->op == BIO_FLUSH) {
		memcpy(durable, testfs.memory, BLOCKS * EFS_BLOCK);
		unflushed = 0;
		uint64_t end = log_read();
		rule(4, end > newest);
		newest = end - 1;
	}
	spin_unlock(&law_lock);
	return 0;
}

/* ---- work ---- */

static void
law_begin(void)
{
	testfs_begin(BLOCKS, LOG);
	durable = kmalloc(BLOCKS * EFS_BLOCK);
	CHECK(durable);
	testfs_format();
	memcpy(durable, testfs.memory, BLOCKS * EFS_BLOCK);
	memset(broken, 0, sizeof(broken));
	memset(tried, 0, sizeof(tried));
	newest = unflushed = nimages = 0;
	memset(live, 0, sizeof(live));
	testfs.watch = law_watch;
	CHECK_EQ(testfs_attach(0), 0);
}

/* The rules of the test must have been tried, and none at all broken. */
static void
law_end(int first, int second)
{
	testfs_detach();
	testfs.watch = NULL;
	for (int i = 1; i < 7; i++)
		if (broken[i])
			ktest_fail(__FILE__, __LINE__, "J%d was broken %u of %u times", i, broken[i], tried[i]);
	CHECK(tried[first] > 0 && tried[second] > 0);
	kfree(durable);
	durable = NULL;
	testfs_end();
}

static const char *
path_of(const char *base, int i)
{
	static char name[64];

	snprintf(name, sizeof(name), DIR "/%s%d", base, i);
	return name;
}

/* A new file of n blocks. Returns 0 or -errno. */
static int
file_make(const char *base, int i, int n)
{
	static uint64_t block[EFS_BLOCK / 8];
	int err = testfs_make(path_of(base, i), S_IFREG);

	for (unsigned k = 0; k < EFS_BLOCK / 8; k++)
		block[k] = WORD;
	for (int k = 0; k < n && !err; k++) {
		long got = testfs_write(path_of(base, i), (uint64_t)k * EFS_BLOCK, block, EFS_BLOCK);
		err = got < 0 ? (int)got : 0;
	}
	return err;
}

static int
file_drop(const char *base, int i)
{
	return vfs_unlink(AT_FDCWD, path_of(base, i), false);
}

/* Does file i hold n blocks of what file_make wrote? */
static bool
file_good(const char *base, int i, int n)
{
	uint64_t back[8];
	bool good = true;

	for (int k = 0; k < n && good; k++) {
		uint64_t last = (k + 1ul) * EFS_BLOCK - sizeof(back);
		good = testfs_read(path_of(base, i), last, back, sizeof(back)) == sizeof(back);
		for (unsigned w = 0; w < 8 && good; w++)
			good = back[w] == WORD;
	}
	return good;
}

/* ---- the invariants ---- */

/* Many small changes, few of them made durable; the log is gone through several times. */
KTEST(9, journal_write_ahead)
{
	law_begin();
	for (int i = 0; i < 120; i++) {
		CHECK_EQ(file_make("f", i, i % 3), 0);
		if (i >= 8)
			CHECK_EQ(file_drop("f", i - 8), 0);
		if (i % 4 == 3)
			CHECK_EQ(testfs_fsync(path_of("f", i)), 0);
	}
	law_end(1, 5);
}

/* Data is durable before its metadata, at every fsync. */
KTEST(9, journal_order)
{
	law_begin();
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(file_make("f", i, 5), 0);
		CHECK_EQ(testfs_fsync(path_of("f", i)), 0);
		CHECK_EQ(unflushed, 0);
	}
	law_end(2, 4);
}

/* The first free blocks of the disk were freed a moment ago; those after them long ago; the rest is full. */
KTEST(9, journal_no_reuse)
{
	int rest;

	law_begin();
	rest = BLOCKS - testfs.data - 360 - 20;
	CHECK_EQ(file_make("first", 0, 60), 0);
	CHECK_EQ(testfs_fsync(path_of("first", 0)), 0);
	CHECK_EQ(file_make("second", 0, 300), 0);
	CHECK_EQ(testfs_fsync(path_of("second", 0)), 0);
	CHECK_EQ(file_make("rest", 0, rest), 0);
	CHECK_EQ(testfs_fsync(path_of("rest", 0)), 0);
	CHECK_EQ(file_drop("second", 0), 0);
	CHECK_EQ(testfs_fsync(DIR), 0);
	CHECK_EQ(file_drop("first", 0), 0);
	CHECK_EQ(file_make("new", 0, 50), 0);
	CHECK_EQ(testfs_fsync(path_of("new", 0)), 0);
	CHECK(file_good("new", 0, 50));
	law_end(3, 2);
}

/* Transactions follow without a gap; no live one is overwritten, none is dropped before it is home. */
KTEST(9, journal_log)
{
	law_begin();
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(testfs_make(path_of("d", i), S_IFDIR), 0);
		CHECK_EQ(testfs_fsync(path_of("d", i)), 0);
	}
	CHECK(newest >= 40);
	law_end(4, 5);
}

/* Blocks of directories become blocks of files, while the log still has them as directories. */
KTEST(9, journal_revoke)
{
	law_begin();
	/* little room is left: what is free comes round soon */
	CHECK_EQ(file_make("fill", 0, BLOCKS - testfs.data - 30), 0);
	CHECK_EQ(testfs_fsync(path_of("fill", 0)), 0);
	for (int i = 0; i < 12; i++) {
		char inner[80];
		CHECK_EQ(testfs_make(path_of("d", i), S_IFDIR), 0);
		snprintf(inner, sizeof(inner), "%s/x", path_of("d", i));
		CHECK_EQ(testfs_make(inner, S_IFREG), 0);
		CHECK_EQ(testfs_fsync(inner), 0);
		CHECK_EQ(file_make("between", i, 16), 0);
		CHECK_EQ(testfs_fsync(path_of("between", i)), 0);
		CHECK_EQ(file_drop("between", i), 0);
		CHECK_EQ(vfs_unlink(AT_FDCWD, inner, false), 0);
		CHECK_EQ(vfs_unlink(AT_FDCWD, path_of("d", i), true), 0);
		CHECK_EQ(testfs_fsync(DIR), 0);
		CHECK_EQ(file_make("f", i, 16), 0);
		CHECK_EQ(testfs_fsync(path_of("f", i)), 0);
		CHECK_EQ(file_drop("f", i), 0);
	}
	law_end(6, 3);
}

/* ---- recovery ---- */

/* Mount what a power cut left; the disk dies after `cut` requests, if not 0. Returns whether it did. */
static bool
recovery_cut(const uint8_t *crashed, int cut)
{
	memcpy(testfs.memory, crashed, BLOCKS * EFS_BLOCK);
	testfs.fail_after = cut;
	int err = testfs_attach(0);
	bool died = cut && testfs.fail_after == 1;

	testfs.fail_after = 0;
	if (!err)
		testfs_detach();
	return died;
}

/* Recovery that is cut off at any point and done again comes to the same end. */
KTEST(9, journal_recovery)
{
	uint8_t *crashed = kmalloc(BLOCKS * EFS_BLOCK), *after = kmalloc(BLOCKS * EFS_BLOCK);
	const uint32_t from = EFS_FIRST_AREA + LOG, n = (BLOCKS - from) * EFS_BLOCK;
	int cut = 0;

	law_begin();
	for (int i = 0; i < 6; i++) {
		CHECK_EQ(file_make("f", i, 2), 0);
		CHECK_EQ(testfs_fsync(path_of("f", i)), 0);
	}
	memcpy(crashed, durable, BLOCKS * EFS_BLOCK);
	law_end(2, 4);
	testfs_begin(BLOCKS, LOG);
	while (recovery_cut(crashed, cut) || cut == 0) {
		CHECK_EQ(testfs_attach(0), 0);
		for (int i = 0; i < 6; i++)
			CHECK(file_good("f", i, 2));
		testfs_detach();
		if (cut == 0)
			memcpy(after, testfs_block(from), n);
		CHECK_EQ(memcmp(after, testfs_block(from), n), 0);
		cut++;
	}
	CHECK(cut > 20);
	testfs_end();
	kfree(crashed);
	kfree(after);
}

/* ---- a disk that fails ---- */

static enum bio_op fail_op;
static uint64_t fail_first, fail_end;	/* blocks */

static int
fail_watch(const struct bio *b)
{
	uint64_t n = b->disk_sector / (EFS_BLOCK / SECTOR_SIZE);

	return b->op == fail_op && (b->op == BIO_FLUSH || (n >= fail_first && n < fail_end)) ? -EIO : 0;
}

/* The disk begins to fail such requests: fsync says so, nothing can be changed, promises are kept. */
static void
failing_disk(enum bio_op op, uint64_t first, uint64_t end)
{
	testfs_begin(BLOCKS, LOG);
	testfs_format();
	CHECK_EQ(testfs_attach(0), 0);
	CHECK_EQ(file_make("kept", 0, 3), 0);
	CHECK_EQ(testfs_fsync(path_of("kept", 0)), 0);
	fail_op = op, fail_first = first, fail_end = end;
	testfs.watch = fail_watch;
	CHECK_EQ(file_make("lost", 0, 3), 0);
	CHECK_EQ(testfs_fsync(path_of("lost", 0)), -EIO);
	CHECK_EQ(testfs_fsync(path_of("lost", 0)), -EIO);       /* and it does not forget */
	testfs.watch = NULL;
	CHECK_EQ(testfs_fsync(path_of("lost", 0)), -EIO);
	CHECK(testfs_make(path_of("new", 0), S_IFREG) < 0);
	CHECK(file_good("kept", 0, 3));
	testfs_detach();
	CHECK_EQ(((struct efs_super *)testfs.memory)->state & EFS_ERRORS, EFS_ERRORS);
	CHECK_EQ(testfs_attach(0), 0);
	CHECK(file_good("kept", 0, 3));
	CHECK(testfs_make(path_of("new", 0), S_IFREG) < 0);      /* until fsck has looked at it */
	testfs_detach();
	testfs_end();
}

KTEST(9, journal_bad_log)
{
	failing_disk(BIO_WRITE, EFS_FIRST_AREA + 1, EFS_FIRST_AREA + LOG);
}

KTEST(9, journal_bad_flush)
{
	failing_disk(BIO_FLUSH, 0, 0);
}

/* Data that cannot be written: the transaction that would show the blocks must not commit. */
KTEST(9, journal_bad_data)
{
	failing_disk(BIO_WRITE, EFS_FIRST_AREA + LOG + 42, BLOCKS);
}
