/* observe_virtio.c - lab 6 shown to the grader: rings, features, PCI registers.               (lab 6)
 *
 * Idea.       The device's side of a ring is played here: it looks at what is offered as a device would,
 *             follows the descriptors, answers in its own order, and sometimes lies. Reported is what was
 *             asked, what the device found, and what came back; what should is known to the judge
 *             (labs/06-block/test_block.py). It draws every input again, from the same seed and in the same
 *             order: so each call of observe_below() is a statement of its own, or a condition, for C does
 *             not say which argument or initializer is computed first.
 * Interface.  OBSERVE (kern/boot/observe.h).
 */
#include "kern/block/pci.h"
#include "kern/block/virtio.h"
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/mem/pagetable.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

enum { PIECES = 8 };
enum { ADDS = 1, ANSWERS = 2, GETS = 4, KICKS = 8, BENDS = 16 };     /* what a play is made of */

/* A device at the other end of a queue. */
static struct device {
	struct virtq *q;
	uint16_t seen;                     /* of the ring of offers */
	uint16_t used;                     /* answers given */
	int nheld;
	uint16_t held[VIRTQ_MAX];          /* heads that are not answered */
	uint32_t room[VIRTQ_MAX];          /* bytes that it may write for each */
	uint64_t serial;                   /* requests made so far */
	struct vring_desc *table;          /* room for indirect descriptors, PIECES for each slot */
} dev;

static void
device_new(uint16_t size, bool indirect, bool event_idx, uint16_t start)
{
	memset(&dev, 0, sizeof dev);
	dev.q = kzalloc(sizeof *dev.q);
	dev.table = kzalloc(VIRTQ_MAX * PIECES * sizeof *dev.table);
	if (!dev.q || !dev.table || virtq_init(dev.q, size, indirect, event_idx))
		panic("no memory for the grader's ring");
	/* All counters may begin anywhere, for they only ever grow. */
	dev.q->avail_idx = dev.q->kicked = dev.q->used_idx = dev.q->avail->idx = start;
	((struct vring_used *)dev.q->used)->idx = dev.seen = dev.used = start;
}

static void
device_free(void)
{
	virtq_free(dev.q);
	kfree(dev.q);
	kfree(dev.table);
}

/* ---- what the device sees ---- */

/* Returns: the bytes that the device may write there. */
static uint32_t
show_desc(const char *what, uint16_t at, const struct vring_desc *d)
{
	observe("%s %u addr %lx len %u flags %u", what, at, d->addr, d->len, d->flags);
	return d->flags & VRING_WRITE ? d->len : 0;
}

/* Returns: as show_desc, for all of it. */
static uint32_t
show_chain(uint16_t head)
{
	uint16_t at = head;
	uint32_t room = 0;

	for (int i = 0; i < dev.q->size; i++) {
		struct vring_desc *d = &dev.q->desc[at], *table = P2V(d->addr);

		room += show_desc("desc", at, d);
		if (d->flags & VRING_INDIRECT)
			for (uint32_t k = 0; k < d->len / sizeof *d && k < PIECES; k++)
				room += show_desc(table[k].flags & VRING_NEXT && table[k].next != k + 1 ? "astray" : "entry",
					k, &table[k]);
		if (!(d->flags & VRING_NEXT))
			return room;
		at = d->next;
		if (at >= dev.q->size)
			break;
	}
	observe("no end");
	return room;
}

/* Take in what is offered. */
static void
device_look(void)
{
	uint16_t idx = dev.q->avail->idx;

	while (dev.seen != idx && dev.nheld < VIRTQ_MAX) {
		uint16_t head = dev.q->avail->ring[dev.seen++ & (dev.q->size - 1)];

		observe("offer %u", head);
		if (head < dev.q->size)
			dev.room[head] = show_chain(head);
		dev.held[dev.nheld++] = head;
	}
}

/* ---- what the two do ---- */

static int
request(int n_out, int n_in)
{
	struct virtq_buf b[PIECES];
	bool table = observe_below(4);
	int n = n_out + n_in, err;

	for (int i = 0; i < n; i++) {
		b[i].phys = 4096 + observe_below(1ul << 34);
		b[i].len = 1 + observe_below(1 << 20);
	}
	dev.serial++;
	err = virtq_add(dev.q, b, n_out, n_in, (void *)dev.serial,
		table ? dev.table + dev.serial % VIRTQ_MAX * PIECES : NULL);
	observe("add %lu out %d in %d table %d: %d", dev.serial, n_out, n_in, table, err);
	for (int i = 0; i < n && !err; i++)
		observe("piece %lx %u", b[i].phys, b[i].len);
	return err;
}

static int
request_any(void)
{
	int n_out = observe_below(4), n_in = observe_below(4);
	int err = request(n_out + !n_in, n_in);

	device_look();
	observe("free %u flying %u", dev.q->nfree, dev.q->inflight);
	return err;
}

