/* fault.c - what to tell about an exception that kills.                                      (lab 3)
 *
 * Idea.       Everything a person wants to know who cannot rerun it: registers, where, why the page walk
 *             failed, who called. Runs in broken circumstances: takes no lock, allocates nothing, trusts no
 *             pointer it follows.
 */
#include "kern/boot/print.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/trap.h"

static const char *const names[32] = {
	[VEC_DE] = "divide error", [VEC_DB] = "debug", [VEC_NMI] = "NMI", [VEC_BP] = "breakpoint", [VEC_OF] = "overflow",
	[VEC_BR] = "bound range", [VEC_UD] = "invalid opcode", [VEC_NM] = "FPU not available", [VEC_DF] = "double fault",
	[VEC_TS] = "invalid TSS", [VEC_NP] = "segment not present", [VEC_SS] = "stack segment",
	[VEC_GP] = "general protection", [VEC_PF] = "page fault", [VEC_MF] = "x87 error", [VEC_AC] = "alignment check",
	[VEC_MC] = "machine check", [VEC_XM] = "SIMD error",
};

const char *
trap_name(int vector)
{
	return vector >= 0 && vector < 32 && names[vector] ? names[vector] : "exception";
}

static void
registers_print(const struct trapframe *tf)
{
	klog(LOG_ERR, "rip %016lx  rsp %016lx  rflags %06lx  cs %02lx  ss %02lx  error %#lx\n", tf->rip, tf->rsp, tf->rflags,
	     tf->cs, tf->ss, tf->error);
	klog(LOG_ERR, "rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", tf->rax, tf->rbx, tf->rcx, tf->rdx);
	klog(LOG_ERR, "rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", tf->rsi, tf->rdi, tf->rbp, tf->r8);
	klog(LOG_ERR, "r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", tf->r9, tf->r10, tf->r11, tf->r12);
	klog(LOG_ERR, "r13 %016lx  r14 %016lx  r15 %016lx  cr3 %016lx\n", tf->r13, tf->r14, tf->r15, read_cr3());
}

/* Walk the loaded page tables by hand as the processor does, and say where the walk ends (SDM vol. 3, 4.5): a
 * line for each level, "PT[5] = 0x...", with the entry in hexadecimal and what its bits mean. */
static void
walk_print(uint64_t va)
{
	static const char *const level_name[] = { "PT", "PD", "PDPT", "PML4" };
	uint64_t table = read_cr3() & PTE_ADDR;

	if ((int64_t)(va << 16) >> 16 != (int64_t)va) {
		klog(LOG_ERR, "%016lx is not canonical: bits 63..47 must be equal\n", va);
		return;
	}
	for (int level = 3; level >= 0; level--) {
		int i = va >> (12 + 9 * level) & 511;
		pte_t e;
		const pte_t *t = directmap_ptr(table, PAGE_SIZE);

		if (!t) {
			klog(LOG_ERR, "  %s at %#lx is not RAM\n", level_name[level], table);
			return;
		}
		e = t[i];
		klog(LOG_ERR, "  %s[%d] = %#lx%s%s%s%s%s\n", level_name[level], i, e, e & PTE_P ? " present" : " not present",
		     e & PTE_W ? " writable" : "", e & PTE_U ? " user" : "", e & PTE_NX ? " no-execute" : "",
		     level && e & PTE_PS ? " large" : "");
		if (!(e & PTE_P) || (level && e & PTE_PS))
			return;
		table = e & PTE_ADDR;
	}
}

static void
page_fault_print(const struct trapframe *tf, uint64_t cr2)
{
	klog(LOG_ERR, "page fault: %s %016lx, %s%s\n",
	     tf->error & PF_I ? "execute" : tf->error & PF_W ? "write to" : "read of", cr2,
	     tf->error & PF_P ? "not allowed" : "not mapped", tf->error & PF_RSVD ? ", reserved bit set" : "");
	if (cr2 < PAGE_SIZE)
		klog(LOG_ERR, "hint: a NULL pointer, offset %lu\n", cr2);
	else if (kstack_guard(cr2))
		klog(LOG_ERR, "hint: the guard page under a kernel stack\n");
	else if (cr2 < USER_END && !trap_from_user(tf))
		klog(LOG_ERR, "hint: a user address outside copyin/copyout\n");
	walk_print(cr2);
}

/* Did the processor switch stacks for this one? Then panic's own backtrace will not reach the code that met
 * it. */
static bool
on_other_stack(const struct trapframe *tf)
{
	return tf->vector == VEC_DF || tf->vector == VEC_NMI || tf->vector == VEC_MC;
}

/* Print all that the frame of a fatal exception tells; `cr2` for page faults. */
void
fault_report(const struct trapframe *tf, uint64_t cr2)
{
	uint64_t off = 0;
	const char *sym = ksym_find(tf->rip, &off);

	klog(LOG_ERR, "%s (vector %lu) in %s mode at %s+%#lx\n", trap_name(tf->vector), tf->vector,
	     trap_from_user(tf) ? "user" : "kernel", sym ? sym : "?", off);
	registers_print(tf);
	if (tf->vector == VEC_PF)
		page_fault_print(tf, cr2);
	if (!trap_from_user(tf) && on_other_stack(tf))
		backtrace_print(tf->rbp);
}
