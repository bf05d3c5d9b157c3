/* pci.c - PCI: enumerate buses, size registers, route interrupts.                             (lab 6)
 *
 * Idea.       Every function of every device answers at (bus, device, function, register), reached through
 *             two ports: write the address to 0xcf8, read or write the data at 0xcfc (PCI 3.0, 3.2.2.3.2:
 *             mechanism #1). The scan walks bus 0 and, behind each bridge, the bus number that the firmware
 *             gave it.
 * Interface.  pci_register (probes at once: the scan came first), pci_next, pci_read and pci_write, pci_cap,
 *             pci_irq.
 * Invariants. I1 a bus is scanned once, however bridges claim to be wired; a capability list is left after 48
 *             steps.
 *             I2 a BAR with bar_len > 0 has a decoded address; registers of an absent device read as all
 *             ones.
 * Interrupts. MSI-X if the device has it, else MSI, else its INTx pin. For INTx we take the interrupt line
 * register that
 *             the firmware wrote (an ISA interrupt number) with polarity and trigger from ACPI's overrides,
 *             level-triggered where there is none. That is right on QEMU's pc and q35; the general answer
 *             (_PRT) needs an AML interpreter.
 * Locks.      config_lock around the address/data port pair.
 */
#include "kern/block/pci.h"

#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/kheap.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "lib/abi/errno.h"

enum { PORT_ADDR = 0xcf8, PORT_DATA = 0xcfc };
enum { CMD_IO = 1, CMD_MEM = 2, CMD_MASTER = 4, CMD_NO_INTX = 1 << 10 };
enum { STATUS_CAPS = 1 << 4 };
enum { MSI_ENABLE = 1, MSI_64 = 1 << 7, MSIX_ENABLE = 1 << 15, MSIX_MASK_ALL = 1 << 14 };

static struct spinlock config_lock = SPINLOCK("pci config", RANK(6, 2));
static struct pci_dev *devices, **devices_end = &devices;    /* [I] after the scan */
static uint8_t bus_seen[256 / 8];                            /* the scan's; I1 */
/* level interrupts routed so far; written at boot only */
static struct { uint32_t gsi; int vector; } lines[32];
static int nlines;

uint32_t
pci_read32(const struct pci_dev *d, int off)
{
	uint32_t v;

	spin_lock(&config_lock);
	outl(PORT_ADDR, 1u << 31 | d->bus << 16 | d->dev << 11 | d->fn << 8 | (off & 0xfc));
	v = inl(PORT_DATA);
	spin_unlock(&config_lock);
	return v;
}

void
pci_write32(const struct pci_dev *d, int off, uint32_t v)
{
	spin_lock(&config_lock);
	outl(PORT_ADDR, 1u << 31 | d->bus << 16 | d->dev << 11 | d->fn << 8 | (off & 0xfc));
	outl(PORT_DATA, v);
	spin_unlock(&config_lock);
}

uint16_t
pci_read16(const struct pci_dev *d, int off)
{
	return pci_read32(d, off) >> (off & 2) * 8;
}

uint8_t
pci_read8(const struct pci_dev *d, int off)
{
	return pci_read32(d, off) >> (off & 3) * 8;
}

/* A 16-bit write must not touch its neighbour: the status register clears bits by writing ones. */
void
pci_write16(const struct pci_dev *d, int off, uint16_t v)
{
	spin_lock(&config_lock);
	outl(PORT_ADDR, 1u << 31 | d->bus << 16 | d->dev << 11 | d->fn << 8 | (off & 0xfc));
	outw(PORT_DATA + (off & 2), v);
	spin_unlock(&config_lock);
}

/* Find a capability (PCI 3.0, 6.7).
 *
 * Does:    looks behind offset `after` (0: from the beginning) for the next one with this id.
 * Returns: its offset, or 0; also 0 when the list leaves the configuration space or runs in a circle (I1).
 */
int
pci_cap(const struct pci_dev *d, int id, int after)
{
	int off = after ? after + 1 : PCI_CAP_PTR;

	if (!(pci_read16(d, PCI_STATUS) & STATUS_CAPS))
		return 0;
	for (int steps = 0; steps < 48; steps++) {
		off = pci_read8(d, off) & ~3;
		if (off < 0x40)
			return 0;
		if (pci_read8(d, off) == id)
			return off;
		off++;
	}
	return 0;
}

/* Let the device decode its registers and reach memory by itself. */
void
pci_enable(const struct pci_dev *d)
{
	pci_write16(d, PCI_COMMAND, pci_read16(d, PCI_COMMAND) | CMD_IO | CMD_MEM | CMD_MASTER);
}

/* ---- the scan ---- */

/* Size BAR n (PCI 3.0, 6.2.5.1): write ones, see which bits stick. Decoding is off meanwhile. Returns: BARs
 * used, 1 or 2. */