static void
device_answer(uint32_t id, uint32_t len)
{
	struct vring_used *u = (struct vring_used *)dev.q->used;

	u->ring[dev.used & (dev.q->size - 1)].id = id;
	u->ring[dev.used & (dev.q->size - 1)].len = len;
	u->idx = ++dev.used;
	observe("answer %u len %u", id, len);
}

static void
device_finish(void)
{
	int i;
	uint16_t head;

	if (!dev.nheld)
		return;
	i = observe_below(dev.nheld);
	head = dev.held[i];
	dev.held[i] = dev.held[--dev.nheld];
	device_answer(head, observe_below((uint64_t)dev.room[head] + 1));
}

/* Overwrite the links of a descriptor that the device has: it may, for it shares the memory. */
static void
device_bend(void)
{
	uint16_t at;

	if (!dev.nheld)
		return;
	at = dev.held[observe_below(dev.nheld)];
	dev.q->desc[at].next = observe_random();
	dev.q->desc[at].flags ^= VRING_NEXT;
}

static void
take(void)
{
	uint32_t len = 0;
	uint64_t cookie = (uint64_t)virtq_get(dev.q, &len);

	observe("get %lu len %u", cookie, cookie ? len : 0);
	observe("free %u flying %u broken %d", dev.q->nfree, dev.q->inflight, dev.q->broken);
}

/* The device says when it wants to hear of more, near where the queue is. */
static void
kick(void)
{
	uint16_t event = dev.q->avail->idx + observe_below(24) - 16;

	if (observe_below(8) == 0)
		event = observe_random();
	*(volatile uint16_t *)&dev.q->used->ring[dev.q->size] = event;
	((struct vring_used *)dev.q->used)->flags = observe_below(2);
	observe("kick idx %u event %u flags %u: %d", dev.q->avail->idx, event, dev.q->used->flags,
		virtq_kick(dev.q));
}

/* arg: size of the queue, indirect, event_idx, where the counters begin, steps, what they are. */
OBSERVE(6, virtq_play)
{
	unsigned what = observe_number(5);

	device_new(observe_number(0), observe_number(1), observe_number(2), observe_number(3));
	for (uint64_t i = observe_number(4); i > 0; i--) {
		unsigned step = 1u << observe_below(5) & what;

		if (step == ADDS)
			for (int n = 1 + observe_below(4); n > 0; n--)
				request_any();
		else if (step == ANSWERS)
			for (int n = 1 + observe_below(3); n > 0; n--)
				device_finish();
		else if (step == GETS)
			for (int n = 1 + observe_below(4); n > 0; n--)
				take();
		else if (step == KICKS)
			kick();
		else if (step == BENDS)
			device_bend();
	}
	device_free();
}

/* ---- a device that lies ---- */

static void
tell_lie(int kind)
{
	uint16_t head = dev.held[0];
	struct vring_used *u = (struct vring_used *)dev.q->used;

	switch (kind) {
	case 0: device_answer(dev.q->size * (1 + observe_below(3)) + head, 0); break;
	case 1: device_answer(0xffffffff - observe_below(3), 0); break;
	case 2: device_answer(dev.q->desc[head].next, 0); break;              /* the middle of a chain */
	case 3: device_answer(head, dev.room[head] + 1 + observe_below(1000)); break;
	case 4: device_answer(head, 0xffffffff - observe_below(3)); break;
	case 5: device_answer(head, 0); u->idx += dev.nheld + observe_below(100); break;
	case 6: device_answer(head, 0); take(); device_answer(head, 0); break;  /* twice */
	case 7: u->idx += 1 + dev.nheld + observe_below(30000); observe("answer none len 0"); break;
	}
}

OBSERVE(6, virtq_lies)
{
	for (int kind = 0; kind < 8; kind++) {
		bool event_idx = observe_below(2);
		uint16_t start = observe_random();
		uint64_t cookie;

		observe("queue");
		device_new(32, false, event_idx, start);
		for (int n = 2 + observe_below(3); n > 0; n--) {
			request(1, 2);
			device_look();
		}
		if (observe_below(2)) {
			device_finish();
			take();
		}
		observe("lie %d", kind);
		tell_lie(kind);
		take();
		device_answer(dev.held[0], 0);
		take();
		observe("then");
		request(1, 1);
		while ((cookie = (uint64_t)virtq_cancel(dev.q)))
			observe("cancel %lu", cookie);
		device_free();
	}
}

/* ---- the order of writes ---- */

/* Part of the shared memory is not there: the add dies when it gets to it. What has it said by then?
 * arg 0: the indirect table; 1: the descriptors; 2: the entry of the ring of offers. */
