/* block.c - the block layer: from what callers ask to what drivers take.                      (lab 6)
 *
 * Idea.            bio of a partition           bio_submit: check, move to the disk
 *                        |                      plugged: wait in this CPU's list, adjacent ones become one
 *                        v
 *             one bio, or parts of it           too long or too many pieces for the driver: split
 *                        |
 *                  ops->submit, ops->kick  ...  interrupt: bio_complete --> done
 *             Splitting and merging both make helper bios whose completion completes the real ones.
 * Interface.  block.h.
 * Invariants. I1 a bio submitted is completed exactly once, by bio_complete, with no lock held.
 *             I2 a driver sees only requests inside the disk and inside its limits.
 *             I3 the list of devices only grows: pointers into it stay valid.
 *             I4 plugs[cpu].owner is the thread that plugged; nobody else's requests wait in it.
 * Locks.      None around requests: a plug belongs to one thread, counters are atomic. Devices are added at
 *             boot, one by one.
 */
#include "kern/block/block.h"

#include "kern/block/part.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

enum { MINORS = 16, MAJOR_VD = 254, MAJOR_SD = 8 };

static const uint8_t guid_linux[16] = {    /* 0fc63daf-8483-4772-8e79-3d69d8477de4: Linux filesystem data */
	0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 };
enum { MBR_LINUX = 0x83 };

static struct blockdev *all, **all_end = &all;       /* I3 */

/* I4. key: c this CPU, the owner only */
static struct plug {
	struct thread *owner;      /* [c] NULL: none */
	int depth;                 /* [c] */
	struct list bios;     /* [c] in order of submission */
} plugs[NCPU];

/* Who waits in bio_submit_wait sleeps on one of these, by address: a queue on its own stack could be gone
 * before the completing side is done with it. */
static struct waitq sync_queues[16];

/* ---- errors ---- */

/* Say that a request failed: at most 10 lines in 5 seconds, then how many were left out. */
static void
error_log(const struct bio *b, int error)
{
	static const char *const verb[] = { "read", "write", "flush" };
	static uint64_t window;
	static uint32_t lines;
	uint64_t now = clock_ns();

	if (now - __atomic_load_n(&window, __ATOMIC_RELAXED) > 5 * NSEC) {
		uint32_t n = __atomic_exchange_n(&lines, 0, __ATOMIC_RELAXED);

		__atomic_store_n(&window, now, __ATOMIC_RELAXED);
		if (n > 10)
			klog(LOG_ERR, "block: %u more errors\n", n - 10);
	}
	if (__atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED) < 10)
		klog(LOG_ERR, "%s: %s error %d at sector %lu, %u sectors\n", b->dev->name, verb[b->op], error, b->sector,
			b->nsect);
}

/* ---- completion ---- */

/* The driver (or the layer) is done with b.
 *
 * Requires: any context; no lock held; b is submitted and not completed.
 * Does:     counts it, says so if it failed, and calls its done, which may free it.
 */
void
bio_complete(struct bio *b, int error)
{
	b->error = error;
	if (error && !b->parent)
		error_log(b, error);
	b->done(b);
}

