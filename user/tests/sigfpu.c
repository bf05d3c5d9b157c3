/* sigfpu.c - a handler may use the floating-point registers; the interrupted code keeps its own.   (lab 11) */
#include <signal.h>
#include <sys/time.h>
#include "say.h"

static volatile int ticks;
static volatile double sink;

static void
spoil(int sig)
{
	double x = sig;

	for (int i = 0; i < 50; i++)
		x = x * 1.25 - sink;
	sink = x - x;
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pxor %%xmm15, %%xmm15; fldz; fldz; fldz"
			 : : : "xmm0", "xmm7", "xmm15");
	ticks++;
}

int
main(void)
{
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } };
	unsigned long in[2] = { 0x123456789abcdef0, 0x0fedcba987654321 }, out[2];
	int wrong = 0, rounds = 0;
	double kept = 0;

	signal(SIGALRM, spoil);
	setitimer(ITIMER_REAL, &every, NULL);
	while (ticks < 20) {
		__asm__ volatile(
			"movdqu %2, %%xmm0; movdqu %2, %%xmm7; movdqu %2, %%xmm15; fld1; fldpi\n"
			"mov $2000, %%rcx; 1: dec %%rcx; jnz 1b\n"
			"pand %%xmm7, %%xmm0; pand %%xmm15, %%xmm0; movdqu %%xmm0, %0; faddp; fstpl %1"
			: "=m"(out), "=m"(kept) : "m"(in) : "rcx", "xmm0", "xmm7", "xmm15");
		wrong += out[0] != in[0] || out[1] != in[1] || (int)(kept * 1000) != 4141;
		rounds++;
	}
	CHECK(wrong == 0 && rounds > 0);
	return 0;
}
