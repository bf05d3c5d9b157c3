/* sigslot.h - the place where signals will be: who wants to interrupt a process calls here.    (lab 4)
 *
 * Lab 11 registers the real sender. Without it a signal has at least its effect by default: SIGHUP, SIGINT,
 * SIGQUIT, SIGKILL, SIGPIPE, SIGTERM and the fault signals end the process with the wait status that Linux
 * gives; others do nothing. All of these may be called from any context (interrupts too), with locks of lab
 * 5 and above held or none.
 */
#ifndef KERN_PROC_SIGSLOT_H
#define KERN_PROC_SIGSLOT_H

#include "kern/proc/proc.h"
#include "lib/abi/signal.h"

enum { SIGNAL_IGNORED = 1, SIGNAL_BLOCKED = 2 };

struct sigslot_ops {
	/* from the kernel to a process, alive or not: 0 or -errno */
	int (*send)(struct proc *p, int sig);
	/* of the current thread: SIGNAL_IGNORED | SIGNAL_BLOCKED */
	int (*state)(int sig);
	void (*mask)(uint64_t mask);               /* see proc_signal_mask */
};
void sigslot_register(const struct sigslot_ops *ops);
bool signals_present(void);                            /* false: only the defaults above */

int proc_signal(struct proc *p, int sig);              /* 0; -EINVAL no such signal */
/* to every process of the group: 0; -ESRCH empty group */
int proc_signal_group(int pgid, int sig);
/* What would happen if the current thread were sent sig (tty: SIGTTIN and SIGTTOU rules): 0 or flags above.
 * */
int proc_signal_state(int sig);
/* ppoll, pselect6: block exactly these signals (a sigset_t) until the current system call returns; a handler
 * that runs because of it still sees the old mask restored afterwards. */
void proc_signal_mask(uint64_t mask);
/* Is there something that must end an interruptible sleep? */
static inline bool signal_pending(void) { return thread_interrupted(); }

/* The signal for a user program's exception, and the line that says where: pid 7 (name): segmentation fault
 * at rip ... */
int  fault_signal(const struct trapframe *tf);
void fault_log(const struct trapframe *tf, uint64_t cr2, int sig);

#endif
