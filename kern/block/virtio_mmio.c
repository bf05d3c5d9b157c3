/* virtio_mmio.c - VirtIO at fixed memory addresses (VirtIO 1.1, 4.2): QEMU's microvm.         (lab 6)
 *
 * Idea.       There is no bus to scan. Where the devices are we learn from
 *             - kernel words `virtio_mmio.device=512@0xfeb00e00:12` (size, address, interrupt), as Linux
 *               takes them;
 *             - ACPI: devices of name LNRO0005 in the DSDT. Their resources are constants in two descriptors
 *               (ACPI 6.4, 6.4.3: Memory32Fixed, Extended Interrupt), so they are found by their bytes,
 *               without interpreting AML.
 *             Then the magic value at each address says whether a device is there (empty slots have type 0).
 * Interface.  Offers what it finds to virtio_add. Version 2 only; the legacy interface is named and left
 *             alone.
 * Invariants. I1 no address is tried twice.  I2 nothing from the words or tables is believed before the magic
 *             value was seen.
 * Locks.      None: as virtio_pci.c.
 */
#include "kern/block/pci.h"
#include "kern/block/virtio.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

/* Registers (VirtIO 1.1, 4.2.2), as indexes of 32-bit words. */
enum { R_MAGIC = 0, R_VERSION = 1, R_TYPE = 2, R_FEATURES = 0x10 / 4, R_FEATURES_SEL = 0x14 / 4,
	R_DRIVER_FEATURES = 0x20 / 4,
	R_DRIVER_FEATURES_SEL = 0x24 / 4, R_QUEUE_SEL = 0x30 / 4, R_QUEUE_MAX = 0x34 / 4, R_QUEUE_NUM = 0x38 / 4,
	R_QUEUE_READY = 0x44 / 4,
	R_NOTIFY = 0x50 / 4, R_ISR = 0x60 / 4, R_ACK = 0x64 / 4, R_STATUS = 0x70 / 4, R_DESC = 0x80 / 4,
	R_AVAIL = 0x90 / 4,
	R_USED = 0xa0 / 4, R_GENERATION = 0xfc / 4, R_CONFIG = 0x100 / 4 };
enum { MAGIC = 0x74726976, SLOT_MAX = 32, SLOT_LEN = 512, RESET_NS = 100 * 1000 * 1000 };

struct vmmio {
	struct virtio_dev v;
	volatile uint32_t *reg;
	uint32_t irq;
	bool low;
};

static uint64_t tried[SLOT_MAX];       /* I1 */
static int ntried;

static volatile uint32_t *
regs_of(struct virtio_dev *v)
{
	return container_of(v, struct vmmio, v)->reg;
}

static uint8_t
vmmio_status(struct virtio_dev *v)
{
	return regs_of(v)[R_STATUS];
}

static void
vmmio_set_status(struct virtio_dev *v, uint8_t s)
{
	volatile uint32_t *r = regs_of(v);
	uint64_t end = clock_ns() + RESET_NS;

	r[R_STATUS] = s;
	while (s == 0 && r[R_STATUS] != 0 && r[R_STATUS] != ~0u && clock_ns() < end)
		cpu_relax();
}

static uint64_t
vmmio_features(struct virtio_dev *v)
{
	volatile uint32_t *r = regs_of(v);
	uint64_t f;

	r[R_FEATURES_SEL] = 0;
	f = r[R_FEATURES];
	r[R_FEATURES_SEL] = 1;
	return f | (uint64_t)r[R_FEATURES] << 32;
}

static void
vmmio_set_features(struct virtio_dev *v, uint64_t f)
{
	volatile uint32_t *r = regs_of(v);

	r[R_DRIVER_FEATURES_SEL] = 0;
	r[R_DRIVER_FEATURES] = f;
	r[R_DRIVER_FEATURES_SEL] = 1;
	r[R_DRIVER_FEATURES] = f >> 32;
}

static void
vmmio_config(struct virtio_dev *v, int off, void *buf, int n)
{
	volatile uint32_t *r = regs_of(v);
	uint32_t gen;

	for (int tries = 0; tries < 16; tries++) {
		gen = r[R_GENERATION];
		if (n < 4)
			for (int i = 0; i < n; i++)
				((uint8_t *)buf)[i] = ((volatile uint8_t *)&r[R_CONFIG])[off + i];
		else
			for (int i = 0; i < n / 4; i++)
				((uint32_t *)buf)[i] = r[R_CONFIG + off / 4 + i];
		if (gen == r[R_GENERATION])
			return;
	}
}

static uint16_t
vmmio_queue_max(struct virtio_dev *v, int index)
{
	volatile uint32_t *r = regs_of(v);

	r[R_QUEUE_SEL] = index;
	return r[R_QUEUE_READY] ? 0 : r[R_QUEUE_MAX] > 0x8000 ? 0x8000 : r[R_QUEUE_MAX];
}

static void
vmmio_interrupt(void *arg)
{
	struct vmmio *d = arg;
	uint32_t why = d->reg[R_ISR];

	if (!why)
		return;
	d->reg[R_ACK] = why;
	if (why & 1 && d->v.irq)
		d->v.irq(&d->v);
}

static void
address_set(volatile uint32_t *reg, const volatile void *p)
{
	reg[0] = V2P(p);
	reg[1] = V2P(p) >> 32;
}

