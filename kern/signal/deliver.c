/* deliver.c - what a pending signal does, on the way back to user mode.                        (lab 11)
 *
 * Idea.       Before user code goes on, pending signals are taken one by one: ignored, stopping, ending, or
 *             handled. To handle one means to make user code call its handler: a frame with all registers
 *             goes onto the user stack, and rip to the handler. When the handler returns, it "returns" into
 *             sa_restorer, which calls rt_sigreturn, which puts the registers back.
 *
 *                 interrupted rsp -> |                      |
 *                    128 bytes       | red zone (psABI 3.2.2)|
 *                    64-aligned      | FXSAVE area          |
 *                                    | siginfo              |
 *                                    | ucontext             |
 *                 handler's rsp ->   | sa_restorer          |  (= 8 mod 16, as after a call)
 *
 *             A system call that a signal interrupted is called again (rip goes back over the SYSCALL
 *             instruction), unless a handler without SA_RESTART ran: then it fails with EINTR.
 * Interface.  A user_return hook; the user-fault hook; rt_sigreturn.
 * Invariants. I1 whatever the frame holds that comes back, user code gets no more than it could have done
 *             itself.
 */
#include "kern/boot/initcall.h"
#include "kern/proc/sched.h"
#include "kern/signal/signal.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/wait.h"
#include "lib/kern/string.h"

#define REDZONE 128
#define LINUX_CS 0x33                 /* what programs find in the frame on Linux */
#define LINUX_SS 0x2b
#define FLAGS_CLEARED 0x10500ul       /* DF, TF, RF: not for handlers */
#define SYSCALL_INSN 2                /* bytes */

_Static_assert(sizeof(struct siginfo) == 128 && sizeof(struct fpstate) == 512, "as Linux");

/* ---- interrupted system calls ---- */

static bool
was_interrupted(const struct trapframe *tf)
{
	long r = tf->rax;

	return tf->vector == VEC_SYSCALL && (int64_t)tf->error >= 0 && (r == -ERESTARTSYS ||
		r == -ERESTARTNOINTR || r == -ERESTARTNOHAND || r == -ERESTART_RESTARTBLOCK);
}

static void
call_again(struct trapframe *tf)
{
	tf->rax = tf->error;
	tf->rip -= SYSCALL_INSN;
	tf->error = -1ul;
}

/* The call was interrupted by a signal with a handler. */
static void
restart_with_handler(struct trapframe *tf, uint64_t sa_flags)
{
	if (!was_interrupted(tf))
		return;
	if ((long)tf->rax == -ERESTARTNOINTR || ((long)tf->rax == -ERESTARTSYS && (sa_flags & SA_RESTART)))
		call_again(tf);
	else
		tf->rax = -EINTR;
	tf->error = -1ul;
}

/* ... and no handler ran. A sleep goes on for the time that was left (kern/proc/systime.c). */
static void
restart_without_handler(struct trapframe *tf)
{
	if (!was_interrupted(tf))
		return;
	current()->restarting = (long)tf->rax == -ERESTART_RESTARTBLOCK;
	call_again(tf);
}

/* ---- frames ---- */

static bool
on_altstack(const struct sigthread *st, uint64_t sp)
{
	uint64_t base = (uint64_t)st->alt.ss_sp;

	return !(st->alt.ss_flags & SS_DISABLE) && sp > base && sp - base <= st->alt.ss_size;
}

/* Where the frame's parts go. Returns: false if they would not fit on the alternate stack. */
static bool
frame_place(const struct sigthread *st, const struct trapframe *tf, uint64_t flags, uint64_t *fp,
	uint64_t *frame)
{
	uint64_t sp = tf->rsp - REDZONE;
	bool alt = on_altstack(st, tf->rsp);

	if ((flags & SA_ONSTACK) && !alt && !(st->alt.ss_flags & SS_DISABLE)) {
		sp = (uint64_t)st->alt.ss_sp + st->alt.ss_size;
		alt = true;
	}
	*fp = (sp - sizeof(struct fpstate)) & ~63ul;
	*frame = ((*fp - sizeof(struct rt_sigframe)) & ~15ul) - 8;
	return !alt || on_altstack(st, *frame);
}

static void
context_save(struct sigcontext *c, const struct trapframe *tf, const struct sigthread *st, uint64_t fp)
{
	*c = (struct sigcontext){ .r8 = tf->r8, .r9 = tf->r9, .r10 = tf->r10, .r11 = tf->r11, .r12 = tf->r12,
		.r13 = tf->r13, .r14 = tf->r14, .r15 = tf->r15, .rdi = tf->rdi, .rsi = tf->rsi,
		.rbp = tf->rbp, .rbx = tf->rbx, .rdx = tf->rdx, .rax = tf->rax, .rcx = tf->rcx,
		.rsp = tf->rsp, .rip = tf->rip, .eflags = tf->rflags, .cs = LINUX_CS, .ss = LINUX_SS,
		.err = st->err, .trapno = st->trapno, .oldmask = st->mask, .cr2 = st->cr2,
		.fpstate = (struct fpstate *)fp };
}

