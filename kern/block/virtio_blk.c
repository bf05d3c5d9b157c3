/* virtio_blk.c - the VirtIO disk (VirtIO 1.1, 5.2).                                           (lab 6)
 *
 * Idea.       A request is three things in a row: a header (read or write, where), the data, one status byte.
 *             Up to a queue full of them are in flight; what does not fit waits in a list and is sent from
 *             the interrupt.
 *                 bio --vblk_submit--> slot --virtq--> device --interrupt--> vblk_reap --> bio_complete
 * Interface.  A blockdev (ops below) per device of type 2.
 * Invariants. I1 a bio is in `waiting`, or in exactly one slot's b while that slot is in the queue.
 *             I2 `waiting` is not empty only while something is in flight (its completion sends the rest).
 *             I3 a device that answers nonsense, or whose registers say that it is gone, is reset, so that it
 *             touches no
 *                memory any more; then all its requests fail with -EIO and the disk is gone.
 * Locks.      v->lock guards everything; never held across bio_complete.
 */
#include "kern/block/block.h"
#include "kern/block/virtio.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define BLK_F_SEG_MAX  (1ul << 2)
#define BLK_F_RO       (1ul << 5)
#define BLK_F_BLK_SIZE (1ul << 6)
#define BLK_F_FLUSH    (1ul << 9)
enum { CFG_CAPACITY = 0, CFG_SEG_MAX = 12, CFG_BLK_SIZE = 20 };      /* struct virtio_blk_config */
enum { REQ_IN = 0, REQ_OUT = 1, REQ_FLUSH = 4 };
enum { STATUS_OK = 0 };             /* all others are errors */

enum { MAX_VEC = 126, NSMALL = 6, NTABLE = 32 };
#define WATCH_NS (5 * NSEC)      /* how often we look after a device that has work */
#define STALL_NS (60 * NSEC)     /* no progress for so long: say so, once */

struct vblk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

/* An indirect table for requests of more than NSMALL descriptors. */
struct vblk_table {
	struct vring_desc desc[MAX_VEC + 2];
	struct vblk_table *next;   /* free ones */
};

/* A request in the queue; its first 64 bytes are shared with the device. key: l v->lock */
struct vblk_slot {
	struct vblk_header head;   /* [l] */
	uint8_t status;            /* [l] the device's answer */
	struct vring_desc small[NSMALL];     /* [l] indirect table of a small request */
	struct vblk_table *table;  /* [l] of a large one, or NULL */
	uint32_t least;            /* [l] bytes that the device must write, or the answer is too short */
	struct bio *b;             /* [l] */
	struct vblk_slot *next;    /* [l] free ones */
} __attribute__((aligned(16)));

/* key: I immutable after probe; l lock */
struct vblk {
	struct spinlock lock;
	struct virtq vq;           /* [l] */
	struct list waiting;       /* [l] bios for which there was no room, I2 */
	struct vblk_slot *free;    /* [l] */
	struct vblk_table *tables; /* [l] */
	bool watching;             /* [l] the timer is armed */
	bool dead;                 /* [l] I3 */
	bool slow;                 /* [l] we have said that it is */
	uint64_t progress_ns;      /* [l] when the device last did something */

	struct virtio_dev *dev;    /* [I] */
	struct vblk_slot *slots;   /* [I] vq.size of them */
	struct blockdev bd;        /* [I] */
	struct timer watch;
};

/* ---- sending ---- */

/* Put a bio into the queue. 0; -ENOSPC: no room now; -EIO: broken. Requires: v->lock. */
static int
vblk_place(struct vblk *v, struct bio *b)
{
	struct virtq_buf buf[MAX_VEC + 2];
	struct vblk_slot *s = v->free;
	int n = 0, out, err;

	if (!s || (b->nvec + 2 > NSMALL && v->vq.indirect && !v->tables))
		return -ENOSPC;
	s->head.type = b->op == BIO_READ ? REQ_IN : b->op == BIO_WRITE ? REQ_OUT : REQ_FLUSH;
	s->head.sector = b->op == BIO_FLUSH ? 0 : b->disk_sector;
	s->status = 0xff;
	s->least = 0;
	buf[n++] = (struct virtq_buf){ V2P(&s->head), sizeof s->head };
	for (uint32_t i = 0; b->op != BIO_FLUSH && i < b->nvec; i++) {
		buf[n++] = (struct virtq_buf){ b->vec[i].phys, b->vec[i].len };
		s->least += b->op == BIO_READ ? b->vec[i].len : 0;
	}
	out = b->op == BIO_READ ? 1 : n;
	buf[n++] = (struct virtq_buf){ V2P(&s->status), 1 };
	s->table = n > NSMALL && v->vq.indirect ? v->tables : NULL;
	err = virtq_add(&v->vq, buf, out, n - out, s, s->table ? s->table->desc : n > NSMALL ? NULL : s->small);
	if (err)
		return err;
	s->b = b;
	v->free = s->next;
	if (s->table)
		v->tables = s->table->next;
	return 0;
}