static int
bar_size(struct pci_dev *d, int n)
{
	int off = 0x10 + 4 * n;
	uint32_t old = pci_read32(d, off), oldhi = 0, mask, maskhi = ~0u;
	bool io = old & 1, wide = !io && (old & 6) == 4 && n < 5;

	pci_write32(d, off, ~0u);
	mask = pci_read32(d, off) & (io ? ~3u : ~15u);
	pci_write32(d, off, old);
	if (wide) {
		oldhi = pci_read32(d, off + 4);
		pci_write32(d, off + 4, ~0u);
		maskhi = pci_read32(d, off + 4);
		pci_write32(d, off + 4, oldhi);
	}
	if (io)
		mask |= 0xffff0000;
	if (mask || (wide && maskhi)) {
		d->bar_io[n] = io;
		d->bar[n] = (uint64_t)oldhi << 32 | (old & (io ? ~3u : ~15u));
		d->bar_len[n] = ~((uint64_t)maskhi << 32 | mask) + 1;
		if (!d->bar[n] || !d->bar_len[n] || d->bar[n] + d->bar_len[n] < d->bar[n])
			d->bar[n] = d->bar_len[n] = 0;
	}
	return wide ? 2 : 1;
}

static void
function_sizes(struct pci_dev *d, int nbar)
{
	uint16_t cmd = pci_read16(d, PCI_COMMAND);

	pci_write16(d, PCI_COMMAND, cmd & ~(CMD_IO | CMD_MEM));
	for (int n = 0; n < nbar; )
		n += bar_size(d, n);
	pci_write16(d, PCI_COMMAND, cmd);
}

/* Look at one function; put it on the list if it is there.
 * Returns: the number of the bus behind it if it is a bridge, 0 if it is something else, -1 if it is
 *          absent. */
static int
function_scan(int bus, int dev, int fn, bool *multi)
{
	struct pci_dev *d, key = { .bus = bus, .dev = dev, .fn = fn };
	uint32_t id = pci_read32(&key, 0), class, header;

	if ((id & 0xffff) == 0xffff || (id & 0xffff) == 0)
		return -1;
	class = pci_read32(&key, 8);
	header = pci_read8(&key, 0x0e);
	*multi = header & 0x80;
	d = kzalloc(sizeof *d);
	if (!d) {
		klog(LOG_ERR, "pci: %02x:%02x.%x: out of memory, left out\n", bus, dev, fn);
		return 0;
	}
	*d = key;
	d->vendor = id;
	d->device = id >> 16;
	d->class = class >> 24;
	d->subclass = class >> 16;
	d->progif = class >> 8;
	d->irq_line = pci_read8(d, 0x3c);
	d->irq_pin = pci_read8(d, 0x3d);
	function_sizes(d, (header & 0x7f) == 0 ? 6 : (header & 0x7f) == 1 ? 2 : 0);
	*devices_end = d;
	devices_end = &d->next;
	return d->class == 6 && d->subclass == 4 && (header & 0x7f) == 1 ? pci_read8(d, 0x19) : 0;
}

/* Scan a bus and those behind its bridges; the recursion is at most as deep as there are buses (I1). */
static void
bus_scan(int bus)
{
	if (bus_seen[bus / 8] & 1 << bus % 8)
		return;
	bus_seen[bus / 8] |= 1 << bus % 8;
	for (int dev = 0; dev < 32; dev++) {
		bool multi = false, ignore;

		for (int fn = 0; fn < (multi ? 8 : 1); fn++) {
			int behind = function_scan(bus, dev, fn, fn ? &ignore : &multi);

			if (behind < 0 && fn == 0)
				break;
			if (behind > 0)
				bus_scan(behind);
		}
	}
}

struct pci_dev *
pci_next(struct pci_dev *d)
{
	return d ? d->next : devices;
}

/* Offer all devices that are still free to a driver. Boot only; may sleep if the driver's probe does. */
void
pci_register(const struct pci_driver *drv)
{
	for (struct pci_dev *d = devices; d; d = d->next) {
		if (d->taken || (drv->vendor != 0xffff && drv->vendor != d->vendor) ||
		    (drv->device != 0xffff && drv->device != d->device) ||
		    (drv->class >= 0 && drv->class != d->class) || (drv->subclass >= 0 && drv->subclass != d->subclass))
			continue;
		if (drv->probe(d) == 0)
			d->taken = true;
	}
}

/* ---- interrupts ---- */

int
irq_line_vector(uint32_t gsi, bool low)
{
	int vector, err;

	for (int i = 0; i < nlines; i++)
		if (lines[i].gsi == gsi)
			return lines[i].vector;
	if (nlines == (int)(sizeof lines / sizeof *lines))
		return -ENOSPC;
	vector = irq_alloc_vector();
	if (vector < 0)
		return vector;
	err = ioapic_route(gsi, vector, true, low);
	if (err)
		return err;
	lines[nlines].gsi = gsi;
	lines[nlines++].vector = vector;
	return vector;
}