/* Push the frame. Returns: 0, -EFAULT. */
static int
frame_push(struct trapframe *tf, struct sigthread *st, const struct sigaction *sa, const struct siginfo *info,
	uint64_t *frame)
{
	struct rt_sigframe f;
	struct fpu *fpu = current()->fpu;
	uint64_t fp;

	if (!(sa->sa_flags & SA_RESTORER) || !frame_place(st, tf, sa->sa_flags, &fp, frame))
		return -EFAULT;
	f.pretcode = sa->sa_restorer;
	f.uc.uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	f.uc.uc_link = NULL;
	f.uc.uc_stack = st->alt;
	f.uc.uc_stack.ss_flags |= on_altstack(st, tf->rsp) ? SS_ONSTACK : 0;
	context_save(&f.uc.uc_mcontext, tf, st, fp);
	f.uc.uc_sigmask = st->restore ? st->saved_mask : st->mask;
	f.info = *info;
	fpu_sync(fpu);
	if (copyout(*frame, &f, sizeof f) || copyout(fp, fpu->area, sizeof fpu->area))
		return -EFAULT;
	if (fpu->used)
		fpu_fresh(fpu);               /* the handler begins with clean registers */
	return 0;
}

/* Make user code call the handler of `sig`. */
static void
handle(struct trapframe *tf, int sig, const struct sigaction *sa, const struct siginfo *info)
{
	struct thread *t = current();
	struct sigthread *st = sigthread(t);
	struct siginfo segv = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };
	sigset_t block = sa->sa_mask | (sa->sa_flags & SA_NODEFER ? 0 : SIGBIT(sig));
	uint64_t frame;

	restart_with_handler(tf, sa->sa_flags);
	t->restarting = false;
	if (frame_push(tf, st, sa, info, &frame)) {
		if (sig == SIGSEGV)           /* its own handler cannot run: the end */
			proc_exit(SIGSEGV);
		signal_force(SIGSEGV, &segv);
		return;
	}
	tf->rsp = frame;
	tf->rip = (uint64_t)sa->sa_handler;
	tf->rdi = sig;
	tf->rsi = frame + offsetof(struct rt_sigframe, info);
	tf->rdx = frame + offsetof(struct rt_sigframe, uc);
	tf->rax = 0;
	tf->rflags &= ~FLAGS_CLEARED;
	st->restore = false;
	signal_set_mask(st->mask | block);
}

/* ---- default actions ---- */

/* Stop until SIGCONT; not at all if that came since the stop signal was taken. The parent hears of both. */
static void
stop(struct proc *p, struct sigstate *s, int sig)
{
	bool stopped;

	if (sig != SIGSTOP && proc_group_orphaned(p->pgid))
		return;                       /* nobody could continue it */
	spin_lock(&p->lock);
	s->stopped = s->stopping && !p->exiting;
	stopped = s->stopped;
	spin_unlock(&p->lock);
	if (!stopped)
		return;
	proc_set_event(p, true, W_STOPCODE(sig));
	wait_event(&s->stop_wait, !__atomic_load_n(&s->stopped, __ATOMIC_ACQUIRE) || current()->killed,
		(void *)NULL);
	if (!current()->killed)
		proc_set_event(p, false, W_CONTINUED);
}

/* One signal. Returns: false when none was left. */
static bool
deliver_one(struct trapframe *tf)
{
	struct thread *t = current();
	struct sigstate *s = sigstate(t->proc);
	struct sigthread *st = sigthread(t);
	struct sigaction sa;
	struct siginfo info;
	int sig;

	spin_lock(&t->proc->lock);
	sig = signal_take(st, s, ~st->mask, &info);
	sa.sa_handler = SIG_DFL;
	if (sig && (SIG_STOPS & SIGBIT(sig)))
		s->stopping = true;
	if (sig && (s->acted & SIGBIT(sig))) {
		sa = s->action[sig - 1];
		if (sa.sa_handler != SIG_IGN && (sa.sa_flags & SA_RESETHAND))
			s->acted &= ~SIGBIT(sig);
	}
	signal_recalc(t);
	spin_unlock(&t->proc->lock);
	if (!sig)
		return false;
	if (sa.sa_handler == SIG_IGN || (sa.sa_handler == SIG_DFL && sig_default_ignored(sig)))
		return true;
	if (sa.sa_handler != SIG_DFL)
		handle(tf, sig, &sa, &info);
	else if (SIGBIT(sig) & SIG_STOPS)
		stop(t->proc, s, sig);
	else
		proc_exit(sig);
	return true;
}

/* The hook on the way to user mode. One handler frame at a time is enough: a second signal brings us here
 * again. */
