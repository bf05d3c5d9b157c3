/* sigslot.c - signals, before there are signals.                                               (lab 4)
 *
 * Idea.       Lower layers have reasons to interrupt a process: a fault, ^C, a closed pipe. They say so
 *             here, and lab 11 does it properly. Until then a deadly signal kills, and others do nothing.
 * Interface.  proc_signal, proc_signal_group, proc_signal_state, proc_signal_mask; fault_signal, fault_log.
 */
#include "kern/proc/sigslot.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "lib/abi/errno.h"

#define BIT(sig) (1ul << ((sig) - 1))
/* Ignored or stopping by default (signal(7)). */
#define HARMLESS (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGSTOP) | BIT(SIGTSTP) | \
	BIT(SIGTTIN) | BIT(SIGTTOU))

static const struct sigslot_ops *ops;          /* [I] after boot */

void
sigslot_register(const struct sigslot_ops *o)
{
	ops = o;
}

/* Can signals stop, be caught, be ignored: is lab 11 there? */
bool
signals_present(void)
{
	return ops;
}

int
proc_signal(struct proc *p, int sig)
{
	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	if (ops)
		return ops->send(p, sig);
	if (sig != 0 && !(HARMLESS & BIT(sig)))
		proc_kill_threads(p, sig);
	return 0;
}

static int
signal_one(struct proc *p, void *arg)
{
	proc_signal(p, *(int *)arg);
	return 0;
}

int
proc_signal_group(int pgid, int sig)
{
	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	return proc_group_each(pgid, signal_one, &sig);
}

int
proc_signal_state(int sig)
{
	return ops ? ops->state(sig) : 0;
}

void
proc_signal_mask(uint64_t mask)
{
	if (ops)
		ops->mask(mask);
}

/* ---- a user program's exception ---- */

/* The signal that Linux sends for it (arch/x86 trap table; SDM vol. 3, 6.15 for the exceptions). */
int
fault_signal(const struct trapframe *tf)
{
	switch (tf->vector) {
	case VEC_DE:
	case VEC_MF:
	case VEC_XM:
		return SIGFPE;
	case VEC_DB:
	case VEC_BP:
		return SIGTRAP;
	case VEC_UD:
		return SIGILL;
	case VEC_NP:
	case VEC_SS:
	case VEC_AC:
		return SIGBUS;
	case VEC_PF:
		if (current()->fault_err == -EIO || current()->fault_err == -ERANGE)
			return SIGBUS;
		return current()->fault_err == -ENOMEM ? SIGKILL : SIGSEGV;
	default:
		return SIGSEGV;
	}
}

static const char *
fault_text(int sig)
{
	switch (sig) {
	case SIGFPE: return "arithmetic error";
	case SIGTRAP: return "breakpoint";
	case SIGILL: return "illegal instruction";
	case SIGBUS: return "bus error";
	case SIGKILL: return "out of memory";
	default: return "segmentation fault";
	}
}

/* One line for the person at the console: which program died, where. */
void
fault_log(const struct trapframe *tf, uint64_t cr2, int sig)
{
	const struct proc *p = current_proc();

	if (tf->vector == VEC_PF)
		klog(LOG_INFO, "pid %d (%s): %s at rip %#lx, address %#lx, %s\n", p->pid, p->name,
			fault_text(sig), tf->rip, cr2,
			tf->error & PF_I ? "execute" : tf->error & PF_W ? "write" : "read");
	else
		klog(LOG_INFO, "pid %d (%s): %s (%s) at rip %#lx\n", p->pid, p->name, fault_text(sig),
			trap_name(tf->vector), tf->rip);
}

/* Without lab 11: the process ends as if killed by the signal. */
static void
fault_ends_process(struct trapframe *tf, uint64_t cr2)
{
	int sig = fault_signal(tf);

	fault_log(tf, cr2, sig);
	proc_exit(sig);
}

static void
sigslot_init(void)
{
	trap_set_user_fault_hook(fault_ends_process);
}

INITCALL(4, sigslot_init);