/* Map the MSI-X table (PCI 3.0, 6.8.2) and turn MSI-X on with every entry masked. 0, -ENODEV, -ENOMEM. */
static int
msix_start(struct pci_dev *d, int cap)
{
	uint32_t table = pci_read32(d, cap + 4), bir = table & 7, off = table & ~7u;
	uint32_t n = (pci_read16(d, cap + 2) & 0x7ff) + 1;

	if (bir > 5 || d->bar_io[bir] || (uint64_t)off + n * 16 > d->bar_len[bir])
		return -ENODEV;
	d->msix = map_device(d->bar[bir] + off, n * 16);
	if (!d->msix)
		return -ENOMEM;
	d->msix_n = n;
	for (uint32_t i = 0; i < n; i++)
		d->msix[i * 4 + 3] |= 1;
	pci_write16(d, PCI_COMMAND, pci_read16(d, PCI_COMMAND) | CMD_NO_INTX | CMD_MEM);
	pci_write16(d, cap + 2, (pci_read16(d, cap + 2) & ~MSIX_MASK_ALL) | MSIX_ENABLE);
	return 0;
}

static int
msix_irq(struct pci_dev *d, int entry, irq_fn fn, void *arg, const char *name)
{
	volatile uint32_t *e = d->msix + entry * 4;
	uint64_t addr;
	uint32_t data;
	int vector, err;

	if (entry < 0 || (uint32_t)entry >= d->msix_n)
		return -EINVAL;
	vector = irq_alloc_vector();
	if (vector < 0)
		return vector;
	err = irq_register(vector, fn, arg, name);
	if (err)
		return err;
	msi_message(vector, 0, &addr, &data);
	e[0] = addr;
	e[1] = addr >> 32;
	e[2] = data;
	e[3] &= ~1u;
	return 0;
}

/* One vector for all: a single MSI message (PCI 3.0, 6.8.1). Returns the vector or -errno. */
static int
msi_start(struct pci_dev *d, int cap)
{
	uint16_t ctl = pci_read16(d, cap + 2);
	int vector = irq_alloc_vector();
	uint64_t addr;
	uint32_t data;

	if (vector < 0)
		return vector;
	msi_message(vector, 0, &addr, &data);
	pci_write32(d, cap + 4, addr);
	if (ctl & MSI_64)
		pci_write32(d, cap + 8, addr >> 32);
	pci_write16(d, cap + (ctl & MSI_64 ? 12 : 8), data);
	pci_write16(d, PCI_COMMAND, pci_read16(d, PCI_COMMAND) | CMD_NO_INTX);
	pci_write16(d, cap + 2, (ctl & ~0x70) | MSI_ENABLE);
	return vector;
}

/* The INTx pin: see Interrupts at the top. Returns the vector or -errno. */
static int
intx_start(struct pci_dev *d)
{
	uint32_t gsi = d->irq_line;
	bool low = false;

	if (d->irq_pin == 0 || d->irq_line == 0 || d->irq_line == 0xff)
		return -ENODEV;
	for (int i = 0; i < acpi.niso; i++)
		if (acpi.iso[i].irq == d->irq_line) {
			gsi = acpi.iso[i].gsi;
			low = acpi.iso[i].low;
		}
	pci_write16(d, PCI_COMMAND, pci_read16(d, PCI_COMMAND) & ~CMD_NO_INTX);
	return irq_line_vector(gsi, low);
}

/* Have fn(arg) called on the device's interrupt.
 *
 * Does:    MSI-X table entry `entry` where there is MSI-X (then d->msix is set); else all entries share one
 *          MSI; else INTx, where fn must ask the device whether the interrupt is its own, because others may
 *          share the line.
 * Returns: 0; -ENODEV no usable interrupt; -ENOSPC no vector left; -ENOMEM; -EINVAL no such entry.
 */
int
pci_irq(struct pci_dev *d, int entry, irq_fn fn, void *arg, const char *name)
{
	int cap;

	if (!d->msix && !d->shared_vector && (cap = pci_cap(d, PCI_CAP_MSIX, 0)))
		msix_start(d, cap);
	if (d->msix)
		return msix_irq(d, entry, fn, arg, name);
	if (!d->shared_vector) {
		cap = pci_cap(d, PCI_CAP_MSI, 0);
		d->shared_vector = cap ? msi_start(d, cap) : intx_start(d);
	}
	if (d->shared_vector < 0) {
		int err = d->shared_vector;

		d->shared_vector = 0;
		return err;
	}
	return irq_register(d->shared_vector, fn, arg, name);
}

static void
pci_init(void)
{
	int n = 0;

	bus_scan(0);
	for (struct pci_dev *d = devices; d; d = d->next)
		n++;
	klog(LOG_DEBUG, "pci: %d devices\n", n);
}

INITCALL(6, pci_init);
