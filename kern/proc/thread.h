/* thread.h - threads: what runs. Kernel and user threads are one kind.                       (lab 4)
 *
 *            thread_create          schedule            schedule picks it
 *   (none) ----------------> READY ----------> RUNNING -----------------> ...
 *                              ^                  |  \  thread_exit
 *                  thread_wake |   thread_sleep   |   `-------------> DEAD --(schedule on the next
 *                  thread)--> freed
 *                              `---- SLEEPING <---'
 * Contracts are above the functions in thread.c and sched.c.
 */
#ifndef KERN_PROC_THREAD_H
#define KERN_PROC_THREAD_H

#include "kern/boot/spinlock.h"
#include "kern/trap/fpu.h"
#include "kern/trap/trap.h"
#include "lib/kern/list.h"

struct proc;
struct mutex;

enum thread_state { T_READY, T_RUNNING, T_SLEEPING, T_DEAD };

#define NHELD_MUTEX 12

/* key: I immutable; a atomic; r the lock of the run queue of t->cpu; t this thread only; p t->proc->lock */
struct thread {
	/* [r] saved kernel stack pointer while not running; switch.S knows the offset */
	uint64_t rsp;
	uint64_t kstack;           /* [I] top of the kernel stack; the user frame ends here */
	enum thread_state state;   /* [r] */
	int cpu;                   /* [r] CPU it runs on or ran on last */
	/* [a] its registers are still being used by a CPU; wakers wait for false */
	bool on_cpu;
	bool intr;                 /* [a] an interruptible sleep must end: signal pending or killed */
	bool killed;               /* [a] ends on its way back to user mode */
	bool intr_sleep;           /* [r] sleeping, and thread_interrupt may end it */
	/* [t] address space to run in: proc->as; NULL: kernel thread, any will do */
	struct aspace *as;
	struct list run_link; /* [r] */

	int tid;                   /* [I] */
	const char *name;          /* [I] kernel threads; user threads: proc's name */
	/* [I] NULL: kernel thread, or a user thread that has left its process (thread_detach) */
	struct proc *proc;
	struct list proc_link;/* [p] in proc->threads */
	struct fpu *fpu;           /* [I] NULL: kernel thread */
	uint64_t fs_base;          /* [t] TLS; loaded at switch */
	uint64_t gs_base;          /* [t] user GS */
	/* [t] why lab 5 refused the last page fault; sigslot.c says what signal that is */
	int fault_err;
	uint64_t clear_child_tid;  /* [t] user address, lab 14 */
	void (*fn)(void *);        /* [I] kernel threads */
	void *arg;                 /* [I] */
	uint64_t start_ns, run_ns; /* [r] CPU time used: run_ns plus now - start_ns while running */
	uint64_t user_ns, sys_ns;  /* [r] where the slice timer met it, a slice for each time */
	uint64_t nswitch;          /* [r] */

	uint32_t mutex_rank;       /* [t] the smallest of their ranks, UINT32_MAX: none; this_cpu has it too */
	int nmutex;                /* [t] mutexes held, in order of acquisition */
	struct mutex *mutexes[NHELD_MUTEX];
	const void *wait_for;      /* [t] what it sleeps on, for reports and gdb */
	uint64_t restart_deadline; /* [t] clock_ns() value of the sleep that a signal interrupted */
	bool restarting;           /* [t] lab 11 runs that sleep again: its deadline is restart_deadline */
	void *sig;                 /* [t] lab 11's per-thread state */
	struct list all_link; /* in the list of all threads */
};

static inline struct thread *current(void) { return this_cpu->thread; }

/* Must an interruptible sleep of ours end? If so the way back to user mode will look why: whoever set intr may not have
 * come to mark our CPU yet. */
static inline bool
thread_interrupted(void)
{
	if (!__atomic_load_n(&current()->intr, __ATOMIC_RELAXED))
		return false;
	cpu_set_thread_work(true);
	return true;
}

/* New thread, READY but not queued: thread_start. Kernel thread: fn(arg) runs on its own stack; NULL when
 * out of memory. */
struct thread *thread_create(const char *name, void (*fn)(void *), void *arg);
/* New user thread, whose kernel stack holds a copy of *tf: it begins by returning to user mode through it.
 * tid 0: a new one. proc_add_thread makes it part of a process. NULL: out of memory or of tids. */
struct thread *thread_create_user(const char *name, int tid, const struct trapframe *tf);
void thread_start(struct thread *t);
void thread_destroy(struct thread *t);           /* one that was created and never started */
/* the current thread ends; freed by the next thread to run */
_Noreturn void thread_exit(void);
/* the current thread leaves its process, for the eyes of thread_each */
void thread_detach(void);
/* user frame at the top of its kernel stack; asserts a user thread */
struct trapframe *thread_frame(struct thread *t);
int tid_alloc(void);                             /* pids and tids are one number space; -EAGAIN */
void tid_free(int tid);

#endif
