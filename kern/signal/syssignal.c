/* syssignal.c - system calls that send, block, handle and wait for signals.                    (lab 11) */
#include "kern/boot/initcall.h"
#include "kern/proc/sched.h"
#include "kern/signal/signal.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/time.h"
#include "lib/kern/string.h"

/* ---- sending ---- */

/* kill(2): root, the same user, or SIGCONT within the session. */
static bool
may_signal(const struct proc *p, int sig)
{
	const struct proc *me = current_proc();
	const struct cred *a = &me->cred, *b = &p->cred;

	if (a->euid == 0 || a->euid == b->uid || a->euid == b->suid || a->uid == b->uid || a->uid == b->suid)
		return true;
	return sig == SIGCONT && p->sid == me->sid;
}

struct kill_many {
	int sig;
	struct siginfo info;
	bool all;                  /* kill(-1): all but init and ourselves */
	int sent, refused;
};

static int
kill_one(struct proc *p, void *arg)
{
	struct kill_many *k = arg;

	if (k->all && (p->pid == 1 || p == current_proc()))
		return 0;
	if (!may_signal(p, k->sig)) {
		k->refused++;
		return 0;
	}
	signal_send(p, NULL, k->sig, &k->info);
	k->sent++;
	return 0;
}

static struct siginfo
user_info(int code)
{
	struct siginfo si = { .si_code = code };

	si.si_pid = current_proc()->pid;
	si.si_uid = current_proc()->cred.uid;
	return si;
}

static void
kill_everybody(struct kill_many *k)
{
	struct proc *p;
	int pos = 0;

	k->all = true;
	while ((p = proc_next(&pos)) != NULL) {
		kill_one(p, k);
		proc_put(p);
	}
}

static long
sys_kill(int pid, int sig)
{
	struct kill_many k = { .sig = sig, .info = user_info(SI_USER) };
	struct proc *p;

	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid > 0) {
		p = proc_find(pid);
		if (!p)
			return -ESRCH;
		kill_one(p, &k);
		proc_put(p);
	} else if (pid == -1) {
		kill_everybody(&k);
	} else {
		proc_group_each(pid == 0 ? current_proc()->pgid : -pid, kill_one, &k);
	}
	if (k.sent)
		return 0;
	return k.refused ? -EPERM : -ESRCH;
}

/* To one thread. tgid 0: of whatever process. A process's first thread has its number. */
static long
kill_thread(int tgid, int tid, int sig, const struct siginfo *info)
{
	struct proc *p;
	struct thread *target = NULL;
	long r = -ESRCH;

	if (sig < 0 || sig > _NSIG || tid <= 0)
		return -EINVAL;
	p = proc_find(tgid ? tgid : tid);
	if (!p)
		return -ESRCH;
	spin_lock(&p->lock);
	list_for_each(t, &p->threads, struct thread, proc_link)
		if (t->tid == tid)
			target = t;
	spin_unlock(&p->lock);
	if (target || tid == p->pid)
		r = may_signal(p, sig) ? signal_send(p, p->nthreads > 1 ? target : NULL, sig, info) : -EPERM;
	proc_put(p);
	return r;
}

static long
sys_tkill(int tid, int sig)
{
	struct siginfo info = user_info(SI_TKILL);

	return kill_thread(0, tid, sig, &info);
}

static long
sys_tgkill(int tgid, int tid, int sig)
{
	struct siginfo info = user_info(SI_TKILL);

	return tgid <= 0 ? -EINVAL : kill_thread(tgid, tid, sig, &info);
}

static long
sys_rt_sigqueueinfo(int pid, int sig, uint64_t uinfo)
{
	struct siginfo info;
	struct proc *p;
	long r;

	if (copyin(&info, uinfo, sizeof info))
		return -EFAULT;
	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	p = proc_find(pid);
	if (!p)
		return -ESRCH;
	if ((info.si_code >= 0 || info.si_code == SI_TKILL) && p != current_proc())
		r = -EPERM;                   /* pretending to be the kernel, or kill */
	else
		r = may_signal(p, sig) ? signal_send(p, NULL, sig, &info) : -EPERM;
	proc_put(p);
	return r;
}

/* ---- actions and masks ---- */

static long
sys_rt_sigaction(int sig, uint64_t unew, uint64_t uold, size_t size)
{
	struct proc *p = current_proc();
	struct sigstate *s = sigstate(p);
	struct sigaction new, old = { .sa_handler = SIG_DFL };

	if (size != sizeof(sigset_t) || sig < 1 || sig > _NSIG)
		return -EINVAL;
	if (unew && copyin(&new, unew, sizeof new))
		return -EFAULT;
	if (unew && (SIGBIT(sig) & SIG_UNBLOCKABLE))
		return -EINVAL;
	spin_lock(&p->lock);
	if (s->acted & SIGBIT(sig))
		old = s->action[sig - 1];
	if (unew) {
		new.sa_mask &= ~SIG_UNBLOCKABLE;
		s->action[sig - 1] = new;
		s->acted |= SIGBIT(sig);
		if (new.sa_handler == SIG_IGN || (new.sa_handler == SIG_DFL && sig_default_ignored(sig))) {
			signal_flush(s, &s->pend, SIGBIT(sig));
			signal_flush(s, &sigthread(current())->pend, SIGBIT(sig));
		}
	}
	spin_unlock(&p->lock);
	return uold ? copyout(uold, &old, sizeof old) : 0;
}

