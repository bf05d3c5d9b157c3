/* journal.h - the write-ahead log of one mounted EclipseFS.                                    (lab 9)
 *
 * Idea.       The promise is at the top of FORMAT.md: power may fail at any moment, and what is found then is
 *             whole, not older than what was promised, and free of what is foreign. But a disk writes one
 *             block at a time, in any order, and a change touches many. So: metadata blocks changed between
 *             efs_begin() and efs_end() belong to the running transaction. A commit copies all of them to the
 *             log and makes that durable; only then may they go to their home places. After a crash either
 *             the log has the whole transaction, and replay finishes it, or it does not, and no home place
 *             has seen any of it.
 *
 *             running --commit--> in the log, durable --checkpoint--> home, durable; log space free again
 *                                        `------ crash: replayed at mount ------^
 *
 *             The ring in blocks, 0 being its superblock:
 *
 *             | super | free .. | tail: oldest not home | ... | newest | head: next to write | .. free |
 *
 *             Why recovery is right is argued in FORMAT.md, section 9, from these invariants; section 11 says
 *             for each where the code asserts it, which test tries it, and which broken journals the crash
 *             tests must find out.
 * Interface.  Fills struct efs_txn_ops (fs/eclipsefs/efs.h); FORMAT.md section 8 is the disk side.
 * Invariants. J1 (write-ahead) a buffer changed by the running transaction is never written home.
 *             J2 (order) file data that the running transaction makes reachable is durable before its commit
 *                block is written; if it cannot be written, the transaction does not commit.
 *             J3 (no reuse) a block freed by a transaction is not handed out before that transaction is
 *                durable.
 *             J4 (log) from tail to head lie complete transactions numbered without a gap; all that is not
 *                home is among them.
 *             J5 (space) log space is overwritten only after the superblock on the disk no longer counts it,
 *                durably.
 *             J6 (revoke) the log never replays a block over what a later owner wrote there as file data.
 *             J7 (recovery) cut off anywhere and begun again, recovery comes to the same end.
 *             J8 (failure) when log, flush or data of J2 cannot be written, callers get -EIO, nothing changes
 *                any more, and nobody forgets it.
 * Locks.      fs->lock guards everything here.
 */
#ifndef FS_JOURNAL_JOURNAL_H
#define FS_JOURNAL_JOURNAL_H

#include "fs/eclipsefs/efs.h"

#define LOG_IOS 8			/* requests in flight while the log is written */
#define LOG_BLOCKS_MAX (1u << 17)	/* a larger log is refused: 512 MiB */
#define LOG_STEP 24			/* log blocks, at most, that a change takes between two looks at efs_full() */
#define FREED_STEP 16			/* runs of blocks that it frees meanwhile, at most */
#define BUSY_SPARES 8
#define BLOCKS_LOW 256			/* fewer free blocks than that: do not keep others back */

/* One request of consecutive log blocks. */
struct log_io {
	struct bio bio;
	struct bio_vec vec[BIO_NVEC];
	bool busy;			/* [a] */
};

struct freed { uint64_t block, len; };

/* key: I immutable after mount; f fs->lock */
struct journal {
	struct efs *fs;			/* [I] */
	uint64_t area;			/* [I] first block of the log area: its superblock */
	uint32_t length;		/* [I] blocks of the area */
	uint32_t margin;		/* [I] blocks that one transaction may well need */
	bool active;			/* [f] the log superblock on the disk has start != 0 */

	uint64_t seq;			/* [f] number of the running transaction */
	uint32_t head;			/* [f] ring block that is written next */
	uint32_t used;			/* [f] ring blocks from tail to head */
	uint32_t nrunning;		/* [f] buffers the running transaction has changed (at least) */
	struct freed *freed;		/* [f] J3: by the running transaction */
	uint32_t nfreed, room_freed;
	uint64_t nbusy;			/* [f] blocks in them */
	uint64_t *spare[BUSY_SPARES];	/* [f] memory for bitmaps in fs->busy, so that freeing does not fail */
	uint32_t nspare;
	uint64_t *revoked;		/* [f] J6: by the running transaction */
	uint32_t nrevoked, room_revoked;
	bool home_next;			/* [f] a revoke could not be noted: checkpoint right after the commit instead */

	struct efs_jsuper *super;	/* [f] */
	void **control;			/* [f] memory for control blocks, gotten before the transaction that needs them */
	uint32_t ncontrol, room_control;
	struct log_io io[LOG_IOS];	/* [f] */
	struct log_io *open;		/* [f] the request being filled, or NULL */
	int error;			/* [a] first error of the log writes under way */
};

static inline struct journal *journal_of(struct efs *fs) { return fs->journal; }

/* log.c: the ring. All may sleep; fs->lock held. */
int  log_write(struct journal *j, void *block);	/* queue a block at head; it must stay until log_wait */
void log_start(struct journal *j);			/* all queued blocks are on their way */
int  log_wait(struct journal *j);			/* all queued blocks are written: 0 or the first error */
uint64_t log_place(const struct journal *j, uint32_t ring);	/* where ring block lies on the disk */
uint32_t log_after(const struct journal *j, uint32_t ring, uint32_t n);
int  log_super_write(struct journal *j, uint32_t start);	/* start, and seq of the running one; durable */
int  log_super_read(struct journal *j, uint32_t *start);
int  log_block_read(struct journal *j, uint64_t block, void *buf);	/* any block of the disk */
int  log_block_write(struct journal *j, uint64_t block, void *buf);

/* recover.c */
long journal_recover(struct journal *j);

/* commit.c */
int  journal_begin(struct efs *fs);
void journal_dirty(struct efs *fs, struct ebuf *b);
void journal_freed(struct efs *fs, uint64_t block, uint64_t len, bool metadata);
int  journal_commit(struct efs *fs);
int  journal_close(struct efs *fs);
bool journal_full(struct efs *fs);

#endif
