/* proc.h - processes: what owns things. Threads (thread.h) run inside.                       (lab 4)
 *
 *   proc_new --> ALIVE --(last thread leaves: proc_exit)--> ZOMBIE --(parent's wait4: proc_reap)--> freed
 *
 * Upper layers hang their state into slots and hear of fork, exec and exit by hooks; this file never names
 * them.
 * Locks.  tree_lock (RANK(4, 60)): parent, children, zombie/stop state, ids of groups and sessions, the pid
 *         table. p->lock (RANK(4, 50)): the list of threads, credentials, limits.
 * Contracts are above the functions in proc.c, fork.c, exit.c, wait.c, exec.c.
 */
#ifndef KERN_PROC_PROC_H
#define KERN_PROC_PROC_H

#include "kern/proc/aspace.h"
#include "kern/proc/thread.h"
#include "kern/proc/waitq.h"
#include "lib/abi/resource.h"

enum proc_state { P_ALIVE, P_ZOMBIE };

enum proc_slot { SLOT_FILES, SLOT_FS, SLOT_SIGNALS, SLOT_TTY, SLOT_FUTEX, NSLOT };

struct cred { uint32_t uid, euid, suid, gid, egid, sgid; uint32_t ngroups; uint32_t groups[16]; };

/* key: I immutable; T tree_lock; p p->lock; a atomic; o the owning layer's business */
struct proc {
	int pid;                   /* [I] */
	uint32_t refs;             /* [a] proc_get/proc_put; the pid table holds one until reaped */
	enum proc_state state;     /* [T] */
	struct proc *parent;       /* [T] never NULL but for init */
	struct list children; /* [T] */
	struct list sibling;  /* [T] */
	struct list hash_link;     /* [T] */
	int pgid, sid;             /* [T] */
	int status;                /* [T] wait status of a zombie, or of the stop/continue to be reported */
	/* [T] unreported change, for WUNTRACED/WCONTINUED */
	enum { EV_NONE, EV_STOPPED, EV_CONTINUED } event;
	bool stopped;              /* [T] job control (lab 11) */
	int exit_signal;           /* [I] what the parent is sent: SIGCHLD, or 0 */
	struct waitq child_wait;   /* parents wait here; condition under tree_lock */
	struct waitq vfork_wait;   /* a vfork parent waits for vfork_done */
	bool vfork_done;           /* [a] */
	bool exec_done;            /* [T] has exec'ed: setpgid by the parent then says EACCES */

	struct spinlock lock;
	struct list threads;  /* [p] */
	int nthreads;              /* [p] */
	bool exiting;              /* [p] exit_group under way with exit_status */
	int exit_status;           /* [p] */
	struct cred cred;          /* [p] written by its own threads only */
	struct rlimit rlim[RLIM_NLIMITS];   /* [p] */
	uint32_t umask;            /* [a] */

	/* [p] replaced by exec, NULL after exit; own threads read it freely, others: proc_aspace */
	struct aspace *as;
	int nice;                  /* [a] remembered for getpriority */
	char name[16];             /* [p] comm */
	uint64_t start_ns;         /* [I] clock_ns at fork */
	uint64_t cutime_ns, cstime_ns;   /* [T] of reaped children */
	uint64_t utime_ns, stime_ns;     /* [p] of threads that ended */
	uint64_t minflt, majflt;   /* [a] */
	void *slot[NSLOT];         /* [o] */
};

/* Hooks of an upper layer. Called without locks, in slot order (exit: reverse). NULL members are skipped. */
struct proc_ops {
	/* -errno: fork fails, exit is called on what was done. parent NULL: child is init, which begins with
	 * nothing: give it its first state (files: the console on 0, 1, 2; the root as working directory). */
	int  (*fork)(struct proc *parent, struct proc *child, uint64_t clone_flags);
	/* past the point of no return: close-on-exec, reset signal handlers */
	void (*exec)(struct proc *p);
	void (*exit)(struct proc *p);       /* last thread leaves; may sleep; slot must be empty afterwards */
	/* lab 11: child exited/stopped/continued, notify parent. p referenced */
	void (*changed)(struct proc *p, int what);
};
enum { PROC_EXITED, PROC_STOPPED, PROC_CONTINUED };
void proc_register(enum proc_slot slot, const struct proc_ops *ops);

static inline struct proc *current_proc(void) { return current()->proc; }
struct proc *proc_find(int pid);                 /* referenced, alive or zombie; NULL */
struct aspace *proc_aspace(struct proc *p);      /* referenced; NULL: the process has ended */
struct proc *proc_get(struct proc *p);
void proc_put(struct proc *p);
/* Every process, oldest first: *pos starts at 0; returns the next one referenced, with pid > *pos (and
 * stores it), or NULL. */
struct proc *proc_next(int *pos);
int  proc_count(void);
struct utsname;
void proc_uname(struct utsname *out);            /* what uname(2) says now */
extern struct proc *init_proc;                   /* [I] pid 1 */
extern struct spinlock tree_lock;

/* Between the files of this lab, and for lab 14. */
/* ALIVE with the parent's ids, no threads, in no table; -EAGAIN -ENOMEM */
int  proc_new(struct proc *parent, struct proc **out);
void proc_discard(struct proc *p);                                 /* of proc_new: never published */
void proc_add_thread(struct proc *p, struct thread *t);
void proc_publish(struct proc *p, bool sibling);     /* into the table and the tree (proc.c); cannot fail */
int  proc_hooks_fork(struct proc *parent, struct proc *child, uint64_t flags);
void proc_hooks_exec(struct proc *p);
void proc_hooks_exit(struct proc *p);
void proc_hooks_changed(struct proc *p, int what);
/* take a zombie out of the tables: false, somebody did; lab 11: SIGCHLD ignored */
bool proc_reap(struct proc *p);
/* of all its threads, past and present */
void proc_times(struct proc *p, uint64_t *utime_ns, uint64_t *stime_ns);
/* the current thread ends; with the last one the process, with status */
_Noreturn void proc_leave(int status);
void proc_vfork_done(struct proc *p);            /* exec, exit: the vfork parent may go on */

/* clone's work: pid or -errno */
long proc_fork(struct trapframe *tf, uint64_t flags, uint64_t stack, uint64_t ptid, uint64_t ctid,
	uint64_t tls);
/* exit_group of the current process; status as wait4 gives it */
_Noreturn void proc_exit(int status);
/* all threads of p end soon with this wait status (any context but irq) */
void proc_kill_threads(struct proc *p, int status);
/* lab 11: stop/continue reported to the parent */
void proc_set_event(struct proc *p, bool stopped, int status);
bool proc_any_stopped(void);                     /* is any process stopped by job control? */
long proc_wait(int pid, uint64_t ustatus, int options, uint64_t urusage);
/* Process groups and sessions. fn is called until it returns non-zero. -ESRCH: empty. */
int  proc_group_each(int pgid, int (*fn)(struct proc *p, void *arg), void *arg);   /* under tree_lock */
bool proc_group_orphaned(int pgid);

#endif
