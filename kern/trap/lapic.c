/* lapic.c - the local APIC: each CPU's interrupt inbox, its timer, and mail to other CPUs.   (lab 3)
 *
 * Idea.       Registers in memory, at the same physical address on every CPU, where each sees its own (SDM
 *             vol. 3, ch. 10).
 * Interface.  apic.h.
 * Invariants. I1 xAPIC mode: 8-bit CPU numbers, registers in memory.
 * Locks.      None: each CPU has its own; two-step register writes run with interrupts off. */
#include "kern/boot/print.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/trap.h"

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2APIC (1ul << 10)
#define APIC_BASE_ENABLE (1ul << 11)

/* Register offsets (SDM vol. 3, table 10-1) */
enum { LAPIC_ID = 0x20, LAPIC_TPR = 0x80, LAPIC_EOI = 0xb0, LAPIC_SVR = 0xf0, LAPIC_ESR = 0x280, LAPIC_ICR_LO = 0x300,
	LAPIC_ICR_HI = 0x310, LAPIC_LVT_TIMER = 0x320, LAPIC_LVT_PERF = 0x340, LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360, LAPIC_LVT_ERROR = 0x370, LAPIC_TIMER_INIT = 0x380, LAPIC_TIMER_NOW = 0x390,
	LAPIC_TIMER_DIV = 0x3e0 };

enum { SVR_ENABLE = 0x100, LVT_MASKED = 0x10000, LVT_NMI = 0x400, ICR_NMI = 0x400, ICR_INIT = 0x500, ICR_STARTUP = 0x600,
	ICR_PENDING = 0x1000, ICR_ASSERT = 0x4000, TIMER_DIV_16 = 3 };

#define LONGEST (60 * NSEC)        /* keeps the product in lapic_timer_oneshot small */

static volatile uint32_t *lapic;                 /* [I] */
static uint64_t timer_hz;                        /* [I] after calibration */

static inline uint32_t lapic_read(int reg) { return lapic[reg / 4]; }
static inline void lapic_write(int reg, uint32_t v) { lapic[reg / 4] = v; }

void
lapic_init(void)
{
	lapic = map_device(acpi.lapic_phys, 4096);
	if (!lapic)
		panic("no memory to map the local APIC");
}

/* Enable the calling CPU's local APIC, all local sources masked but NMI. */
void
lapic_init_cpu(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if (base & APIC_BASE_X2APIC) {           /* I1; x2APIC is left only through "disabled" (SDM vol. 3, 10.12.5) */
		base &= ~(APIC_BASE_X2APIC | APIC_BASE_ENABLE);
		wrmsr(MSR_APIC_BASE, base);
	}
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	lapic_write(LAPIC_SVR, SVR_ENABLE | VEC_SPURIOUS);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_LVT_PERF, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LVT_NMI);
	lapic_write(LAPIC_LVT_ERROR, VEC_ERROR);
	lapic_write(LAPIC_TIMER_DIV, TIMER_DIV_16);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VEC_TIMER);
	lapic_write(LAPIC_ESR, 0);
	lapic_eoi();
}

uint32_t
lapic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

void
lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

/* Send what `low` says to one CPU. Waits, not for ever, until it has left; no harm is done if it has not. */
static void
icr_send(uint32_t apic_id, uint32_t low)
{
	bool on = irq_save();

	lapic_write(LAPIC_ICR_HI, apic_id << 24);
	lapic_write(LAPIC_ICR_LO, low);
	for (int i = 0; i < 100000 && lapic_read(LAPIC_ICR_LO) & ICR_PENDING; i++)
		cpu_relax();
	irq_restore(on);
}

void
lapic_ipi(uint32_t apic_id, int vector)
{
	icr_send(apic_id, vector | ICR_ASSERT);
}

void
lapic_nmi(uint32_t apic_id)
{
	icr_send(apic_id, ICR_NMI | ICR_ASSERT);
}

void
lapic_ipi_others(int vector)
{
	for (int i = 0; i < ncpus; i++)
		if (cpus[i].online && i != this_cpu->id)
			lapic_ipi(cpus[i].apic_id, vector);
}

/* About n microseconds on real machines: port 0x80 answers at the speed of the ISA bus. */
static void
io_delay(int n)
{
	for (int i = 0; i < n; i++)
		inb(0x80);
}

/* Start a CPU at `entry_phys` in real mode (SDM vol. 3, 8.4.4.1; the long waits there are for the CPUs of
 * 1995). */
void
lapic_start_cpu(uint32_t apic_id, uint64_t entry_phys)
{
	assert((entry_phys & 4095) == 0 && entry_phys < 0x100000);
	icr_send(apic_id, ICR_INIT | ICR_ASSERT);
	io_delay(200);
	for (int i = 0; i < 2; i++) {
		icr_send(apic_id, ICR_STARTUP | ICR_ASSERT | entry_phys >> 12);
		io_delay(200);
	}
}

/* ---- timer ---- */

void
lapic_timer_count(uint32_t count)
{
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VEC_TIMER);
	lapic_write(LAPIC_TIMER_INIT, count);
}

uint32_t
lapic_timer_left(void)
{
	return lapic_read(LAPIC_TIMER_NOW);
}

void
lapic_timer_set_hz(uint64_t hz)
{
	timer_hz = hz;
}

void
lapic_timer_oneshot(uint64_t ns)
{
	uint64_t count;

	if (ns == 0) {
		lapic_write(LAPIC_TIMER_INIT, 0);
		return;
	}
	if (ns > LONGEST)
		ns = LONGEST;
	count = ns * timer_hz / NSEC + 1;
	lapic_write(LAPIC_LVT_TIMER, VEC_TIMER);
	lapic_write(LAPIC_TIMER_INIT, count > UINT32_MAX ? UINT32_MAX : count);
}

/* Message-signalled interrupts are writes to the local APICs' address range (SDM vol. 3, 10.11). */
void
msi_message(int vector, int cpu, uint64_t *addr, uint32_t *data)
{
	*addr = 0xfee00000 | cpus[cpu].apic_id << 12;
	*data = vector;
}
