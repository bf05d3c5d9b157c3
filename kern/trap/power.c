/* power.c - switching the machine off, or starting it anew.                                  (lab 3)
 *
 * Idea.       Ask nicely first (ACPI), then by what every PC had, then by force. Upper labs get a last word
 *             through shutdown_register: the page cache writes back, lab 13 stops the other CPUs. */
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"

#define NSHUTDOWN 8
#define PM1_SCI_EN 1               /* ACPI 6.4, 4.8.3.2.1 */
#define PM1_SLP_EN (1 << 13)
#define SLEEP_CTRL_EN (1 << 5)     /* 4.8.3.7 */
#define SPACE_MEMORY 0
#define SPACE_IO 1

static void (*hooks[NSHUTDOWN])(void);
static int nhook;

void
shutdown_register(void (*fn)(void))
{
	assert(nhook < NSHUTDOWN);
	hooks[nhook++] = fn;
}

/* Each hook runs once, even when one of them ends here again. */
static void
hooks_run(void)
{
	for (int i = 0, n = nhook; i < n; i++) {
		void (*fn)(void) = hooks[i];

		hooks[i] = NULL;
		if (fn)
			fn();
	}
}

static _Noreturn void
halt(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

/* Write a byte to an ACPI register in memory or port space. */
static void
register_write(int space, uint64_t addr, uint8_t v)
{
	if (space == SPACE_IO) {
		outb(addr, v);
	} else if (space == SPACE_MEMORY) {
		volatile uint8_t *p = map_device(addr, 1);

		if (p)
			*p = v;
	}
}

static void
acpi_poweroff(void)
{
	if (!acpi.has_s5)
		return;
	if (acpi.sleep_ctrl)
		register_write(acpi.sleep_space, acpi.sleep_ctrl, acpi.slp_typ_a << 2 | SLEEP_CTRL_EN);
	if (!acpi.pm1a_cnt)
		return;
	if (acpi.smi_cmd && acpi.acpi_enable && !(inw(acpi.pm1a_cnt) & PM1_SCI_EN)) {
		outb(acpi.smi_cmd, acpi.acpi_enable);
		for (int i = 0; i < 1000000 && !(inw(acpi.pm1a_cnt) & PM1_SCI_EN); i++)
			cpu_relax();
	}
	outw(acpi.pm1a_cnt, acpi.slp_typ_a << 10 | PM1_SLP_EN | PM1_SCI_EN);
	if (acpi.pm1b_cnt)
		outw(acpi.pm1b_cnt, acpi.slp_typ_b << 10 | PM1_SLP_EN | PM1_SCI_EN);
}

_Noreturn void
machine_poweroff(void)
{
	hooks_run();
	irq_off();
	acpi_poweroff();
	outw(0x604, 0x2000);             /* QEMU pc without ACPI tables; older: */
	outw(0xb004, 0x2000);
	for (uint64_t began = rdtsc(); rdtsc() - began < 2000000000ul;)
		cpu_relax();             /* the power goes a moment later */
	klog(LOG_ERR, "It is now safe to turn off the machine.\n");
	halt();
}

/* Reset the machine by whatever way works; nothing is saved. */
static _Noreturn void
reset(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) none = { 0, 0 };

	if (acpi.reset_addr)
		register_write(acpi.reset_space, acpi.reset_addr, acpi.reset_value);
	for (int i = 0; i < 100000 && inb(0x64) & 2; i++)
		cpu_relax();
	outb(0x64, 0xfe);                /* keyboard controller: pulse the reset line */
	for (int i = 0; i < 1000; i++)
		inb(0x80);
	asm volatile("lidt %0; int3" :: "m"(none));      /* no handler, no double fault handler: reset */
	halt();
}

_Noreturn void
machine_reboot(void)
{
	hooks_run();
	irq_off();
	reset();
}

/* The kernel word panic=N. Counts by the CMOS clock: after a panic nothing else is to be trusted, interrupts least. */
static void
panic_reboot(int seconds)
{
	int last = -1;

	for (uint64_t spins = 0; seconds >= 0 && spins < 1ul << 36; spins++) {
		outb(0x70, 0);                 /* seconds register (MC146818) */
		int now = inb(0x71);
		if (now != last)
			seconds--;
		last = now;
	}
	reset();
}

_Noreturn void
machine_halt(void)
{
	hooks_run();
	klog(LOG_ERR, "System halted.\n");
	halt();
}

static void
power_init(void)
{
	panic_set_reboot_hook(panic_reboot);
}

INITCALL(3, power_init);