static void
signal_deliver(struct trapframe *tf)
{
	struct thread *t = current();
	uint64_t rip = tf->rip, rsp = tf->rsp;

	if (!t->proc)
		return;
	while (deliver_one(tf) && !t->killed)
		if (tf->rip != rip || tf->rsp != rsp)
			return;
	if (t->killed)
		proc_leave(t->proc->exit_status);
	restart_without_handler(tf);
	if (sigthread(t)->restore) {
		sigthread(t)->restore = false;
		signal_set_mask(sigthread(t)->saved_mask);
	}
}

/* ---- the way back from a handler ---- */

/* I1: selectors and privileged flags are mended by trap_user_return, the FPU area by fpu_reload. */
static void
context_restore(struct trapframe *tf, const struct sigcontext *c)
{
	tf->r8 = c->r8; tf->r9 = c->r9; tf->r10 = c->r10; tf->r11 = c->r11;
	tf->r12 = c->r12; tf->r13 = c->r13; tf->r14 = c->r14; tf->r15 = c->r15;
	tf->rdi = c->rdi; tf->rsi = c->rsi; tf->rbp = c->rbp; tf->rbx = c->rbx;
	tf->rdx = c->rdx; tf->rax = c->rax; tf->rcx = c->rcx; tf->rsp = c->rsp;
	tf->rip = c->rip;
	tf->rflags = c->eflags;
	tf->error = -1ul;                     /* nothing to restart, whatever is in rax */
}

static int
fpu_restore(uint64_t fp)
{
	struct fpu *fpu = current()->fpu;
	uint8_t area[512];

	if (!fp) {
		fpu_fresh(fpu);
		return 0;
	}
	if (copyin(area, fp, sizeof area))
		return -EFAULT;
	if (!fpu->used && memcmp(area, fpu->area, sizeof area) == 0)
		return 0;                     /* fresh before, fresh now: no reason to call it used */
	memcpy(fpu->area, area, sizeof area);
	fpu_reload(fpu);
	return 0;
}

/* The handler may have chosen another stack: what counts is what the frame says, unless that makes no sense. */
static void
altstack_restore(struct sigthread *st, const stack_t *saved)
{
	if (saved->ss_flags & SS_DISABLE)
		st->alt = (stack_t){ .ss_flags = SS_DISABLE };
	else if (saved->ss_size >= MINSIGSTKSZ)
		st->alt = (stack_t){ .ss_sp = saved->ss_sp, .ss_size = saved->ss_size };
}

static long
sys_rt_sigreturn(void)
{
	struct trapframe *tf = syscall_frame();
	struct siginfo segv = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };
	struct sigthread *st = sigthread(current());
	struct ucontext uc;

	if (copyin(&uc, tf->rsp - 8 + offsetof(struct rt_sigframe, uc), sizeof uc) ||
	    fpu_restore((uint64_t)uc.uc_mcontext.fpstate)) {
		signal_force(SIGSEGV, &segv);
		return 0;
	}
	context_restore(tf, &uc.uc_mcontext);
	if (!on_altstack(st, tf->rsp))
		altstack_restore(st, &uc.uc_stack);
	signal_set_mask(uc.uc_sigmask);
	return tf->rax;
}

/* ---- faults ---- */

static int
fault_code(const struct trapframe *tf, int sig)
{
	switch (sig) {
	case SIGSEGV:
		if (tf->vector != VEC_PF)
			return SI_KERNEL;
		return (tf->error & PF_P) || current()->fault_err == -EACCES ? SEGV_ACCERR : SEGV_MAPERR;
	case SIGBUS:
		return tf->vector == VEC_PF ? BUS_ADRERR : tf->vector == VEC_AC ? BUS_ADRALN : SI_KERNEL;
	case SIGILL:
		return ILL_ILLOPN;
	case SIGFPE:
		return tf->vector == VEC_DE ? FPE_INTDIV : FPE_FLTINV;
	case SIGTRAP:
		return tf->vector == VEC_BP ? SI_KERNEL : TRAP_TRACE;
	default:
		return SI_KERNEL;
	}
}

static void
signal_fault(struct trapframe *tf, uint64_t cr2)
{
	struct thread *t = current();
	struct sigthread *st = sigthread(t);
	int sig = fault_signal(tf);
	struct siginfo info = { .si_signo = sig, .si_code = fault_code(tf, sig) };
	sighandler_t h = sig_handler(sigstate(t->proc), sig);

	if (info.si_code != SI_KERNEL)
		info.si_addr = (void *)(tf->vector == VEC_PF ? cr2 : tf->rip);
	if (h == SIG_DFL || h == SIG_IGN || (st->mask & SIGBIT(sig)))
		fault_log(tf, cr2, sig);
	if (sig == SIGKILL)
		proc_exit(SIGKILL);
	st->cr2 = tf->vector == VEC_PF ? cr2 : st->cr2;
	st->err = tf->error;
	st->trapno = tf->vector;
	signal_force(sig, &info);
}

static void
deliver_init(void)
{
	user_return_register(signal_deliver);
	trap_set_user_fault_hook(signal_fault);
	SYSCALL_REG_FRAME(rt_sigreturn, sys_rt_sigreturn);
}

INITCALL(11, deliver_init);
