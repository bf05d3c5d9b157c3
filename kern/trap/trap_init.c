/* trap_init.c - making a CPU ready for traps: the IDT, SYSCALL, and the protections.         (lab 3)
 *
 * Idea.       The interrupt descriptor table points at the stubs; four registers tell SYSCALL where to go;
 *             CR0 and CR4 turn on everything that keeps the kernel away from user memory. Each CPU runs
 *             trap_init_cpu once.
 * Interface.  trap_init_cpu.
 * Invariants. I1 the IDT is the same for all CPUs and never changes after boot.
 */
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/page.h"
#include "kern/trap/apic.h"
#include "kern/trap/fpu.h"
#include "kern/trap/gdt.h"
#include "kern/trap/syscall.h"
#include "kern/trap/trap.h"
#include "lib/kern/string.h"

#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_SFMASK         0xc0000084
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define EFER_SCE 1
#define EFER_NXE (1 << 11)

/* Flags that SYSCALL clears: TF, IF, DF, IOPL, NT, RF, AC */
#define SYSCALL_MASK 0x57700

enum { CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_NE = 1 << 5, CR0_WP = 1 << 16 };
enum { CR4_PGE = 1 << 7, CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10, CR4_UMIP = 1 << 11, CR4_SMEP = 1 << 20,
	CR4_SMAP = 1 << 21 };

/* CPUID leaf 1 EDX; leaf 7 EBX and ECX (SDM vol. 2, CPUID) */
enum { CPUID1_PGE = 1 << 13, CPUID7B_SMEP = 1 << 7, CPUID7B_SMAP = 1 << 20, CPUID7C_UMIP = 1 << 2 };

/* SDM vol. 3, 6.14.1 */
struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

enum { GATE_INTERRUPT = 0x8e, GATE_USER = 0x60 };   /* present, 64-bit, interrupts off; callable by INT from user mode */

struct smap_site { uint64_t addr, code; };
extern const struct smap_site usercopy_smap_sites[], entry_smap_sites[];
extern char trap_stubs[];
enum { STUB_SIZE = 16 };

static struct gate idt[256];

static void
idt_fill(void)
{
	for (int v = 0; v < 256; v++) {
		uint64_t stub = (uint64_t)trap_stubs + v * STUB_SIZE;

		idt[v] = (struct gate){
			.offset_low = stub, .offset_mid = stub >> 16, .offset_high = stub >> 32,
			.selector = SEL_KCODE, .type = GATE_INTERRUPT | (v == VEC_BP || v == VEC_OF ? GATE_USER : 0),
			.ist = v == VEC_DF ? IST_DF : v == VEC_NMI ? IST_NMI : v == VEC_MC ? IST_MC : 0,
		};
	}
}

/* Turn the no-ops at `sites` into STAC and CLAC. Kernel text is read-only, which CR0.WP makes so for the
 * kernel too. */
static void
smap_patch(const struct smap_site *sites)
{
	uint32_t id[4];

	write_cr0(read_cr0() & ~CR0_WP);
	for (; sites->addr; sites++) {
		volatile uint8_t *p = (volatile uint8_t *)sites->addr;

		p[1] = 0x01;
		p[2] = sites->code;
	}
	write_cr0(read_cr0() | CR0_WP);
	cpuid(0, 0, id);                 /* serialises: the old instructions are forgotten */
}

static bool
cpu_has_smap(void)
{
	uint32_t id[4];

	cpuid(0, 0, id);
	if (id[0] < 7)
		return false;
	cpuid(7, 0, id);
	return id[1] & CPUID7B_SMAP;
}

/* Everything this CPU has against touching the wrong memory. */
static void
protections_on(void)
{
	uint32_t id[4], max;
	uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;

	cpuid(0, 0, id);
	max = id[0];
	cpuid(1, 0, id);
	if (id[3] & CPUID1_PGE)
		cr4 |= CR4_PGE;
	if (max >= 7) {
		cpuid(7, 0, id);
		cr4 |= (id[1] & CPUID7B_SMEP ? CR4_SMEP : 0) | (id[1] & CPUID7B_SMAP ? CR4_SMAP : 0) |
		       (id[2] & CPUID7C_UMIP ? CR4_UMIP : 0);
	}
	write_cr0((read_cr0() & ~CR0_EM) | CR0_MP | CR0_NE | CR0_WP);
	write_cr4(cr4);
}

static void
syscall_init_cpu(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
	wrmsr(MSR_STAR, (uint64_t)(SEL_KDATA | 3) << 48 | (uint64_t)SEL_KCODE << 32);  /* SYSRET: ss = this + 8, cs = + 16 */
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_SFMASK, SYSCALL_MASK);
}

/* Make the calling CPU, number `id`, ready for traps and system calls.
 *
 * Requires: trap_prepare_cpu(id) succeeded; interrupts off; the kernel's page tables loaded.
 * Does:     GDT, TSS, IDT, GS base, SYSCALL, protections, lazy FPU; the current stack becomes the one for
 *           traps from user mode until trap_set_kstack says better.
 */
void
trap_init_cpu(int id, uint32_t apic_id)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) desc = { sizeof idt - 1, (uint64_t)idt };

	gdt_load(id);
	cpus[id].self = &cpus[id];
	cpus[id].id = id;
	cpus[id].apic_id = apic_id;
	wrmsr(MSR_GS_BASE, (uint64_t)&cpus[id]);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	asm volatile("lidt %0" :: "m"(desc));
	syscall_init_cpu();
	protections_on();
	fpu_init_cpu();
}

static void
lapic_error(void *arg)
{
	(void)arg;
	klog(LOG_WARN, "local APIC error on CPU %d\n", this_cpu->id);
}

static void
trap_init(void)
{
	uint32_t id[4];

	if (trap_prepare_cpu(0) < 0)
		panic("no memory for exception stacks");
	idt_fill();
	if (cpu_has_smap()) {
		smap_patch(usercopy_smap_sites);
		smap_patch(entry_smap_sites);
	}
	cpuid(1, 0, id);
	trap_init_cpu(0, id[1] >> 24);
	acpi_init();
	ioapic_init();                   /* first: the 8259 must let go of its line while the local APIC still listens */
	lapic_init();
	lapic_init_cpu();
	irq_register(VEC_ERROR, lapic_error, NULL, "lapic error");
	cpus[0].online = true;
	kprintf("trap: %d CPU%s, %d I/O APIC%s\n", acpi.ncpu, acpi.ncpu == 1 ? "" : "s", acpi.nioapic,
		acpi.nioapic == 1 ? "" : "s");
}
INITCALL(3, trap_init);
