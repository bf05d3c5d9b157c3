/* log.c - blocks into the ring, many at a time.                                                (lab 9)
 *
 * Idea.       Consecutive log blocks become one request of up to BIO_NVEC pieces; up to LOG_IOS requests are
 *             in flight. The blocks themselves (buffers, control blocks) are the pieces: nothing is copied.
 * Interface.  journal.h.
 * Invariants. I1 j->open is a request that has pieces and is not submitted. I2 a busy request is submitted
 *             and not yet done.
 * Locks.      fs->lock; completions touch busy and error, atomically.
 */
#include "fs/journal/journal.h"

#include "lib/abi/errno.h"

#define SECTORS_PER_BLOCK (EFS_BLOCK / SECTOR_SIZE)

/* A request is done. One for all logs: a waiter may free its log while the completion is still in here. */
static struct waitq log_io_wait = WAITQ(log_io_wait);

uint64_t
log_place(const struct journal *j, uint32_t ring)
{
	return j->area + ring;
}

/* The ring block n blocks after `ring`: after length-1 comes 1. */
uint32_t
log_after(const struct journal *j, uint32_t ring, uint32_t n)
{
	return (ring - 1 + n) % (j->length - 1) + 1;
}

static void
io_done(struct bio *b)
{
	struct log_io *io = container_of(b, struct log_io, bio);
	struct journal *j = b->arg;
	int none = 0;

	if (b->error)
		__atomic_compare_exchange_n(&j->error, &none, b->error, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	__atomic_store_n(&io->busy, false, __ATOMIC_RELEASE);
	waitq_wake_all(&log_io_wait);
}

void
log_start(struct journal *j)
{
	struct log_io *io = j->open;

	if (!io)
		return;
	j->open = NULL;
	io->busy = true;
	bio_submit(&io->bio);
}

/* A request that is not busy, or NULL. */
static struct log_io *
io_idle(struct journal *j)
{
	for (int i = 0; i < LOG_IOS; i++)
		if (!__atomic_load_n(&j->io[i].busy, __ATOMIC_ACQUIRE))
			return &j->io[i];
	return NULL;
}

static bool
io_all_idle(struct journal *j)
{
	for (int i = 0; i < LOG_IOS; i++)
		if (__atomic_load_n(&j->io[i].busy, __ATOMIC_ACQUIRE))
			return false;
	return true;
}

/* Queue `block` (EFS_BLOCK bytes, in the direct map) to be written at head. Errors are kept for log_wait. */
int
log_write(struct journal *j, void *block)
{
	struct log_io *io = j->open;

	if (!io) {
		wait_event(&log_io_wait, (io = io_idle(j)) != NULL, (void *)NULL);
		io->bio = (struct bio){ .op = BIO_WRITE, .sector = log_place(j, j->head) * SECTORS_PER_BLOCK,
			.vec = io->vec, .dev = j->fs->bdev, .done = io_done, .arg = j };
		j->open = io;
	}
	io->vec[io->bio.nvec++] = (struct bio_vec){ .phys = V2P(block), .len = EFS_BLOCK };
	uint32_t next = log_after(j, j->head, 1);
	if (io->bio.nvec == BIO_NVEC || next != j->head + 1)
		log_start(j);
	j->head = next;
	return 0;
}

int
log_wait(struct journal *j)
{
	log_start(j);
	wait_event(&log_io_wait, io_all_idle(j), (void *)NULL);
	return __atomic_exchange_n(&j->error, 0, __ATOMIC_ACQ_REL);
}

int
log_block_read(struct journal *j, uint64_t block, void *buf)
{
	return block_rw(j->fs->bdev, BIO_READ, block * SECTORS_PER_BLOCK, buf, SECTORS_PER_BLOCK);
}

int
log_block_write(struct journal *j, uint64_t block, void *buf)
{
	return block_rw(j->fs->bdev, BIO_WRITE, block * SECTORS_PER_BLOCK, buf, SECTORS_PER_BLOCK);
}

/* Say on the disk where the log begins (0: it is empty) and which number comes there. Durable on return.
 * 0 or -EIO. */
int
log_super_write(struct journal *j, uint32_t start)
{
	efs_mb_init(j->super, EFS_MB_JSUPER, j->area, j->fs->sb->fsid, 0);
	j->super->length = j->length;
	j->super->start = start;
	j->super->seq = j->seq;
	efs_mb_seal(j->super);
	int err = log_block_write(j, j->area, j->super);
	return err ? err : block_flush(j->fs->bdev);
}

/* Read it: j->seq and *start. Returns 0, -EIO (read error, or not a log superblock). */
int
log_super_read(struct journal *j, uint32_t *start)
{
	int err = log_block_read(j, j->area, j->super);

	if (err)
		return err;
	if (efs_mb_check(j->super, EFS_MB_JSUPER, j->area, j->fs->sb->fsid, 0) || j->super->length != j->length ||
	    j->super->start >= j->length || j->super->seq == 0)
		return -EIO;
	j->seq = j->super->seq;
	*start = j->super->start;
	return 0;
}