static int
vmmio_queue_start(struct virtio_dev *v, int index, struct virtq *q)
{
	struct vmmio *d = container_of(v, struct vmmio, v);
	volatile uint32_t *r = d->reg;
	int vector = irq_line_vector(d->irq, d->low), err;

	if (vector < 0)
		return vector;
	if (index == 0) {
		err = irq_register(vector, vmmio_interrupt, d, "virtio");
		if (err)
			return err;
	}
	r[R_QUEUE_SEL] = index;
	r[R_QUEUE_NUM] = q->size;
	address_set(&r[R_DESC], q->desc);
	address_set(&r[R_AVAIL], q->avail);
	address_set(&r[R_USED], q->used);
	r[R_QUEUE_READY] = 1;
	return 0;
}

static void
vmmio_notify(struct virtio_dev *v, int index)
{
	regs_of(v)[R_NOTIFY] = index;
}

static const struct virtio_ops vmmio_ops = {
	.status = vmmio_status, .set_status = vmmio_set_status, .features = vmmio_features,
	.set_features = vmmio_set_features,
	.config = vmmio_config, .queue_max = vmmio_queue_max, .queue_start = vmmio_queue_start,
	.notify = vmmio_notify,
};

/* ---- finding them ---- */

/* Look at one address (I1, I2) and offer the device that is there. */
static void
slot_probe(uint64_t phys, uint32_t irq, bool low)
{
	struct vmmio *d;
	volatile uint32_t *r;

	for (int i = 0; i < ntried; i++)
		if (tried[i] == phys)
			return;
	if (ntried == SLOT_MAX || phys % 4 || page_of_phys(phys))
		return;
	tried[ntried++] = phys;
	r = map_device(phys, SLOT_LEN);
	if (!r)
		return;
	if (r[R_MAGIC] != MAGIC || r[R_TYPE] == 0)
		goto out;
	if (r[R_VERSION] != 2) {
		klog(LOG_WARN, "virtio-mmio at %#lx: version %u, not supported (-global virtio-mmio.force-legacy=false)\n",
		     phys, r[R_VERSION]);
		goto out;
	}
	d = kzalloc(sizeof *d);
	if (!d)
		goto out;
	d->v.ops = &vmmio_ops;
	d->v.type = r[R_TYPE];
	d->reg = r;
	d->irq = irq;
	d->low = low;
	snprintf(d->v.name, sizeof d->v.name, "virtio-mmio %#lx", phys);
	if (virtio_add(&d->v) == 0)
		return;
	kfree(d);
out:
	unmap_device((void *)r, SLOT_LEN);
}

/* A number in C's notation; *s moves behind it. */
static uint64_t
number(const char **s)
{
	uint64_t v = 0, base = 10;

	if ((*s)[0] == '0' && (*s)[1] == 'x') {
		base = 16;
		*s += 2;
	}
	for (;; ++*s) {
		char c = **s;
		uint64_t digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;

		if (digit >= base)
			return v;
		v = v * base + digit;
	}
}

/* Kernel words: SIZE[K|M]@ADDRESS:IRQ, as often as there are devices. */
static void
words_probe(void)
{
	static const char word[] = "virtio_mmio.device=";

	for (const char *s = bootinfo.cmdline; (s = strstr(s, word)); ) {
		uint64_t phys;

		s += sizeof word - 1;
		number(&s);
		if (*s == 'K' || *s == 'M')
			s++;
		if (*s++ != '@')
			continue;
		phys = number(&s);
		if (*s++ == ':')
			slot_probe(phys, number(&s), false);
		else
			s--;
	}
}

static uint32_t
le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Memory that a table points to: mostly in the direct map already. NULL: there is none. */
static const uint8_t *
phys_bytes(uint64_t phys, uint64_t len)
{
	const void *p = directmap_ptr(phys, len);

	return p ? p : map_device(phys, len);
}

/* The DSDT, which the FADT points to (ACPI 6.4, 5.2.9), or NULL; *len its bytes. */
static const uint8_t *
dsdt_find(uint32_t *len)
{
	const uint8_t *fadt = acpi_table("FACP"), *dsdt;
	uint64_t phys;

	if (!fadt || le32(fadt + 4) < 44)
		return NULL;
	phys = le32(fadt + 40);
	if (!phys && le32(fadt + 4) >= 148)
		phys = le32(fadt + 140) | (uint64_t)le32(fadt + 144) << 32;
	if (!phys)
		return NULL;
	dsdt = phys_bytes(phys, 36);
	if (!dsdt || memcmp(dsdt, "DSDT", 4) != 0)
		return NULL;
	*len = le32(dsdt + 4);
	return *len >= 36 && *len <= 1 << 20 ? phys_bytes(phys, *len) : NULL;
}

/* Behind each LNRO0005 name in the DSDT look for the two descriptors. */
static void
acpi_probe(void)
{
	uint32_t len = 0;
	const uint8_t *p = dsdt_find(&len), *end = p + len;

	for (; p && p + 8 < end; p++) {
		const uint8_t *stop = p + 160 < end ? p + 160 : end;
		uint64_t phys = 0;

		if (memcmp(p, "LNRO0005", 8) != 0)
			continue;
		for (const uint8_t *q = p + 8; q + 12 <= stop; q++) {
			if (q[0] == 0x86 && q[1] == 9 && q[2] == 0)
				phys = le32(q + 4);
			else if (phys && q[0] == 0x89 && q[1] == 6 && q[2] == 0 && q[4] == 1) {
				slot_probe(phys, le32(q + 5), q[3] & 4);
				break;
			}
		}
	}
}

static void
vmmio_init(void)
{
	words_probe();
	acpi_probe();
}

INITCALL(6, vmmio_init);