/* Let the watch timer look after the device while it has work. Requires: v->lock. */
static void
vblk_watch(struct vblk *v)
{
	if (v->watching)
		return;
	v->watching = true;
	v->progress_ns = clock_ns();
	v->slow = false;
	timer_arm(&v->watch, v->progress_ns + WATCH_NS);
}

static void
vblk_submit(struct blockdev *d, struct bio *b)
{
	struct vblk *v = d->drv;
	bool dead;

	spin_lock(&v->lock);
	dead = v->dead;
	if (!dead) {
		if (!list_empty(&v->waiting) || vblk_place(v, b) != 0)
			list_push_back(&v->waiting, &b->link);
		vblk_watch(v);
	}
	spin_unlock(&v->lock);
	if (dead)
		bio_complete(b, -ENXIO);
}

static void
vblk_kick(struct blockdev *d)
{
	struct vblk *v = d->drv;
	bool ring;

	spin_lock(&v->lock);
	ring = virtq_kick(&v->vq);
	spin_unlock(&v->lock);
	if (ring)
		v->dev->ops->notify(v->dev, 0);
}

/* ---- finishing ---- */

/* Take the bio out of a finished slot, with its error set, and free the slot. Requires: v->lock. */
static struct bio *
slot_finish(struct vblk *v, struct vblk_slot *s, int error)
{
	struct bio *b = s->b;

	b->error = error;
	if (s->table) {
		s->table->next = v->tables;
		v->tables = s->table;
	}
	s->b = NULL;
	s->next = v->free;
	v->free = s;
	return b;
}

/* Complete a list of bios whose errors are set. Requires: no lock. */
static void
bios_complete(struct list *done)
{
	struct list *n;

	while ((n = list_pop_front(done))) {
		struct bio *b = list_entry(n, struct bio, link);

		bio_complete(b, b->error);
	}
}

/* Give the device up (I3). Requires: v->lock; everything it had goes to `done`. */
static void
vblk_die(struct vblk *v, const char *why, struct list *done)
{
	struct vblk_slot *s;
	struct list *n;

	v->dead = true;
	v->vq.broken = true;
	klog(LOG_ERR, "%s: %s: %s\n", v->bd.name, v->dev->name, why);
	v->dev->ops->set_status(v->dev, 0);
	while ((s = virtq_cancel(&v->vq)))
		list_push_back(done, &slot_finish(v, s, -EIO)->link);
	while ((n = list_pop_front(&v->waiting))) {
		list_entry(n, struct bio, link)->error = -EIO;
		list_push_back(done, n);
	}
	blockdev_gone(&v->bd);
}

/* Take what is finished, send what waited. Requires: v->lock. Does: the bios go to `done`. Returns: ring the
 * doorbell. */
static bool
vblk_collect(struct vblk *v, struct list *done)
{
	struct vblk_slot *s;
	uint32_t len;

	do {
		while ((s = virtq_get(&v->vq, &len)))
			list_push_back(done, &slot_finish(v, s, s->status == STATUS_OK && len >= s->least ? 0 : -EIO)->link);
	} while (virtq_more(&v->vq));
	if (v->vq.broken && !v->dead)
		vblk_die(v, "the device answers nonsense", done);
	while (!list_empty(&v->waiting)) {
		struct bio *b = list_entry(v->waiting.next, struct bio, link);

		list_remove(&b->link);
		if (vblk_place(v, b) != 0) {
			list_push_front(&v->waiting, &b->link);
			break;
		}
	}
	if (!list_empty(done))
		v->progress_ns = clock_ns();
	return virtq_kick(&v->vq);
}

/* The interrupt, and the poll of those who cannot wait for one. */
static void
vblk_reap(struct vblk *v)
{
	struct list done;
	bool ring;

	list_init(&done);
	spin_lock(&v->lock);
	ring = vblk_collect(v, &done);
	spin_unlock(&v->lock);
	if (ring)
		v->dev->ops->notify(v->dev, 0);
	bios_complete(&done);
}

static void
vblk_irq(struct virtio_dev *dev)
{
	vblk_reap(dev->drv);
}

/* Look whether a device with work is alive (I3). Slow is not dead: a host may be busy for longer than any
 * limit we could set, and in a deterministic emulator guest time jumps ahead while the disk works. Requires:
 * v->lock. */
static void
vblk_check(struct vblk *v, struct list *done)
{
	if (v->dead || v->vq.inflight == 0)
		return;
	if (virtio_dead(v->dev))
		vblk_die(v, "the device is gone or has failed", done);
	else if (clock_ns() - v->progress_ns > STALL_NS && !v->slow) {
		v->slow = true;
		klog(LOG_WARN, "%s: no answer for %lu s, still waiting\n", v->bd.name, STALL_NS / NSEC);
	}
}

