/* exit.c - how threads and processes end.                                                      (lab 4)
 *
 * Idea.       Ending is always an act of the thread itself, on its way to user mode or in exit: others can
 *             only ask (proc_kill_threads). The last thread to leave ends the process: upper layers clean
 *             up, memory goes, children go to init, and what remains is a zombie with a status for the
 *             parent.
 * Interface.  proc_exit, proc_leave, proc_kill_threads, proc_set_event.
 * Invariants. I1 between the zombie's publication and thread_exit the thread touches only its own stack and
 *             struct.
 */
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/proc/proc.h"
#include "kern/proc/sched.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/signal.h"
#include "lib/abi/wait.h"

static int nstopped;                  /* [tree_lock] processes stopped; read without it as a hint */

/* The vfork parent, if there is one, may go on: this process no longer runs in its memory. */
void
proc_vfork_done(struct proc *p)
{
	if (p->vfork_done)
		return;
	__atomic_store_n(&p->vfork_done, true, __ATOMIC_RELEASE);
	waitq_wake_all(&p->vfork_wait);
}

/* Requires: p->lock. */
static void
kill_threads_locked(struct proc *p, int status, struct thread *but)
{
	if (!p->exiting) {
		p->exiting = true;
		p->exit_status = status;
	}
	list_for_each(t, &p->threads, struct thread, proc_link) {
		if (t == but)
			continue;
		t->killed = true;
		thread_interrupt(t);
		thread_wake(t);              /* also those who wait uninterruptibly look again (vfork) */
	}
}

/* All threads of p end soon, and p with this wait status, unless it is ending already. From any context. */
void
proc_kill_threads(struct proc *p, int status)
{
	spin_lock(&p->lock);
	kill_threads_locked(p, status, NULL);
	spin_unlock(&p->lock);
}

/* Nobody can run the system without init: say so and leave the machine, with a result that scripts can see.
 * */
static int init_status;

static void
init_leave(void)
{
	debug_exit(init_status == 0 ? DEBUG_EXIT_OK : DEBUG_EXIT_TESTS_FAILED);
}

static _Noreturn void
init_gone(int status)
{
	init_status = status;
	if (WIFSIGNALED(status))
		klog(LOG_ERR, "init was killed by signal %d: powering off\n", WTERMSIG(status));
	else
		klog(LOG_ERR, "init exited with status %d: powering off\n", WEXITSTATUS(status));
	shutdown_register(init_leave);        /* runs after all others */
	machine_poweroff();
}

/* Children of a dying process become init's; ended ones are for init to wait for. Requires: tree_lock. */
static void
give_children_to_init(struct proc *p)
{
	bool zombies = false;

	list_for_each_safe(c, &p->children, struct proc, sibling) {
		c->parent = init_proc;
		c->exit_signal = SIGCHLD;
		list_remove(&c->sibling);
		list_push_back(&init_proc->children, &c->sibling);
		zombies |= c->state == P_ZOMBIE;
	}
	if (zombies)
		waitq_wake_all(&init_proc->child_wait);
}

/* Give back the memory. This CPU leaves it first: what is in CR3 must not be freed. */
static void
drop_aspace(struct proc *p)
{
	struct aspace *as = p->as;

	current()->as = NULL;
	irq_off();
	aspace_switch(NULL);
	irq_on();
	spin_lock(&p->lock);
	p->as = NULL;
	spin_unlock(&p->lock);
	aspace_put(as);
}

/* The last thread is leaving: everything of the process goes but the zombie. */
static void
proc_finish(struct proc *p)
{
	struct proc *parent;

	if (p == init_proc)
		init_gone(p->exit_status);
	proc_hooks_exit(p);
	drop_aspace(p);
	proc_vfork_done(p);
	spin_lock(&tree_lock);
	if (!list_empty(&p->children))
		give_children_to_init(p);
	p->status = p->exit_status;
	p->event = EV_NONE;
	nstopped -= p->stopped;
	p->stopped = false;
	p->state = P_ZOMBIE;
	parent = p->parent ? proc_get(p->parent) : NULL;      /* p may be reaped from here on, and p->parent end and be freed */
	spin_unlock(&tree_lock);
	proc_hooks_changed(p, PROC_EXITED);   /* first, so that SIGCHLD is there when wait returns */
	spin_lock(&tree_lock);
	if (!list_empty(&p->sibling))         /* else it was reaped, and its parent may be gone */
		waitq_wake_all(&p->parent->child_wait);
	spin_unlock(&tree_lock);
	if (parent)
		proc_put(parent);
}

/* The current thread leaves its process and ends; when it is the last one, the process ends with `status`
 * (or with the status that an earlier proc_exit or proc_kill_threads gave). */
_Noreturn void
proc_leave(int status)
{
	struct thread *t = current();
	struct proc *p = t->proc;
	uint64_t user_ns, sys_ns;
	bool last;

	if (t->clear_child_tid && p->as->refs > 1)
		store_user32(t->clear_child_tid, 0);
	fpu_drop(t->fpu);
	spin_lock(&p->lock);
	list_remove(&t->proc_link);
	last = --p->nthreads == 0;
	if (last && !p->exiting) {
		p->exiting = true;
		p->exit_status = status;
	}
	thread_times(t, &user_ns, &sys_ns);
	p->utime_ns += user_ns;
	p->stime_ns += sys_ns;
	spin_unlock(&p->lock);
	if (last)
		proc_finish(p);
	else
		tid_free(t->tid);
	thread_detach();
	proc_put(p);
	thread_exit();
}

/* exit_group: the current process ends with this wait status. */
_Noreturn void
proc_exit(int status)
{
	struct proc *p = current_proc();

	spin_lock(&p->lock);
	kill_threads_locked(p, status, current());
	spin_unlock(&p->lock);
	proc_leave(status);
}

bool
proc_any_stopped(void)
{
	return __atomic_load_n(&nstopped, __ATOMIC_RELAXED) > 0;
}

/* Lab 11: p has stopped or gone on; the parent's wait4 reports it, and the parent hears of it. */
void
proc_set_event(struct proc *p, bool stopped, int status)
{
	spin_lock(&tree_lock);
	if (p->state == P_ZOMBIE) {
		spin_unlock(&tree_lock);
		return;
	}
	nstopped += stopped - p->stopped;
	p->stopped = stopped;
	p->event = stopped ? EV_STOPPED : EV_CONTINUED;
	p->status = status;
	if (p->parent)
		waitq_wake_all(&p->parent->child_wait);
	spin_unlock(&tree_lock);
	proc_hooks_changed(p, stopped ? PROC_STOPPED : PROC_CONTINUED);
}

/* On the way to user mode: who has been killed does not arrive. */
static void
exit_user_return(struct trapframe *tf)
{
	(void)tf;
	if (__atomic_load_n(&current()->killed, __ATOMIC_RELAXED))
		proc_leave(current_proc()->exit_status);
}

static void
exit_init(void)
{
	user_return_register(exit_user_return);
}

INITCALL(4, exit_init);
