/* fork.c - fork, vfork and the part of clone that makes processes.                              (lab 4)
 *
 * Idea.       The child is a copy of the parent at the moment of the call: same registers but rax = 0, same
 *             memory (a copy, or with CLONE_VM the very same), upper layers' state copied by their hooks.
 *             All that can fail happens before proc_publish.
 * Interface.  proc_fork; system calls fork, vfork, clone.
 */
#include "kern/boot/initcall.h"
#include "kern/proc/proc.h"
#include "kern/proc/sched.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/sched.h"
#include "lib/abi/signal.h"
#include "lib/kern/string.h"

/* New namespaces, traced children, descriptors for processes: not offered. CLONE_THREAD is lab 14's. */
#define CLONE_REFUSED (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	CLONE_NEWPID | CLONE_NEWNET | CLONE_PIDFD | CLONE_THREAD | CLONE_SIGHAND)

/* The child's thread: the parent's registers, FPU and TLS. Returns: NULL, out of memory. */
static struct thread *
fork_thread(struct proc *child, const struct trapframe *tf, uint64_t flags, uint64_t stack, uint64_t tls)
{
	struct thread *me = current(), *t;
	struct trapframe regs = *tf;

	regs.rax = 0;
	regs.error = -1ul;                    /* not in a system call: nothing to restart */
	if (stack)
		regs.rsp = stack;
	t = thread_create_user(child->name, child->pid, &regs);
	if (!t)
		return NULL;
	t->fs_base = flags & CLONE_SETTLS ? tls : me->fs_base;
	t->gs_base = me->gs_base;
	if (me->fpu->used) {
		fpu_sync(me->fpu);
		memcpy(t->fpu->area, me->fpu->area, sizeof t->fpu->area);
		t->fpu->used = true;
	}
	return t;
}

/* Everything of the child that can fail. On error the child is gone. */
static int
fork_build(struct proc *child, struct trapframe *tf, uint64_t flags, uint64_t stack, uint64_t tls,
	struct thread **out)
{
	struct proc *p = current_proc();
	int err = 0;

	if (flags & CLONE_VM)
		child->as = aspace_get(p->as);
	else
		err = aspace_clone(p->as, &child->as);
	if (!err)
		*out = fork_thread(child, tf, flags, stack, tls);
	if (!err && !*out)
		err = -ENOMEM;
	if (err) {
		proc_discard(child);
		return err;
	}
	err = proc_hooks_fork(p, child, flags);
	if (err) {
		thread_destroy(*out);
		proc_discard(child);
	}
	return err;
}

/* Wait until the child has exec'ed or ended. Only death ends this early: the child runs on our stack. */
static void
vfork_wait(struct proc *child)
{
	wait_event(&child->vfork_wait,
		__atomic_load_n(&child->vfork_done, __ATOMIC_ACQUIRE) || current()->killed, (void *)NULL);
}

/* clone's work: a child process of the current one.
 *
 * Requires: tf is the current thread's full frame; may sleep.
 * Does:     flags as clone(2): CLONE_VM shares memory, CLONE_VFORK waits for exec or exit; the low byte is
 *           the signal for the parent; ptid, ctid, tls where the flags ask for them; stack 0: the same
 *           address as the parent's.
 * Returns:  the child's pid; -EAGAIN too many processes, -ENOMEM, -EINVAL flags.
 */
long
proc_fork(struct trapframe *tf, uint64_t flags, uint64_t stack, uint64_t ptid, uint64_t ctid, uint64_t tls)
{
	struct proc *p = current_proc(), *child;
	struct thread *t;
	int pid, err;

	if ((flags & CLONE_REFUSED) || (flags & CSIGNAL) > _NSIG ||
	    ((flags & CLONE_SETTLS) && tls >= USER_END))
		return -EINVAL;
	if ((flags & CLONE_PARENT) && p == init_proc)
		return -EINVAL;
	err = proc_new(p, &child);
	if (err)
		return err;
	err = fork_build(child, tf, flags, stack, tls, &t);
	if (err)
		return err;
	pid = child->pid;
	child->exit_signal = flags & CSIGNAL;
	child->vfork_done = !(flags & CLONE_VFORK);
	if (flags & CLONE_PARENT_SETTID)
		store_user32(ptid, pid);
	if (flags & CLONE_CHILD_SETTID)
		aspace_write(child->as, ctid, &pid, sizeof pid);
	if (flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = ctid;
	proc_add_thread(child, t);
	if (flags & CLONE_VFORK)
		proc_get(child);
	proc_publish(child, flags & CLONE_PARENT);
	thread_start(t);
	if (flags & CLONE_VFORK) {
		vfork_wait(child);
		proc_put(child);
	}
	return pid;
}

static long
sys_fork(void)
{
	return proc_fork(syscall_frame(), SIGCHLD, 0, 0, 0, 0);
}

static long
sys_vfork(void)
{
	return proc_fork(syscall_frame(), CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
}

static long
sys_clone(uint64_t flags, uint64_t stack, uint64_t ptid, uint64_t ctid, uint64_t tls)
{
	return proc_fork(syscall_frame(), flags, stack, ptid, ctid, tls);
}

static void
fork_init(void)
{
	SYSCALL_REG_FRAME(fork, sys_fork);
	SYSCALL_REG_FRAME(vfork, sys_vfork);
	SYSCALL_REG_FRAME(clone, sys_clone);
}

INITCALL(4, fork_init);
