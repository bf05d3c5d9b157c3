/* virtio_pci.c - VirtIO over PCI, the modern way (VirtIO 1.1, 4.1).                           (lab 6)
 *
 * Idea.       Vendor capabilities in configuration space say in which BAR, at which offset, the four register
 *             blocks lie:
 *                 common (features, status, queues)   notify (doorbells)   isr (why INTx fired)   device (its
 *                 own config)
 *             Transitional devices have them too, and are driven the same way.
 * Interface.  A pci_driver for vendor 0x1af4; offers what it finds to virtio_add.
 * Invariants. I1 every block lies inside its BAR; registers are reached through `regs` mappings only.
 * Locks.      None: registers are used at boot and, notify and isr, by single accesses.
 */
#include "kern/block/pci.h"
#include "kern/block/virtio.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, NCAP = 5 };      /* cfg_type */
enum { NO_VECTOR = 0xffff, RESET_NS = 100 * 1000 * 1000 };

/* struct virtio_pci_common_cfg (VirtIO 1.1, 4.1.4.3) */
struct common {
	uint32_t feature_select, feature, driver_feature_select, driver_feature;
	uint16_t msix_config, num_queues;
	uint8_t status, generation;
	uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
	uint32_t desc[2], avail[2], used[2];
};
_Static_assert(sizeof(struct common) == 56, "VirtIO 1.1, 4.1.4.3");

struct vpci {
	struct virtio_dev v;
	struct pci_dev *pci;
	volatile struct common *common;
	volatile char *regs[NCAP];
	uint32_t len[NCAP];
	uint32_t notify_step;      /* bytes from one queue's doorbell to the next */
	volatile uint16_t *doorbell[4];
};

static struct vpci *
vpci_of(struct virtio_dev *v)
{
	return container_of(v, struct vpci, v);
}

static uint8_t
vpci_status(struct virtio_dev *v)
{
	return vpci_of(v)->common->status;
}

static void
vpci_set_status(struct virtio_dev *v, uint8_t s)
{
	volatile struct common *c = vpci_of(v)->common;
	uint64_t end = clock_ns() + RESET_NS;

	c->status = s;
	while (s == 0 && c->status != 0 && c->status != 0xff && clock_ns() < end)
		cpu_relax();
}

static uint64_t
vpci_features(struct virtio_dev *v)
{
	volatile struct common *c = vpci_of(v)->common;
	uint64_t f;

	c->feature_select = 0;
	f = c->feature;
	c->feature_select = 1;
	return f | (uint64_t)c->feature << 32;
}

static void
vpci_set_features(struct virtio_dev *v, uint64_t f)
{
	volatile struct common *c = vpci_of(v)->common;

	c->driver_feature_select = 0;
	c->driver_feature = f;
	c->driver_feature_select = 1;
	c->driver_feature = f >> 32;
}

/* Read a field of the device's configuration; what lies outside the block reads as zero. The generation
 * counter tells whether it changed between two accesses. */
static void
vpci_config(struct virtio_dev *v, int off, void *buf, int n)
{
	struct vpci *d = vpci_of(v);
	volatile char *p = d->regs[CAP_DEVICE] + off;
	uint8_t gen;

	memset(buf, 0, n);
	if (!d->regs[CAP_DEVICE] || (uint32_t)(off + n) > d->len[CAP_DEVICE])
		return;
	for (int tries = 0; tries < 16; tries++) {
		gen = d->common->generation;
		if (n == 1)
			*(uint8_t *)buf = *(volatile uint8_t *)p;
		else if (n == 2)
			*(uint16_t *)buf = *(volatile uint16_t *)p;
		else
			for (int i = 0; i < n / 4; i++)
				((uint32_t *)buf)[i] = ((volatile uint32_t *)p)[i];
		if (gen == d->common->generation)
			return;
	}
}

static uint16_t
vpci_queue_max(struct virtio_dev *v, int index)
{
	volatile struct common *c = vpci_of(v)->common;

	if (index >= c->num_queues)
		return 0;
	c->queue_select = index;
	return c->queue_size;
}

/* MSI-X tells by its vector which device it was; INTx is shared, and reading isr both asks and
 * acknowledges. */
static void
vpci_interrupt(void *arg)
{
	struct vpci *d = arg;

	if (!d->pci->msix && !(*(volatile uint8_t *)d->regs[CAP_ISR] & 1))
		return;
	if (d->v.irq)
		d->v.irq(&d->v);
}

