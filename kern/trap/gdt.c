/* gdt.c - segments and the stacks that the processor switches to.                           (lab 3)
 *
 * Idea.       64-bit mode hardly uses segments; what is left is privilege (RPL of CS) and the task state
 *             segment (TSS), which holds stack pointers: rsp0 for traps from user mode, IST1..3 for
 *             exceptions that cannot trust the current stack.
 *                 GDT: null | kernel code | kernel data | user data | user code | TSS (two slots)
 * Interface.  trap_prepare_cpu, gdt_load, trap_set_kstack.
 * Invariants. I1 TSS.rsp0 and cpu->syscall_rsp + SYSCALL_SKIP name the top of the current thread's kernel stack.
 * Locks.      None: each CPU writes only its own.
 */
#include "kern/trap/gdt.h"
#include "kern/boot/print.h"
#include "kern/mem/page.h"
#include "kern/trap/offsets.h"
#include "kern/trap/trap.h"
#include "lib/abi/errno.h"

/* SDM vol. 3, 8.7 */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap;            /* beyond the limit: no port for user mode */
} __attribute__((packed));

struct trap_cpu {
	uint64_t gdt[7];
	struct tss tss;
};

static struct trap_cpu trap_cpus[NCPU];

/* Descriptors (SDM vol. 3, 3.4.5): present, code or data, 64-bit code. */
#define DESC_KCODE 0x00af9b000000ffffull
#define DESC_KDATA 0x00cf93000000ffffull
#define DESC_UDATA 0x00cff3000000ffffull
#define DESC_UCODE 0x00affb000000ffffull
#define DESC_TSS   0x0000890000000000ull

#define IST_ORDER 2                              /* four pages: two for the double fault, which prints most */

/* Allocate CPU `id`'s exception stacks and fill its TSS.
 *
 * Returns: 0; -ENOMEM. May be called again after success: does nothing.
 */
int
trap_prepare_cpu(int id)
{
	struct trap_cpu *tc = &trap_cpus[id];
	struct page *p;
	uint64_t base;

	if (tc->tss.ist[0])
		return 0;
	p = page_alloc_order(IST_ORDER, PG_STACK);
	if (!p)
		return -ENOMEM;
	base = (uint64_t)page_virt(p);
	tc->tss.ist[IST_DF - 1] = base + 2 * PAGE_SIZE;
	tc->tss.ist[IST_NMI - 1] = base + 3 * PAGE_SIZE;
	tc->tss.ist[IST_MC - 1] = base + 4 * PAGE_SIZE;
	tc->tss.iomap = sizeof(struct tss);
	return 0;
}

static void
gdt_fill(struct trap_cpu *tc)
{
	uint64_t base = (uint64_t)&tc->tss;

	tc->gdt[SEL_KCODE / 8] = DESC_KCODE;
	tc->gdt[SEL_KDATA / 8] = DESC_KDATA;
	tc->gdt[SEL_UDATA / 8] = DESC_UDATA;
	tc->gdt[SEL_UCODE / 8] = DESC_UCODE;
	tc->gdt[SEL_TSS / 8] = DESC_TSS | (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
	tc->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

/* Load GDT, segment registers and TSS of the calling CPU, whose number is `id`.
 *
 * Requires: trap_prepare_cpu(id) succeeded; interrupts off. GS base is left alone.
 */
void
gdt_load(int id)
{
	struct trap_cpu *tc = &trap_cpus[id];
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) desc = { sizeof(tc->gdt) - 1, (uint64_t)tc->gdt };

	assert(tc->tss.ist[0] != 0);
	gdt_fill(tc);
	cpus[id].trap = tc;
	asm volatile("lgdt %0" :: "m"(desc));
	asm volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" :: "i"(SEL_KCODE) : "rax", "memory");
	asm volatile("movw %w0, %%ss; movw %w1, %%ds; movw %w1, %%es; movw %w1, %%fs" :: "r"(SEL_KDATA), "r"(0));
	asm volatile("ltr %w0" :: "r"(SEL_TSS));
}

/* From now on traps from user mode and system calls start on the stack that ends at `top` (16-aligned).
 *
 * Requires: interrupts off.
 */
void
trap_set_kstack(uint64_t top)
{
	struct trap_cpu *tc = this_cpu->trap;

	tc->tss.rsp[0] = top;
	this_cpu->syscall_rsp = top - SYSCALL_SKIP;
}