static void
vblk_poll(struct blockdev *d)
{
	struct vblk *v = d->drv;
	struct list done;

	vblk_reap(v);
	list_init(&done);
	spin_lock(&v->lock);
	if (clock_ns() - v->progress_ns > WATCH_NS)
		vblk_check(v, &done);
	spin_unlock(&v->lock);
	bios_complete(&done);
}

/* The watch timer: also mends a lost interrupt. Not armed again when there is nothing to look after. */
static void
vblk_tick(struct timer *t)
{
	struct vblk *v = container_of(t, struct vblk, watch);
	struct list done;
	bool ring;

	list_init(&done);
	spin_lock(&v->lock);
	ring = vblk_collect(v, &done);
	vblk_check(v, &done);
	v->watching = !v->dead && v->vq.inflight > 0;
	if (v->watching)
		timer_arm(&v->watch, clock_ns() + WATCH_NS);
	spin_unlock(&v->lock);
	if (ring)
		v->dev->ops->notify(v->dev, 0);
	bios_complete(&done);
}

static const struct blockdev_ops vblk_ops = { .submit = vblk_submit, .kick = vblk_kick, .poll = vblk_poll };

/* ---- bringing up ---- */

/* Slots for the whole queue and a few large tables. 0 or -ENOMEM; vblk_free undoes it. */
static int
vblk_alloc(struct vblk *v)
{
	struct vblk_table *t;

	v->slots = kzalloc(v->vq.size * sizeof *v->slots);
	if (!v->slots)
		return -ENOMEM;
	for (int i = v->vq.size - 1; i >= 0; i--) {
		v->slots[i].next = v->free;
		v->free = &v->slots[i];
	}
	for (int i = 0; i < NTABLE && v->vq.indirect; i++) {
		t = kzalloc(sizeof *t);
		if (!t)
			return -ENOMEM;
		t->next = v->tables;
		v->tables = t;
	}
	return 0;
}

static void
vblk_free(struct vblk *v)
{
	struct vblk_table *t;

	while ((t = v->tables)) {
		v->tables = t->next;
		kfree(t);
	}
	kfree(v->slots);
	virtq_free(&v->vq);
	kfree(v);
}

/* Read the configuration into the blockdev. 0, -ENODEV when it makes no sense. */
static int
vblk_config(struct vblk *v, uint64_t features)
{
	uint32_t seg_max = 1, blk_size = SECTOR_SIZE, most;
	struct virtio_dev *dev = v->dev;

	dev->ops->config(dev, CFG_CAPACITY, &v->bd.nsectors, 8);
	if (features & BLK_F_SEG_MAX)
		dev->ops->config(dev, CFG_SEG_MAX, &seg_max, 4);
	if (features & BLK_F_BLK_SIZE)
		dev->ops->config(dev, CFG_BLK_SIZE, &blk_size, 4);
	if (seg_max == 0 || blk_size == 0 || blk_size % SECTOR_SIZE || v->bd.nsectors == 0 || v->bd.nsectors >> 55)
		return -ENODEV;
	most = v->vq.indirect ? MAX_VEC : v->vq.size < 4 ? 1 : v->vq.size - 2 < MAX_VEC ? v->vq.size - 2u : MAX_VEC;
	v->bd.max_vec = seg_max < most ? seg_max : most;
	v->bd.max_sectors = 4096;
	v->bd.readonly = features & BLK_F_RO;
	v->bd.has_flush = features & BLK_F_FLUSH;
	v->bd.ops = &vblk_ops;
	v->bd.drv = v;
	return v->vq.size < 4 && !v->vq.indirect ? -ENODEV : 0;
}

static int
vblk_probe(struct virtio_dev *dev)
{
	struct vblk *v = kzalloc(sizeof *v);
	uint64_t features;
	int err;

	if (!v)
		return -ENOMEM;
	spin_init(&v->lock, "virtio disk", RANK(6, 30));
	list_init(&v->waiting);
	timer_init(&v->watch, vblk_tick);
	v->dev = dev;
	dev->drv = v;
	err = virtio_negotiate(dev, BLK_F_SEG_MAX | BLK_F_RO | BLK_F_BLK_SIZE | BLK_F_FLUSH | VIRTIO_F_INDIRECT |
		VIRTIO_F_EVENT_IDX,
		&features);
	if (!err)
		err = virtio_queue(dev, 0, &v->vq, features);
	if (!err)
		err = vblk_alloc(v);
	if (!err)
		err = vblk_config(v, features);
	if (!err) {
		dev->irq = vblk_irq;
		dev->ops->set_status(dev, VIRTIO_ACK | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
		err = blockdev_register(&v->bd, "vd");
	}
	if (err) {
		dev->ops->set_status(dev, 0);
		dev->irq = NULL;
		vblk_free(v);
	}
	return err;
}

static struct virtio_driver vblk_driver = { .type = 2, .probe = vblk_probe };

static void
vblk_init(void)
{
	virtio_register(&vblk_driver);
}

INITCALL(6, vblk_init);
