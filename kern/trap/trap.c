/* trap.c - who deals with an exception or interrupt, and the way back to user mode.          (lab 3)
 *
 * Idea.       trap_entry.S builds a frame and calls trap_dispatch. Upper layers put themselves into slots:
 *
 *                 exception --> trap_register'ed handler --false--> user code:   user-fault hook (ends or
 *                 signals it)
 *                                                             `---> kernel code: exception table, else panic
 *                 interrupt --> every irq_register'ed handler of the vector, then end of interrupt
 *                 back to user mode, if this_cpu->work --> user_return hooks
 *
 * Interface.  trap.h.
 * Invariants. I1 no spinlock is held on the way to user mode.  I2 interrupts are off from the last look at
 *             this_cpu->work until user mode.  I3 handlers run on the kernel stack of the interrupted thread.
 * Locks.      irq_lock (RANK(3, 30)) for changes of the handler lists; readers take no lock: entries are
 *             never unlinked.
 */
#include "kern/trap/trap.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/boot/trace.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"

#define NEXCEPTION 32
#define NVECTOR 256
#define NACTION 64             /* interrupt handlers in all */
#define NUSER_RETURN 4

/* Flags that user code may set as it likes (SDM vol. 1, 3.4.3): CF PF AF ZF SF TF DF OF RF AC ID. */
#define RFLAGS_USER 0x250dd5
#define RFLAGS_FIXED 2

/* key: I immutable; l irq_lock, read without it; a atomic */
struct irq_action {
	irq_fn fn;                 /* [a] NULL: free for the next handler of this vector; stored last */
	void *arg;                 /* [l] */
	const char *name;          /* [l] */
	struct irq_action *next;   /* [I] */
};

static trap_fn handlers[NEXCEPTION];
static user_fault_fn user_fault_hook;
static void (*user_return_hooks[NUSER_RETURN])(struct trapframe *tf);
static int nuser_return;

static struct spinlock irq_lock = SPINLOCK("irq", RANK(3, 30));
static struct irq_action actions[NACTION];
static int naction;                              /* [irq_lock] */
static struct irq_action *irq_list[NVECTOR];     /* [irq_lock], read without it */
static uint64_t irq_counts[NVECTOR];             /* [a] */
static int irq_next_vector = VEC_IRQ0 + 16;      /* [irq_lock] the first 16 are where masked 8259s would stray to */

/* ---- registration ---- */

trap_fn
trap_register(int vector, trap_fn fn)
{
	trap_fn old;

	assert(vector >= 0 && vector < NEXCEPTION);
	old = handlers[vector];
	handlers[vector] = fn;
	return old;
}

user_fault_fn
trap_set_user_fault_hook(user_fault_fn fn)
{
	user_fault_fn old = user_fault_hook;

	user_fault_hook = fn;
	return old;
}

/* Requires: boot, one CPU. */
void
user_return_register(void (*fn)(struct trapframe *tf))
{
	assert(nuser_return < NUSER_RETURN);
	user_return_hooks[nuser_return++] = fn;
}

/* A vector nobody has yet, for irq_register.
 *
 * Returns: the vector; -ENOSPC when all up to VEC_TIMER are given out.
 */
int
irq_alloc_vector(void)
{
	int vector = -ENOSPC;

	spin_lock(&irq_lock);
	if (irq_next_vector < VEC_TIMER)
		vector = irq_next_vector++;
	spin_unlock(&irq_lock);
	return vector;
}

/* A free action in the vector's list, else a new one appended to it, else NULL. Requires: irq_lock. */
static struct irq_action *
irq_action_get(int vector)
{
	struct irq_action **link = &irq_list[vector];

	for (; *link; link = &(*link)->next)
		if (!(*link)->fn)
			return *link;
	if (naction == NACTION)
		return NULL;
	__atomic_store_n(link, &actions[naction], __ATOMIC_RELEASE);
	return &actions[naction++];
}

/* Call fn(arg) on every interrupt at `vector`, along with the handlers that are there already.
 *
 * Returns: 0; -EINVAL for an exception's vector; -ENOMEM when NACTION handlers exist.
 */
int
irq_register(int vector, irq_fn fn, void *arg, const char *name)
{
	struct irq_action *a;

	if (vector < VEC_IRQ0 || vector >= NVECTOR)
		return -EINVAL;
	spin_lock(&irq_lock);
	a = irq_action_get(vector);
	if (a) {
		a->arg = arg;
		a->name = name;
		__atomic_store_n(&a->fn, fn, __ATOMIC_RELEASE);
	}
	spin_unlock(&irq_lock);
	return a ? 0 : -ENOMEM;
}

/* Undo irq_register. The handler may still be running on another CPU when this returns. */
void
irq_unregister(int vector, irq_fn fn, void *arg)
{
	spin_lock(&irq_lock);
	for (struct irq_action *a = irq_list[vector]; a; a = a->next)
		if (a->fn == fn && a->arg == arg)
			__atomic_store_n(&a->fn, NULL, __ATOMIC_RELEASE);
	spin_unlock(&irq_lock);
}

uint64_t
irq_count(int vector)
{
	return vector >= 0 && vector < NVECTOR ? __atomic_load_n(&irq_counts[vector], __ATOMIC_RELAXED) : 0;
}

/* Name of the first handler of `vector`, NULL when it has none. */
const char *
irq_name(int vector)
{
	if (vector < 0 || vector >= NVECTOR)
		return NULL;
	for (struct irq_action *a = irq_list[vector]; a; a = a->next)
		if (a->fn)
			return a->name;
	return NULL;
}

/* ---- dispatch ---- */

