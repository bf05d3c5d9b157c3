/* trap.h - exceptions, interrupts, and the one way back to user mode.                       (lab 3)
 * Contracts are above the functions in trap.c; the frame is built by trap_entry.S. */
#ifndef KERN_TRAP_TRAP_H
#define KERN_TRAP_TRAP_H

#include "kern/boot/cpu.h"

/* Registers of the interrupted code, at the top of its kernel stack. The full frame is built by exceptions,
 * interrupts and by those system calls that need it (see syscall.h); the last five are pushed by the
 * processor (SDM vol. 3, 6.14). */
struct trapframe {
	uint64_t vector;           /* enum vector */
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, rcx, rax;      /* what the fast system call leaves out */
	uint64_t r10, r9, r8, rdx, rsi, rdi;
	uint64_t error;            /* exceptions: error code or 0; system calls: the number (Linux's orig_rax), else -1 */
	uint64_t rip, cs, rflags, rsp, ss;
};

enum vector { VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6, VEC_NM = 7, VEC_DF = 8,
	VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14, VEC_MF = 16, VEC_AC = 17, VEC_MC = 18, VEC_XM = 19,
	VEC_IRQ0 = 32,             /* first device vector */
	VEC_TIMER = 0xf0, VEC_IPI_RESCHED = 0xf1, VEC_IPI_TLB = 0xf2, VEC_IPI_STOP = 0xf3, VEC_ERROR = 0xfe, VEC_SPURIOUS = 0xff,
	VEC_SYSCALL = 0x100 };     /* not a vector: in the frame of a system call */

/* Page fault error code bits (SDM vol. 3, 4.7). */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* GDT selectors: the order SYSCALL/SYSRET ask for (SDM vol. 3, 5.8.8). */
enum { SEL_KCODE = 0x08, SEL_KDATA = 0x10, SEL_UDATA = 0x18 | 3, SEL_UCODE = 0x20 | 3, SEL_TSS = 0x28 };

static inline bool trap_from_user(const struct trapframe *tf) { return (tf->cs & 3) == 3; }

/* Where the work for the way back to user mode is noted: this_cpu->work (kern/boot/cpu.h), two bytes in one
 * word so that the exit path tests both with one compare, interrupts off. Each byte is written with a plain
 * store, by any CPU:
 *   need_resched  set by the scheduler (slice over, somebody better woke up); cleared by schedule().
 *   thread_work   "the thread running here has something of its own": set after the thing itself (a signal)
 *                 was published in the thread, then an IPI if it runs elsewhere; recomputed by lab 4 at every
 *                 switch; cleared by trap.c just before it calls the hooks, so hooks look at the thread, not
 *                 at this flag.
 * A store that hits the wrong thread costs one walk through the hooks, nothing more. */
static inline void cpu_set_thread_work(bool on) { this_cpu->thread_work = on; }

/* Exceptions. A handler returns true when it has dealt with it; false: the default. Default for user code:
 * the user-fault hook; for the kernel: the exception table (usercopy.h), else panic with frame and backtrace.
 * Runs with interrupts on if the interrupted code had them on (so a page-fault handler may sleep). read_cr2()
 * is the fault's until the handler sleeps or touches user memory. One handler per vector, the last one
 * registered; returns the one before, or NULL. */
typedef bool (*trap_fn)(struct trapframe *tf);
trap_fn trap_register(int vector, trap_fn fn);

/* A user program's exception that nobody handled: lab 4 ends the process, lab 11 sends the signal. cr2 for
 * page faults. Returns the hook before. */
typedef void (*user_fault_fn)(struct trapframe *tf, uint64_t cr2);
user_fault_fn trap_set_user_fault_hook(user_fault_fn fn);
const char *trap_name(int vector);                                        /* "page fault" */

/* Device interrupts (I/O APIC pins and MSI). Handlers run with interrupts off, may not sleep; EOI is sent by
 * trap.c. Several handlers may share a vector (PCI INTx). irq_alloc_vector: a free vector >= VEC_IRQ0, or
 * -ENOSPC. */
typedef void (*irq_fn)(void *arg);
int  irq_alloc_vector(void);
int  irq_register(int vector, irq_fn fn, void *arg, const char *name);    /* -ENOMEM, -EINVAL */
void irq_unregister(int vector, irq_fn fn, void *arg);
uint64_t irq_count(int vector);                                           /* since boot, all CPUs: /proc/interrupts */
const char *irq_name(int vector);

/* The way back: called with interrupts on, after any exception, interrupt or slow system call that returns to
 * user mode and found work (this_cpu->need_resched or the current thread's pending-work flag). Lab 4
 * reschedules there, lab 11 delivers signals: hooks run in registration order. */
void user_return_register(void (*fn)(struct trapframe *tf));

/* Start running user code described by the frame; does not return. Interrupts off on entry; tf ends at the
 * top of this thread's kernel stack. Runs pending hooks first. What a hostile frame could break is mended:
 * selectors, privileged flags, an address no user code can have (it faults in user mode instead). */
_Noreturn void trap_return(struct trapframe *tf);

int  trap_prepare_cpu(int id);                   /* memory for CPU `id`'s exception stacks: before trap_init_cpu; -ENOMEM */
void trap_init_cpu(int id, uint32_t apic_id);    /* GDT, TSS, IDT, SYSCALL MSRs, CR0/CR4 protections, GS base of the calling CPU */
/* The stack that traps from user mode and SYSCALL use from now on: top of the current thread's kernel stack.
 * IRQs off. */
void trap_set_kstack(uint64_t top);

/* Between the files of this lab. */
void trap_dispatch(struct trapframe *tf);        /* trap.c: from trap_entry.S */
void trap_dispatch_ist(struct trapframe *tf);    /* trap.c: the same on an exception stack: NMI, double fault, machine check */
void trap_user_return(struct trapframe *tf);     /* trap.c: last C code before user mode; returns with interrupts off */
void fault_report(const struct trapframe *tf, uint64_t cr2);   /* fault.c: registers, page walk, backtrace */

#endif
