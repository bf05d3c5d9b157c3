/* signal.c - signals. The kernel's sets are 64 bits; its handlers return through sigreturn_trampoline. */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

void sigreturn_trampoline(void);
int rt_sigaction(int sig, const struct sigaction *act, struct sigaction *old, size_t size);
int rt_sigprocmask(int how, const sigset_t *set, sigset_t *old, size_t size);
int rt_sigpending(sigset_t *set, size_t size);
int rt_sigsuspend(const sigset_t *set, size_t size);
int rt_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout, size_t size);

int
sigaction(int sig, const struct sigaction *restrict act, struct sigaction *restrict old)
{
	struct sigaction k;

	if (!act)
		return rt_sigaction(sig, NULL, old, sizeof(sigset_t));
	k = *act;
	k.sa_flags |= SA_RESTORER;
	k.sa_restorer = sigreturn_trampoline;
	return rt_sigaction(sig, &k, old, sizeof(sigset_t));
}

/* As BSD and GNU have it: the handler stays, and interrupted calls go on. */
sighandler_t
signal(int sig, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART }, old;

	return sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

int
raise(int sig)
{
	return kill(getpid(), sig);
}

int
killpg(pid_t pgid, int sig)
{
	return kill(-pgid, sig);
}

int
sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
	return rt_sigprocmask(how, set, old, sizeof(sigset_t));
}

int
sigpending(sigset_t *set)
{
	return rt_sigpending(set, sizeof(sigset_t));
}

int
sigsuspend(const sigset_t *set)
{
	return rt_sigsuspend(set, sizeof(sigset_t));
}

int
sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info, const struct timespec *restrict timeout)
{
	return rt_sigtimedwait(set, info, timeout, sizeof(sigset_t));
}

int
sigemptyset(sigset_t *set)
{
	*set = 0;
	return 0;
}

int
sigfillset(sigset_t *set)
{
	*set = ~0ul;
	return 0;
}

/* The bit of a signal; 0 with EINVAL if there is no such signal. */
static sigset_t
bit_of(int sig)
{
	if (sig < 1 || sig > _NSIG) {
		errno = EINVAL;
		return 0;
	}
	return 1ul << (sig - 1);
}

int
sigaddset(sigset_t *set, int sig)
{
	sigset_t bit = bit_of(sig);

	*set |= bit;
	return bit ? 0 : -1;
}

int
sigdelset(sigset_t *set, int sig)
{
	sigset_t bit = bit_of(sig);

	*set &= ~bit;
	return bit ? 0 : -1;
}

int
sigismember(const sigset_t *set, int sig)
{
	sigset_t bit = bit_of(sig);

	return bit ? (*set & bit) != 0 : -1;
}