static void
address_set(volatile uint32_t reg[2], const volatile void *p)
{
	reg[0] = V2P(p);
	reg[1] = V2P(p) >> 32;
}

static int
vpci_queue_start(struct virtio_dev *v, int index, struct virtq *q)
{
	struct vpci *d = vpci_of(v);
	volatile struct common *c = d->common;
	uint64_t bell;
	int err;

	if (index >= 4)
		return -EINVAL;
	c->queue_select = index;
	bell = (uint64_t)c->queue_notify_off * d->notify_step;
	if (bell + 2 > d->len[CAP_NOTIFY])
		return -ENODEV;
	d->doorbell[index] = (volatile uint16_t *)(d->regs[CAP_NOTIFY] + bell);
	err = pci_irq(d->pci, index, vpci_interrupt, d, "virtio");
	if (err)
		return err;
	c->msix_config = NO_VECTOR;
	c->queue_vector = d->pci->msix ? index : NO_VECTOR;
	if (d->pci->msix && c->queue_vector != index)
		return -ENODEV;
	c->queue_size = q->size;
	address_set(c->desc, q->desc);
	address_set(c->avail, q->avail);
	address_set(c->used, q->used);
	c->queue_enable = 1;
	return 0;
}

static void
vpci_notify(struct virtio_dev *v, int index)
{
	*vpci_of(v)->doorbell[index] = index;
}

static const struct virtio_ops vpci_ops = {
	.status = vpci_status, .set_status = vpci_set_status, .features = vpci_features,
	.set_features = vpci_set_features,
	.config = vpci_config, .queue_max = vpci_queue_max, .queue_start = vpci_queue_start, .notify = vpci_notify,
};

/* Map the block that the capability at `cap` describes (I1). The first usable one of a kind counts
 * (4.1.4.1). */
static void
block_map(struct vpci *d, int cap)
{
	static const uint32_t least[NCAP] = { 0, sizeof(struct common), 2, 1, 4 };
	uint8_t type = pci_read8(d->pci, cap + 3), bar = pci_read8(d->pci, cap + 4);
	uint64_t off = pci_read32(d->pci, cap + 8), len = pci_read32(d->pci, cap + 12);

	if (type < CAP_COMMON || type > CAP_DEVICE || d->regs[type] || bar > 5 || d->pci->bar_io[bar] ||
	    len < least[type] || off + len > d->pci->bar_len[bar])
		return;
	if (len > 1 << 20)
		len = 1 << 20;
	d->regs[type] = map_device(d->pci->bar[bar] + off, len);
	d->len[type] = len;
	if (type == CAP_NOTIFY)
		d->notify_step = pci_read32(d->pci, cap + 16);
}

static void
vpci_free(struct vpci *d)
{
	for (int i = 0; i < NCAP; i++)
		if (d->regs[i])
			unmap_device((void *)d->regs[i], d->len[i]);
	kfree(d);
}

static int
vpci_probe(struct pci_dev *pci)
{
	struct vpci *d;
	int err, cap;

	if (pci->device < 0x1000 || pci->device > 0x107f)
		return -ENODEV;
	d = kzalloc(sizeof *d);
	if (!d)
		return -ENOMEM;
	d->pci = pci;
	d->v.ops = &vpci_ops;
	d->v.type = pci->device >= 0x1040 ? pci->device - 0x1040 : pci_read16(pci, PCI_SUBSYSTEM);
	snprintf(d->v.name, sizeof d->v.name, "virtio %02x:%02x.%x", pci->bus, pci->dev, pci->fn);
	pci_enable(pci);
	cap = pci_cap(pci, PCI_CAP_VENDOR, 0);
	for (int n = 0; cap && n < 16; cap = pci_cap(pci, PCI_CAP_VENDOR, cap), n++)
		block_map(d, cap);
	d->common = (volatile struct common *)d->regs[CAP_COMMON];
	err = d->common && d->regs[CAP_NOTIFY] && d->regs[CAP_ISR] ? virtio_add(&d->v) : -ENODEV;
	if (!d->common)
		klog(LOG_WARN, "%s: not a modern device, ignored\n", d->v.name);
	if (err)
		vpci_free(d);
	return err;
}

static const struct pci_driver vpci_driver = { "virtio", 0x1af4, 0xffff, -1, -1, vpci_probe };

static void
vpci_init(void)
{
	pci_register(&vpci_driver);
}

INITCALL(6, vpci_init);
