/* ioapic.c - the I/O APIC: which interrupt pin goes to which vector of which CPU.            (lab 3)
 *
 * Idea.       Each pin ("global system interrupt" = the controller's first one + pin) has a 64-bit
 *             redirection entry, reached through an index and a data register (82093AA data sheet, 3.2). ISA
 *             interrupts arrive at the pin of the same number unless ACPI's overrides say otherwise. The two
 *             old 8259s are moved out of the way and masked.
 * Interface.  ioapic_init, ioapic_route, ioapic_route_isa.
 * Locks.      ioapic_lock (RANK(3, 20)) guards the index registers.
 */
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "kern/trap/trap.h"
#include "lib/abi/errno.h"

enum { IOAPIC_VERSION = 1, IOAPIC_REDIRECT = 0x10 };
enum { RED_LOW = 1 << 13, RED_LEVEL = 1 << 15, RED_MASKED = 1 << 16 };
enum { PIC1 = 0x20, PIC2 = 0xa0 };

static struct spinlock ioapic_lock = SPINLOCK("ioapic", RANK(3, 20));
static volatile uint32_t *regs[4];               /* [I] NULL: nothing there */
static int npin[4];                              /* [I] */

static uint32_t
ioapic_read(int n, int reg)
{
	regs[n][0] = reg;
	return regs[n][4];
}

static void
ioapic_write(int n, int reg, uint32_t v)
{
	regs[n][0] = reg;
	regs[n][4] = v;
}

/* Initialise both 8259s with vectors VEC_IRQ0.. and mask all their pins (8259A data sheet). */
static void
pic_disable(void)
{
	static const uint8_t words[][2] = { { 0x11, 0x11 }, { VEC_IRQ0, VEC_IRQ0 + 8 }, { 4, 2 }, { 1, 1 }, { 0xff, 0xff } };

	for (int i = 0; i < 5; i++) {
		outb(PIC1 + (i > 0), words[i][0]);
		outb(PIC2 + (i > 0), words[i][1]);
	}
}

/* Map controller n, mask its pins. One that reads as empty bus is not there. */
static void
ioapic_probe(int n)
{
	uint32_t v;

	regs[n] = acpi.ioapic[n].phys ? map_device(acpi.ioapic[n].phys, 0x20) : NULL;
	if (!regs[n])
		return;
	v = ioapic_read(n, IOAPIC_VERSION);
	if (v == UINT32_MAX || v == 0) {
		regs[n] = NULL;
		return;
	}
	npin[n] = (v >> 16 & 0xff) + 1;
	for (int pin = 0; pin < npin[n]; pin++)
		ioapic_write(n, IOAPIC_REDIRECT + 2 * pin, RED_MASKED);
}

void
ioapic_init(void)
{
	pic_disable();
	for (int n = 0; n < acpi.nioapic; n++)
		ioapic_probe(n);
}

int
ioapic_route(uint32_t gsi, int vector, bool level, bool low)
{
	for (int n = 0; n < acpi.nioapic; n++) {
		uint32_t pin = gsi - acpi.ioapic[n].gsi_base;

		if (!regs[n] || gsi < acpi.ioapic[n].gsi_base || pin >= (uint32_t)npin[n])
			continue;
		spin_lock(&ioapic_lock);
		ioapic_write(n, IOAPIC_REDIRECT + 2 * pin + 1, cpus[0].apic_id << 24);
		ioapic_write(n, IOAPIC_REDIRECT + 2 * pin, vector | (level ? RED_LEVEL : 0) | (low ? RED_LOW : 0));
		spin_unlock(&ioapic_lock);
		return 0;
	}
	return -ENODEV;
}

int
ioapic_route_isa(int irq, int vector)
{
	for (int i = 0; i < acpi.niso; i++)
		if (acpi.iso[i].irq == irq)
			return ioapic_route(acpi.iso[i].gsi, vector, acpi.iso[i].level, acpi.iso[i].low);
	return ioapic_route(irq, vector, false, false);
}
