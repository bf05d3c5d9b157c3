/* block.h - disks as arrays of sectors: asynchronous requests, drivers below, partitions.    (lab 6)
 *
 * Idea.       A blockdev is a whole disk or a partition of one. Callers fill a struct bio (direction, sector,
 *             list of page pieces) and submit it; the driver completes it from its interrupt. Many may be in
 *             flight; the layer splits what is too large for the driver, merges what is adjacent while a plug
 *             is held, and never reorders around a FLUSH: BIO_FLUSH completes after everything completed
 *             before its submission is on stable storage.
 * Interface.  blockdev_find, bio_submit, bio_wait, block_rw; blockdev_register for drivers;
 *             block_plug/unplug.
 * Contracts are above the functions in block.c, part.c.
 */
#ifndef KERN_BLOCK_BLOCK_H
#define KERN_BLOCK_BLOCK_H

#include "kern/mem/page.h"
#include "kern/proc/waitq.h"

#define SECTOR_SIZE 512u
#define BIO_NVEC 64              /* most pieces in one bio */

struct blockdev;

struct bio_vec {
	uint64_t phys;             /* physical address; a piece does not cross what is not contiguous */
	uint32_t len;              /* bytes, multiple of SECTOR_SIZE */
};

enum bio_op { BIO_READ, BIO_WRITE, BIO_FLUSH };

/* key: s submitter until bio_submit, then the layer's until done runs */
struct bio {
	enum bio_op op;            /* [s] */
	uint64_t sector;           /* [s] first, relative to dev */
	uint32_t nvec;             /* [s] */
	struct bio_vec *vec;       /* [s] pieces in order; must stay until done */
	struct blockdev *dev;      /* [s] */
	/* any context, no lock held; b->error is 0, -EIO, -ENXIO (gone), -EROFS; may free b */
	void (*done)(struct bio *b);
	void *arg;                 /* [s] */
	int error;
	uint32_t nsect;            /* layer: total sectors */
	uint32_t pending;          /* layer: [a] split parts still out */
	uint64_t disk_sector;      /* layer: first sector on the whole disk; what drivers use */
	struct list link;          /* layer/driver: queue */
	struct bio *parent;        /* layer: split part of; merged: the first of those it carries */
	void *drv;                 /* driver */
};

/* Implementer's contract. submit: start or queue the request b->op, b->disk_sector, b->nsect, b->vec; never
 * sleeps, never fails synchronously except by calling bio_complete with an error; at most `max_vec` pieces
 * and `max_sectors`, inside the disk, no write to a read-only one. Called with no block-layer lock held.
 * kick: all submitted so far should reach the device (one notification for many); may be NULL. poll: complete
 * what is finished, without interrupts (early boot), and give up on a dead device. */
struct blockdev_ops {
	void (*submit)(struct blockdev *d, struct bio *b);
	void (*kick)(struct blockdev *d);
	void (*poll)(struct blockdev *d);
};

/* key: I immutable after registration; a atomic */
struct blockdev {
	char name[16];             /* [I] as Linux: vda, vda2, sda */
	uint32_t devno;            /* [I] Linux dev_t: vd 254, sd 8; minor 16 per disk */
	uint64_t nsectors;         /* [I] of 512 bytes */
	uint32_t max_vec, max_sectors;   /* [I] per request to the driver */
	bool readonly;             /* [I] */
	bool has_flush;            /* [I] false: write-through, flush is a no-op */
	bool gone;                 /* [a] unplugged or dead: everything fails with -ENXIO */
	const struct blockdev_ops *ops;
	void *drv;                 /* driver's own */
	struct blockdev *disk;     /* [I] partitions: the whole disk; else itself */
	uint64_t start;            /* [I] partition's first sector on the disk */
	uint8_t type_guid[16], part_guid[16];   /* [I] GPT, as on disk; zero for MBR (then mbr_type) */
	uint8_t mbr_type;          /* [I] */
	uint8_t part_number;       /* [I] 0: whole disk */
	uint32_t mbr_sig;          /* [I] disk signature of an MBR, for PARTUUID= */
	char part_label[37];       /* [I] */
	uint64_t nread, nwrite, sread, swrite;  /* [a] requests and sectors: /proc/diskstats */
	void *cache;               /* [o] lab 7: page cache of the raw device */
	struct blockdev *next;     /* [I] list of all, in order of registration */
};

/* Drivers: fill nsectors, max_vec, max_sectors, readonly, has_flush, ops, drv; name prefix "vd"/"sd"; the
 * layer picks the letter and reads the partition table (may sleep). 0, -EINVAL (empty, or limits of 0),
 * -ENOSPC. d is never freed afterwards. */
int  blockdev_register(struct blockdev *d, const char *prefix);
void blockdev_gone(struct blockdev *d);          /* any context: from now on everything fails with -ENXIO */
void bio_complete(struct bio *b, int error);     /* drivers, any context, no lock held */

/* "vda2", "/dev/vda2", "PARTUUID=...", "PARTLABEL=..."; NULL */
struct blockdev *blockdev_find(const char *name);
struct blockdev *blockdev_next(struct blockdev *d);        /* NULL: first; in order of registration */
/* The root disk: the word root=, else the first partition with the Linux-filesystem type GUID; NULL: none. */
struct blockdev *blockdev_root(void);

void bio_submit(struct bio *b);                  /* bounds-checked: -EIO through done. Never sleeps */
int  bio_submit_wait(struct bio *b);             /* sets done and arg itself; sleeps; returns b->error */
void block_plug(void);                           /* this thread collects submissions ... */
/* ... merges adjacent ones and sends them with one notification; never sleep in between */
void block_unplug(void);
/* Simple synchronous transfer of kernel memory in the direct map. 0 or -errno. */
int  block_rw(struct blockdev *d, enum bio_op op, uint64_t sector, void *buf, uint32_t nsect);
int  block_flush(struct blockdev *d);

#endif