OBSERVE(6, virtq_torn)
{
	char *top = kstack_alloc();         /* nothing is mapped behind it */
	struct virtq_buf b[2] = { { 4096, 16 }, { 8192, 512 } };
	uint16_t start = observe_random(), slot = start % VIRTQ_MAX;

	device_new(VIRTQ_MAX, observe_number(0) == 0, false, start);
	if (observe_number(0) == 1)
		dev.q->desc = (struct vring_desc *)top;
	if (observe_number(0) == 2) {
		dev.q->avail = (struct vring_avail *)(top - 4 - 2 * slot);
		dev.q->avail->flags = 0;
		dev.q->avail->idx = start;
	}
	observe("index %u at %lx", start, (uint64_t)&dev.q->avail->idx);
	virtq_add(dev.q, b, 1, 1, &b, observe_number(0) == 0 ? (struct vring_desc *)top : NULL);
	observe("survived");
}

/* ---- features and queues of a device in memory ---- */

static struct fake {
	struct virtio_dev v;
	uint64_t features;
	bool refuses;                      /* our choice of features */
	uint8_t status;
	uint16_t max;
	int start_err;
} fake;

static uint8_t
fake_status(struct virtio_dev *v)
{
	(void)v;
	observe("status read %u", fake.status);
	return fake.status;
}

static void
fake_set_status(struct virtio_dev *v, uint8_t s)
{
	(void)v;
	fake.status = s & ~(fake.refuses ? VIRTIO_FEATURES_OK : 0);
	observe("status set %u", s);
}

static uint64_t
fake_features(struct virtio_dev *v)
{
	(void)v;
	return fake.features;
}

static void
fake_set_features(struct virtio_dev *v, uint64_t f)
{
	(void)v;
	observe("features set %lx", f);
}

static uint16_t
fake_queue_max(struct virtio_dev *v, int index)
{
	(void)v;
	observe("queue %d asked for", index);
	return fake.max;
}

static int
fake_queue_start(struct virtio_dev *v, int index, struct virtq *q)
{
	(void)v;
	observe("start %d size %u indirect %d event %d", index, q->size, q->indirect, q->event_idx);
	return fake.start_err;
}

static const struct virtio_ops fake_ops = { .status = fake_status, .set_status = fake_set_status,
	.features = fake_features, .set_features = fake_set_features, .queue_max = fake_queue_max,
	.queue_start = fake_queue_start };

OBSERVE(6, virtio_features)
{
	fake.v.ops = &fake_ops;
	for (int i = 0; i < 24; i++) {
		uint64_t want = observe_random() & ~VIRTIO_F_VERSION_1, got = 0;
		int err;

		fake.features = observe_random();
		if (observe_below(4))
			fake.features |= VIRTIO_F_VERSION_1;
		fake.refuses = observe_below(4) == 0;
		fake.status = VIRTIO_ACK | VIRTIO_DRIVER;
		observe("device %lx want %lx refuses %d", fake.features, want, fake.refuses);
		err = virtio_negotiate(&fake.v, want, &got);
		observe("agreed %lx: %d", err ? 0 : got, err);
	}
}

OBSERVE(6, virtio_queues)
{
	static struct virtq q;

	fake.v.ops = &fake_ops;
	for (int i = 0; i < 40; i++) {
		uint64_t free = page_count_free(), features = observe_random();
		int index = observe_below(8), err;

		fake.max = observe_below(5) ? observe_below(700) : observe_below(3) * 32768;
		fake.start_err = observe_below(4) ? 0 : -EIO;
		observe("device %d max %u start %d features %d %d", index, fake.max, fake.start_err,
			!!(features & VIRTIO_F_INDIRECT), !!(features & VIRTIO_F_EVENT_IDX));
		memset(&q, 0, sizeof q);
		err = virtio_queue(&fake.v, index, &q, features);
		observe("queue: %d", err);
		if (!err)
			virtq_free(&q);
		observe("pages lost %ld", (long)(free - page_count_free()));
	}
}

/* ---- PCI ---- */

static void
show_caps(const struct pci_dev *d)
{
	for (int id = 0; id < 0x20; id++)
		for (int off = 0, n = 0; n < 60 && (off = pci_cap(d, id, off)); n++)
			observe("cap %d at %d", id, off);
}

OBSERVE(6, pci_devices)
{
	struct pci_dev nobody = { .bus = 0, .dev = 31, .fn = 5 };

	for (struct pci_dev *d = NULL; (d = pci_next(d)); ) {
		observe("device %d %d %d id %x %x", d->bus, d->dev, d->fn, d->vendor, d->device);
		for (int i = 0; i < 6; i++)
			observe("bar %d at %lx len %lx io %d", i, d->bar[i], d->bar_len[i], d->bar_io[i]);
		show_caps(d);
	}
	observe("nobody");
	show_caps(&nobody);                 /* all ones: a list that leads to itself */
}
