/* sigsegv.c - a handler that mends the fault: si_addr and si_code, mprotect, a changed rip.   (lab 11) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include "say.h"

static char *volatile page;
static jmp_buf out;
static volatile int faults;
static volatile char *volatile low = (char *)8;

static void fault(void) { (void)*low; }

static void
mend(int sig, siginfo_t *info, void *context)
{
	(void)context;
	say("signal %d code %d at page+%ld\n", sig, info->si_code, (long)((char *)info->si_addr - page));
	if (info->si_code == SEGV_ACCERR)
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	else
		mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	faults++;
}

static void
skip(int sig, siginfo_t *info, void *context)
{
	unsigned long *registers = (unsigned long *)context + 5;        /* uc_mcontext, as struct sigcontext has it */

	(void)info;
	say("signal %d: skipping\n", sig);
	registers[16] += 2;   /* rip */
	registers[13] = 77;   /* rax */
}

static void
leave(int sig)
{
	say("signal %d: leaving\n", sig);
	longjmp(out, 1);
}

static void
on_bus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	say("signal %d code %d\n", sig, info->si_code);
	longjmp(out, 1);
}

static void
handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction act;

	memset(&act, 0, sizeof act);
	act.sa_sigaction = fn;
	act.sa_flags = SA_SIGINFO | flags;
	sigaction(sig, &act, NULL);
}

int
main(void)
{
	struct sigaction act;
	long value = 0;
	int fd;

	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	handle(SIGSEGV, mend, 0);
	page[100] = 5;
	say("now %d\n", page[100]);
	munmap(page, 4096);
	page[7] = 6;                                    /* two faults: first not mapped, then read-only */
	say("now %d after %d\n", page[7], faults);
	handle(SIGILL, skip, 0);
	__asm__ volatile("ud2" : "=a"(value));
	say("rax %ld\n", value);
	memset(&act, 0, sizeof act);
	act.sa_handler = leave;
	act.sa_flags = SA_NODEFER;
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGFPE, &act, NULL);
	if (setjmp(out) == 0)
		fault();
	if (setjmp(out) == 0) {
		volatile int zero = 0;

		zero = 1 / zero;
	}
	fd = open("segv.tmp", O_CREAT | O_TRUNC | O_RDWR, 0644);
	write(fd, "abc", 3);
	page = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	say("last byte %d\n", page[4095]);
	handle(SIGBUS, on_bus, SA_NODEFER);
	if (setjmp(out) == 0)
		say("past the end %d\n", page[4096]);
	unlink("segv.tmp");
	signal(SIGSEGV, SIG_IGN);                       /* a real fault cannot be ignored */
	in_child("ignored", fault);
	say("end\n");
	return 0;
}
