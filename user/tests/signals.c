/* signals.c - handlers, masks, pending, restart, waiting, faults handled.                   (lab 11) */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "show.h"

static volatile int got, count, code, nested;
static volatile unsigned long address;

static void on(int sig) { got = sig; count++; }

static void
on_info(int sig, siginfo_t *info, void *context)
{
	(void)context;
	got = sig;
	code = info->si_code;
	address = (unsigned long)info->si_addr;
}

static void
on_illegal(int sig, siginfo_t *info, void *context)
{
	(void)info;
	got = sig;
	((unsigned long *)context)[5 + 16] += 2;        /* uc_mcontext's rip: step over ud2 */
}

static void
on_nested(int sig)
{
	if (nested++ == 0) {
		raise(SIGUSR2);                 /* blocked by sa_mask: comes after us */
		got = -sig;
	}
}

static void
set(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof sa);
	sa.sa_handler = fn;
	sa.sa_flags = flags;
	sigaction(sig, &sa, NULL);
}

static void
masks(void)
{
	sigset_t s, old;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	SHOW(sigprocmask(SIG_BLOCK, &s, &old));
	SHOW(sigismember(&old, SIGUSR1));
	got = count = 0;
	raise(SIGUSR1);
	raise(SIGUSR1);
	SHOW(count);
	sigpending(&s);
	SHOW(sigismember(&s, SIGUSR1));
	SHOW(sigprocmask(SIG_SETMASK, &old, NULL));
	SHOW(count);                            /* standard signals do not queue */
	SHOW(sigprocmask(77, &s, NULL));
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGUSR1);
	sigemptyset(&s);
	SHOW(sigsuspend(&s));
	SHOW(count);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void
faults(void)
{
	struct sigaction sa;
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;

	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_illegal;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGILL, &sa, NULL);
	asm volatile("ud2");
	SHOW(got);
	(void)page;
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		if (fork() == 0) {
			signal(SIGSEGV, i ? SIG_IGN : SIG_DFL);
			*(volatile char *)page = 1;
			_exit(0);
		}
		wait(&status);
		SHOW(status & 0x7f);
	}
}

static void
children(void)
{
	int status, p[2];
	char c;

	set(SIGCHLD, on, SA_RESTART);
	pipe(p);
	got = 0;
	fflush(stdout);
	if (fork() == 0) {
		usleep(30000);
		_exit(5);
	}
	while (!got)
		usleep(1000);
	SHOW(got == SIGCHLD);
	wait(&status);
	SHOW(WEXITSTATUS(status));
	/* A read is restarted with SA_RESTART and interrupted without. */
	for (int i = 0; i < 2; i++) {
		int me = getpid(), pid;

		set(SIGUSR1, on, i ? 0 : SA_RESTART);
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			usleep(60000);
			kill(me, SIGUSR1);
			usleep(60000);
			write(p[1], "x", 1);
			_exit(0);
		}
		errno = 0;
		SHOW(read(p[0], &c, 1));
		waitpid(pid, &status, 0);
		if (i)
			SHOW(read(p[0], &c, 1));
	}
	set(SIGCHLD, SIG_DFL, 0);
	fflush(stdout);
	int pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	SHOW(kill(pid, 0));
	SHOW(kill(pid, SIGTERM));
	waitpid(pid, &status, 0);
	SHOW(status);
	SHOW(kill(pid, 0));
	SHOW(kill(getpid(), 65));
	SHOW(kill(-99999, SIGTERM));
	signal(SIGCHLD, SIG_IGN);               /* children are not kept */
	if (fork() == 0)
		_exit(1);
	SHOW(wait(&status));
	signal(SIGCHLD, SIG_DFL);
}

static void
alternate(void)
{
	static char stack[65536];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack, .ss_flags = 0 };
	struct sigaction sa;

	SHOW(sigaltstack(&ss, NULL));
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_info;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	SHOW(got == SIGUSR1);
	sigaction(SIGUSR1, NULL, &sa);
	SHOW(sa.sa_handler == SIG_DFL);
}

int
main(void)
{
	struct sigaction sa;
	struct timespec ts = { 5, 0 };

	set(SIGUSR1, on, 0);
	SHOW(raise(SIGUSR1));
	SHOW(got == SIGUSR1);
	SHOW(sigaction(SIGKILL, &(struct sigaction){ .sa_handler = on }, NULL));
	SHOW(sigaction(99, NULL, NULL));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, 8, 8));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
	masks();
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = on_nested;
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &sa, NULL);
	set(SIGUSR2, on, 0);
	raise(SIGUSR1);
	SHOW(got == SIGUSR2);
	faults();
	children();
	set(SIGALRM, on, 0);
	got = 0;
	SHOW(alarm(1));
	SHOW(nanosleep(&ts, &ts));
	SHOW(got == SIGALRM);
	HOLDS(ts.tv_sec >= 3);
	SHOW(alarm(100));
	HOLDS(alarm(0) > 90);
	alternate();
	fflush(stdout);
	abort();
}