/* A part of a split bio is complete: the last one completes the whole, with the first error there was. */
static void
part_done(struct bio *part)
{
	struct bio *b = part->parent;
	int none = 0, error;

	if (part->error)
		__atomic_compare_exchange_n(&b->error, &none, part->error, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	kfree(part);
	if (__atomic_sub_fetch(&b->pending, 1, __ATOMIC_ACQ_REL) == 0) {
		error = b->error;
		bio_complete(b, error);
	}
}

/* ---- splitting ---- */

/* A helper bio with room for nvec pieces (and for `extra` bytes behind them), or NULL. */
static struct bio *
helper_alloc(uint32_t nvec, size_t extra)
{
	struct bio *b = kmalloc(sizeof *b + nvec * sizeof(struct bio_vec) + extra);

	if (!b)
		return NULL;
	memset(b, 0, sizeof *b);
	b->vec = (struct bio_vec *)(b + 1);
	return b;
}

/* Cut the next part from b: from piece *v, byte *off on, as much as the driver takes. NULL: out of memory. */
static struct bio *
part_cut(struct bio *b, uint32_t *v, uint32_t *off, uint64_t *sector)
{
	struct blockdev *d = b->dev->disk;
	uint32_t room = d->max_sectors, most = b->nvec - *v < d->max_vec ? b->nvec - *v : d->max_vec;
	struct bio *p = helper_alloc(most, 0);

	if (!p)
		return NULL;
	p->op = b->op;
	p->dev = b->dev;
	p->parent = b;
	p->done = part_done;
	p->sector = p->disk_sector = *sector;
	while (p->nvec < most && room) {
		struct bio_vec *from = &b->vec[*v], *to = &p->vec[p->nvec++];
		uint32_t n = (from->len - *off) / SECTOR_SIZE;

		n = n < room ? n : room;
		to->phys = from->phys + *off;
		to->len = n * SECTOR_SIZE;
		room -= n;
		p->nsect += n;
		*off += to->len;
		if (*off == from->len) {
			*off = 0;
			++*v;
		}
	}
	*sector += p->nsect;
	return p;
}

/* Send b in parts. Out of memory on the way: the parts sent count, the whole fails with -ENOMEM. */
static void
bio_split(struct bio *b)
{
	struct blockdev *d = b->dev->disk;
	uint32_t v = 0, off = 0;
	uint64_t sector = b->disk_sector;
	int error;

	b->error = 0;
	b->pending = 1;            /* ours, so that it cannot complete under our hands */
	while (v < b->nvec) {
		struct bio *p = part_cut(b, &v, &off, &sector);

		if (!p) {
			__atomic_store_n(&b->error, -ENOMEM, __ATOMIC_RELAXED);
			break;
		}
		__atomic_add_fetch(&b->pending, 1, __ATOMIC_RELAXED);
		d->ops->submit(d, p);
	}
	if (__atomic_sub_fetch(&b->pending, 1, __ATOMIC_ACQ_REL) == 0) {
		error = b->error;
		bio_complete(b, error);
	}
}

/* Hand a checked bio to its driver, in one or several parts; not yet kicked. */
static void
bio_send(struct bio *b)
{
	struct blockdev *d = b->dev->disk;

	if (b->nvec > d->max_vec || b->nsect > d->max_sectors)
		bio_split(b);
	else
		d->ops->submit(d, b);
}

static void
disk_kick(struct blockdev *d)
{
	if (d->ops->kick)
		d->ops->kick(d);
}

/* ---- merging under a plug ---- */

/* A merged bio is complete: so are all it carries (linked through `link`, arg is the list's head). If it
 * failed, each tries by itself: a bad sector is the error of its own request only. */
static void
merged_done(struct bio *m)
{
	struct blockdev *disk = m->dev->disk;
	struct list *carried = m->arg, *n;
	bool retry = m->error && !disk->gone;

	while ((n = list_pop_front(carried)))
		if (retry)
			disk->ops->submit(disk, list_entry(n, struct bio, link));
		else
			bio_complete(list_entry(n, struct bio, link), m->error);
	if (retry)
		disk_kick(disk);
	kfree(m);
}

/* How many bios from b on continue one another on the disk and fit one request; totals in *nvec, *nsect. */
static int
merge_run(struct bio *b, struct list *head, uint32_t *nvec, uint32_t *nsect)
{
	struct blockdev *d = b->dev->disk;
	int n = 1;

	*nvec = b->nvec;
	*nsect = b->nsect;
	for (struct list *l = b->link.next; l != head; l = l->next, n++) {
		struct bio *next = list_entry(l, struct bio, link);

		if (next->op != b->op || b->op == BIO_FLUSH || next->dev->disk != d ||
		    next->disk_sector != b->disk_sector + *nsect ||
		    *nvec + next->nvec > d->max_vec || *nsect + next->nsect > d->max_sectors)
			break;
		*nvec += next->nvec;
		*nsect += next->nsect;
	}
	return n;
}

/* Make one request of the first n bios of a list; NULL: out of memory. The pieces that touch in memory become
 * one. */
static struct bio *
merge_make(struct list *head, int n, uint32_t nvec)
{
	struct bio *m = helper_alloc(nvec, sizeof(struct list)), *b;
	struct list *carried;

	if (!m)
		return NULL;
	carried = (struct list *)(m->vec + nvec);
	list_init(carried);
	b = list_entry(head->next, struct bio, link);
	m->op = b->op;
	m->dev = b->dev;
	m->sector = b->sector;
	m->disk_sector = b->disk_sector;
	m->parent = b;
	m->done = merged_done;
	m->arg = carried;
	while (n--) {
		b = list_entry(list_pop_front(head), struct bio, link);
		list_push_back(carried, &b->link);
		m->nsect += b->nsect;
		for (uint32_t i = 0; i < b->nvec; i++) {
			struct bio_vec *last = m->nvec ? &m->vec[m->nvec - 1] : NULL;

			if (last && last->phys + last->len == b->vec[i].phys && last->len + b->vec[i].len > last->len)
				last->len += b->vec[i].len;
			else
				m->vec[m->nvec++] = b->vec[i];
		}
	}
	return m;
}

/* Send everything a plug has collected, one kick per run of requests to the same disk. */
static void
plug_send(struct plug *p)
{
	struct list todo;
	struct blockdev *last = NULL;

	list_init(&todo);
	list_splice_back(&todo, &p->bios);
	while (!list_empty(&todo)) {
		struct bio *b = list_entry(todo.next, struct bio, link), *m;
		uint32_t nvec, nsect;
		int n = merge_run(b, &todo, &nvec, &nsect);

		if (last && last != b->dev->disk)
			disk_kick(last);
		last = b->dev->disk;
		m = n > 1 ? merge_make(&todo, n, nvec) : NULL;
		if (!m)
			list_remove(&b->link);
		bio_send(m ? m : b);
	}
	if (last)
		disk_kick(last);
}

/* The plug that collects this thread's requests, or NULL. Interrupt handlers never plug. */
static struct plug *
plug_mine(void)
{
	struct plug *p = &plugs[this_cpu->id];

	return p->owner && p->owner == current() && !this_cpu->in_irq ? p : NULL;
}

/* Collect this thread's requests from now on; nests. Requires: no sleep before block_unplug (a thread that
 * does sleep only loses the collecting). */
void
block_plug(void)
{
	struct plug *p = &plugs[this_cpu->id];

	if (!current())
		return;
	if (p->owner != current()) {
		if (p->owner)
			plug_send(p);
		p->owner = current();
		p->depth = 0;
	}
	p->depth++;
}

void
block_unplug(void)
{
	struct plug *p = plug_mine();

	if (!p || --p->depth > 0)
		return;
	p->owner = NULL;
	plug_send(p);
}

/* ---- submitting ---- */

/* Check what the caller asks (I2); sets nsect and disk_sector. 0, -EIO (outside, or malformed), -ENXIO,
 * -EROFS. */
static int
bio_check(struct bio *b)
{
	struct blockdev *d = b->dev;
	uint64_t bytes = 0;

	b->nsect = 0;
	b->disk_sector = d->start + b->sector;
	if (d->disk->gone)
		return -ENXIO;
	if (b->op == BIO_FLUSH)
		return 0;
	for (uint32_t i = 0; i < b->nvec; i++) {
		if (b->vec[i].len == 0 || b->vec[i].len % SECTOR_SIZE)
			return -EIO;
		bytes += b->vec[i].len;
	}
	if (bytes == 0 || bytes / SECTOR_SIZE > UINT32_MAX)
		return -EIO;
	b->nsect = bytes / SECTOR_SIZE;
	if (b->sector >= d->nsectors || b->nsect > d->nsectors - b->sector)
		return -EIO;
	return b->op == BIO_WRITE && d->readonly ? -EROFS : 0;
}

static void
bio_count(struct blockdev *d, const struct bio *b)
{
	bool w = b->op == BIO_WRITE;

	__atomic_fetch_add(w ? &d->nwrite : &d->nread, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(w ? &d->swrite : &d->sread, b->nsect, __ATOMIC_RELAXED);
}

/* Start a request.
 *
 * Requires: op, sector, nvec, vec, dev, done set; any context, no spinlock below lab 6's rank held.
 * Does:     checks it (a request outside the device fails with -EIO through done, possibly before we return),
 *           counts it, and sends it or leaves it in this thread's plug. Never sleeps.
 */
void
bio_submit(struct bio *b)
{
	struct blockdev *disk;
	struct plug *p;
	int err = bio_check(b);

	b->parent = NULL;
	if (err || (b->op == BIO_FLUSH && !b->dev->disk->has_flush)) {
		bio_complete(b, err);
		return;
	}
	if (b->op != BIO_FLUSH) {
		bio_count(b->dev, b);
		if (b->dev->disk != b->dev)
			bio_count(b->dev->disk, b);
	}
	p = plug_mine();
	if (p) {
		list_push_back(&p->bios, &b->link);
		return;
	}
	disk = b->dev->disk;             /* b may be done and freed before bio_send returns */
	bio_send(b);
	disk_kick(disk);
}

struct sync {
	bool done;                 /* [a] */
	struct waitq *q;           /* [I] */
};

static void
sync_done(struct bio *b)
{
	struct sync *s = b->arg;
	struct waitq *q = s->q;

	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);    /* the waiter, and *s, may be gone from here on */
	waitq_wake_all(q);
}

/* Submit and wait; before the scheduler runs, or with interrupts off, by polling. Whatever this thread has
 * plugged goes first. Returns: 0, -EIO, -ENXIO, -EROFS, -ENOMEM. */
int
bio_submit_wait(struct bio *b)
{
	struct sync s = { .q = &sync_queues[(uint64_t)b / 64 % 16] };
	struct blockdev *disk = b->dev->disk;
	struct plug *p;

	b->done = sync_done;
	b->arg = &s;
	bio_submit(b);
	p = plug_mine();
	if (p)
		plug_send(p);
	if (!current() || current() == this_cpu->idle || !irq_enabled() || this_cpu->in_irq)
		while (!__atomic_load_n(&s.done, __ATOMIC_ACQUIRE)) {
			disk->ops->poll(disk);
			cpu_relax();
		}
	else
		wait_event(s.q, __atomic_load_n(&s.done, __ATOMIC_ACQUIRE), (void *)NULL);
	return b->error;
}

int
block_rw(struct blockdev *d, enum bio_op op, uint64_t sector, void *buf, uint32_t nsect)
{
	struct bio_vec vec = { V2P(buf), nsect * SECTOR_SIZE };
	struct bio b = { .op = op, .sector = sector, .nvec = 1, .vec = &vec, .dev = d };

	if (nsect > UINT32_MAX / SECTOR_SIZE)
		return -EIO;
	return bio_submit_wait(&b);
}

int
block_flush(struct blockdev *d)
{
	struct bio b = { .op = BIO_FLUSH, .dev = d };

	return bio_submit_wait(&b);
}

/* ---- devices ---- */

static void
device_add(struct blockdev *d)
{
	d->next = NULL;
	__atomic_store_n(all_end, d, __ATOMIC_RELEASE);
	all_end = &d->next;
}

/* Linux's dev_t as stat gives it: 8 low bits of the minor, 12 of the major, the rest of the minor. */
static uint32_t
dev_make(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static int
table_read(void *arg, uint64_t sector, void *buf, uint32_t n)
{
	return block_rw(arg, BIO_READ, sector, buf, n);
}

static void
table_found(void *arg, const struct part *p)
{
	struct blockdev *disk = arg, *d;

	if (p->number >= MINORS) {
		klog(LOG_WARN, "%s: partition %d has no device number, ignored\n", disk->name, p->number);
		return;
	}
	d = kzalloc(sizeof *d);
	if (!d) {
		klog(LOG_ERR, "%s: partition %d: out of memory, ignored\n", disk->name, p->number);
		return;
	}
	snprintf(d->name, sizeof d->name, "%s%d", disk->name, p->number);
	d->devno = disk->devno + p->number;
	d->nsectors = p->nsectors;
	d->start = p->start;
	d->max_vec = disk->max_vec;
	d->max_sectors = disk->max_sectors;
	d->readonly = disk->readonly;
	d->has_flush = disk->has_flush;
	d->ops = disk->ops;
	d->drv = disk->drv;
	d->disk = disk;
	memcpy(d->type_guid, p->type_guid, 16);
	memcpy(d->part_guid, p->part_guid, 16);
	memcpy(d->part_label, p->label, sizeof d->part_label);
	d->part_number = p->number;
	d->mbr_type = p->mbr_type;
	d->mbr_sig = p->mbr_sig;
	device_add(d);
	klog(LOG_INFO, " %s", d->name);
}

int
blockdev_register(struct blockdev *d, const char *prefix)
{
	static int nvd, nsd;
	bool vd = prefix[0] == 'v';
	int n = vd ? nvd : nsd;
	struct part_source src = { d->name, d->nsectors, table_read, table_found, d };

	if (d->nsectors == 0 || d->max_vec == 0 || d->max_sectors == 0)
		return -EINVAL;
	if (n >= 26)
		return -ENOSPC;
	++*(vd ? &nvd : &nsd);
	snprintf(d->name, sizeof d->name, "%s%c", prefix, 'a' + n);
	d->devno = dev_make(vd ? MAJOR_VD : MAJOR_SD, n * MINORS);
	d->disk = d;
	d->start = 0;
	device_add(d);
	klog(LOG_INFO, "%s: %lu MiB%s:", d->name, d->nsectors / 2048, d->readonly ? ", read-only" : "");
	part_scan(&src);
	klog(LOG_INFO, "\n");
	return 0;
}

void
blockdev_gone(struct blockdev *d)
{
	if (!__atomic_exchange_n(&d->disk->gone, true, __ATOMIC_RELAXED))
		klog(LOG_ERR, "%s: the disk is gone\n", d->disk->name);
}

struct blockdev *
blockdev_next(struct blockdev *d)
{
	return __atomic_load_n(d ? &d->next : &all, __ATOMIC_ACQUIRE);
}

/* Does the device have this PARTUUID (GPT: its GUID; MBR: signature-number), in upper or lower case? */
static bool
partuuid_is(const struct blockdev *d, const char *text)
{
	char own[40];
	size_t i;

	if (d->part_number == 0)
		return false;
	if (d->mbr_type)
		snprintf(own, sizeof own, "%08x-%02x", d->mbr_sig, d->part_number);
	else
		guid_text(d->part_guid, own);
	for (i = 0; own[i] && text[i]; i++)
		if (own[i] != (text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i]))
			return false;
	return own[i] == text[i];
}

struct blockdev *
blockdev_find(const char *name)
{
	struct blockdev *d = NULL;

	if (strncmp(name, "/dev/", 5) == 0)
		name += 5;
	while ((d = blockdev_next(d)))
		if (strncmp(name, "PARTUUID=", 9) == 0 ? partuuid_is(d, name + 9) :
		    strncmp(name, "PARTLABEL=", 10) == 0 ? name[10] && strcmp(d->part_label, name + 10) == 0 :
		    strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

/* The disk to boot from: the one root= names (NULL and a message if there is none such); without the word the
 * first partition made for Linux. Returns: NULL: none. */
struct blockdev *
blockdev_root(void)
{
	struct blockdev *d = NULL;
	char word[96];

	if (cmdline_get("root", word, sizeof word) > 0) {
		d = blockdev_find(word);
		if (!d)
			klog(LOG_WARN, "root=%s: there is no such disk\n", word);
		return d;
	}
	while ((d = blockdev_next(d)))
		if (memcmp(d->type_guid, guid_linux, 16) == 0 || d->mbr_type == MBR_LINUX)
			return d;
	return NULL;
}

static void
block_init(void)
{
	for (int i = 0; i < NCPU; i++)
		list_init(&plugs[i].bios);
	for (int i = 0; i < 16; i++)
		waitq_init(&sync_queues[i]);
}

INITCALL(6, block_init);