/* Run the handlers of an interrupt. Interrupts off. An interrupt that nobody wants is counted and dropped. */
static void
irq_dispatch(int vector)
{
	this_cpu->in_irq++;
	__atomic_fetch_add(&irq_counts[vector], 1, __ATOMIC_RELAXED);
	for (struct irq_action *a = __atomic_load_n(&irq_list[vector], __ATOMIC_ACQUIRE); a; a = a->next) {
		irq_fn fn = __atomic_load_n(&a->fn, __ATOMIC_ACQUIRE);

		if (fn)
			fn(a->arg);
	}
	if (vector != VEC_SPURIOUS)              /* SDM vol. 3, 10.9: no EOI for a spurious interrupt */
		lapic_eoi();
	this_cpu->in_irq--;
}

extern const struct { uint32_t insn, landing; } extable_start[], extable_end[];    /* kernel.lds */

/* Is this a fault of a user-copy instruction on a user address? Then go on at its landing place.
 * A general-protection fault has no address; those instructions cannot cause it with a checked user address. */
static bool
extable_fixup(struct trapframe *tf, uint64_t cr2)
{
	if (tf->vector != VEC_PF || cr2 >= USER_END)
		return false;
	for (size_t i = 0; i < (size_t)(extable_end - extable_start); i++) {
		if (extable_start[i].insn + KERNBASE == tf->rip) {
			tf->rip = extable_start[i].landing + KERNBASE;
			return true;
		}
	}
	return false;
}

/* An exception in the kernel that no handler took: recover a user copy, or panic. */
static void
kernel_fault(struct trapframe *tf, uint64_t cr2)
{
	if (extable_fixup(tf, cr2))
		return;
	irq_off();
	fault_report(tf, cr2);
	panic("%s in the kernel", trap_name(tf->vector));
}

static void
user_fault(struct trapframe *tf, uint64_t cr2)
{
	if (!user_fault_hook) {
		fault_report(tf, cr2);
		panic("%s in user mode, and no lab that deals with user programs", trap_name(tf->vector));
	}
	user_fault_hook(tf, cr2);
}

/* One of the processor's own vectors. CR2 is read first: the next fault overwrites it. Interrupts are on again if they
 * were on where it happened. The registered handler is asked, unless this CPU says nofault; what no handler took is
 * the user program's fault or the kernel's. */
static void
exception(struct trapframe *tf)
{
	uint64_t cr2 = tf->vector == VEC_PF ? read_cr2() : 0;
	trap_fn fn = handlers[tf->vector];

	if (tf->rflags & RFLAGS_IF)
		irq_on();
	if (fn && !this_cpu->nofault && fn(tf))
		return;
	if (trap_from_user(tf))
		user_fault(tf, cr2);
	else
		kernel_fault(tf, cr2);
}

/* The only caller is trap_entry.S: every exception and interrupt but those with their own stack. */
void
trap_dispatch(struct trapframe *tf)
{
	trace(tf->vector == VEC_PF ? "page fault" : "trap", tf->vector == VEC_PF ? read_cr2() : tf->vector, tf->rip);
	if (tf->vector >= NEXCEPTION)
		irq_dispatch(tf->vector);
	else
		exception(tf);
	if (trap_from_user(tf))
		trap_user_return(tf);
}

/* Exceptions that came on a stack of their own (trap_entry.S): nothing here may sleep or return to user
 * mode's hooks. */
void
trap_dispatch_ist(struct trapframe *tf)
{
	trap_fn fn = handlers[tf->vector];
	uint64_t cr2 = read_cr2();

	if (fn && fn(tf))
		return;
	cons_break_lock();              /* it may have come in the middle of a line */
	fault_report(tf, cr2);
	if (tf->vector == VEC_DF && (kstack_guard(cr2) || kstack_guard(tf->rsp)))
		panic("kernel stack overflow: stack pointer %#lx, last access %#lx in a guard page", tf->rsp, cr2);
	panic("%s", trap_name(tf->vector));
}

/* ---- the way back ---- */

/* A frame may hold what a debugger or a signal handler's return put there. IRET faults in the kernel on a bad
 * one, so make it good: user selectors, harmless flags, and instead of an address beyond user memory one that
 * faults in user mode. */
static inline void
frame_mend(struct trapframe *tf)
{
	tf->cs = SEL_UCODE;
	tf->ss = SEL_UDATA;
	tf->rflags = (tf->rflags & RFLAGS_USER) | RFLAGS_IF | RFLAGS_FIXED;
	if (tf->rip >= USER_END)
		tf->rip = USER_END;
}

/* -ERESTART... must not reach user mode: lab 11's hook has restarted the call or not; what is left becomes
 * -EINTR. */
static inline void
restart_fold(struct trapframe *tf)
{
	if (tf->vector != VEC_SYSCALL || (tf->rax != (uint64_t)-ERESTARTSYS && tf->rax != (uint64_t)-ERESTARTNOINTR &&
	    tf->rax != (uint64_t)-ERESTARTNOHAND && tf->rax != (uint64_t)-ERESTART_RESTARTBLOCK))
		return;
	tf->rax = -EINTR;
}

/* Run the hooks while there is work, then make the frame fit for user mode.
 *
 * Requires: the frame returns to user mode; no lock held.
 * Does:     returns with interrupts off and no work pending. May sleep, may not return (killed). */
void
trap_user_return(struct trapframe *tf)
{
	irq_off();
	while (this_cpu->work) {
		this_cpu->thread_work = false;
		if (!nuser_return)
			this_cpu->need_resched = false;
		irq_on();
		for (int i = 0; i < nuser_return; i++)
			user_return_hooks[i](tf);
		irq_off();
	}
	assert(this_cpu->nheld == 0);            /* some spinlock was not released */
	restart_fold(tf);
	frame_mend(tf);
}