static long
sys_rt_sigprocmask(int how, uint64_t unew, uint64_t uold, size_t size)
{
	sigset_t old = sigthread(current())->mask, set;

	if (size != sizeof set)
		return -EINVAL;
	if (unew) {
		if (copyin(&set, unew, sizeof set))
			return -EFAULT;
		if (how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
			return -EINVAL;
		signal_set_mask(how == SIG_BLOCK ? old | set : how == SIG_UNBLOCK ? old & ~set : set);
	}
	return uold ? copyout(uold, &old, sizeof old) : 0;
}

static long
sys_rt_sigpending(uint64_t uset, size_t size)
{
	struct sigstate *s = sigstate(current_proc());
	struct sigthread *st = sigthread(current());
	sigset_t set = (s->pend.set | st->pend.set) & st->mask;

	if (size > sizeof set)
		return -EINVAL;
	return copyout(uset, &set, size);
}

static long
sys_sigaltstack(uint64_t unew, uint64_t uold)
{
	struct sigthread *st = sigthread(current());
	uint64_t sp = syscall_frame()->rsp, base = (uint64_t)st->alt.ss_sp;
	bool on = !(st->alt.ss_flags & SS_DISABLE) && sp > base && sp - base <= st->alt.ss_size;
	stack_t old = st->alt, new;

	old.ss_flags |= on ? SS_ONSTACK : 0;
	if (unew) {
		if (copyin(&new, unew, sizeof new))
			return -EFAULT;
		if (on)
			return -EPERM;
		if (new.ss_flags & ~(SS_DISABLE | SS_ONSTACK))
			return -EINVAL;
		if (new.ss_flags & SS_DISABLE)
			new = (stack_t){ .ss_flags = SS_DISABLE };
		else if (new.ss_size < MINSIGSTKSZ)
			return -ENOMEM;
		new.ss_flags &= ~SS_ONSTACK;
		st->alt = new;
	}
	return uold ? copyout(uold, &old, sizeof old) : 0;
}

/* ---- waiting ---- */

static long
sys_pause(void)
{
	thread_sleep_until(UINT64_MAX, true);
	return -ERESTARTNOHAND;
}

static long
sys_rt_sigsuspend(uint64_t uset, size_t size)
{
	sigset_t set;

	if (size != sizeof set)
		return -EINVAL;
	if (copyin(&set, uset, sizeof set))
		return -EFAULT;
	proc_signal_mask(set);
	return sys_pause();
}

/* Take one of `set`, or say that we wait for them. Returns: the signal, or 0. */
static int
take_or_wait(sigset_t set, bool wait, struct siginfo *info)
{
	struct thread *t = current();
	struct sigthread *st = sigthread(t);
	int sig;

	spin_lock(&t->proc->lock);
	sig = signal_take(st, sigstate(t->proc), set, info);
	st->waiting = wait && !sig ? set : 0;
	signal_recalc(t);
	spin_unlock(&t->proc->lock);
	return sig;
}

static int
timeout_deadline(uint64_t uts, uint64_t *deadline)
{
	struct timespec ts;

	*deadline = UINT64_MAX;
	if (!uts)
		return 0;
	if (copyin(&ts, uts, sizeof ts))
		return -EFAULT;
	if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= NSEC)
		return -EINVAL;
	if (ts.tv_sec < 1000000000)
		*deadline = clock_ns() + ts.tv_sec * NSEC + ts.tv_nsec;
	return 0;
}

static long
sys_rt_sigtimedwait(uint64_t uset, uint64_t uinfo, uint64_t uts, size_t size)
{
	struct siginfo info;
	uint64_t deadline;
	sigset_t set;
	int sig, err;

	if (size != sizeof set)
		return -EINVAL;
	if (copyin(&set, uset, sizeof set))
		return -EFAULT;
	err = timeout_deadline(uts, &deadline);
	if (err)
		return err;
	set &= ~SIG_UNBLOCKABLE;
	sig = take_or_wait(set, true, &info);
	if (!sig) {
		err = thread_sleep_until(deadline, true);
		sig = take_or_wait(set, false, &info);
	}
	if (!sig)
		return err ? -EINTR : -EAGAIN;
	return uinfo && copyout(uinfo, &info, sizeof info) ? -EFAULT : sig;
}

static void
syssignal_init(void)
{
	SYSCALL_REG(kill, sys_kill);
	SYSCALL_REG(tkill, sys_tkill);
	SYSCALL_REG(tgkill, sys_tgkill);
	SYSCALL_REG(rt_sigqueueinfo, sys_rt_sigqueueinfo);
	SYSCALL_REG(rt_sigaction, sys_rt_sigaction);
	SYSCALL_REG(rt_sigprocmask, sys_rt_sigprocmask);
	SYSCALL_REG(rt_sigpending, sys_rt_sigpending);
	SYSCALL_REG_FRAME(sigaltstack, sys_sigaltstack);
	SYSCALL_REG(pause, sys_pause);
	SYSCALL_REG(rt_sigsuspend, sys_rt_sigsuspend);
	SYSCALL_REG(rt_sigtimedwait, sys_rt_sigtimedwait);
}

INITCALL(11, syssignal_init);
