/* nosys.c - numbers that are no system call; the registers a call must preserve.             (lab 4) */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include "say.h"

/* The registers that a system call must leave alone: all but rax, rcx and r11. */
static int
registers_kept(void)
{
	unsigned long a = 0x1111, b = 0x2222, c = 0x3333, ok;
	register unsigned long r8 __asm__("r8") = 8, r9 __asm__("r9") = 9, r10 __asm__("r10") = 10, r12 __asm__("r12") = 12;
	register unsigned long r13 __asm__("r13") = 13, r14 __asm__("r14") = 14, r15 __asm__("r15") = 15;
	long r = SYS_getpid;

	__asm__ volatile("syscall" : "+a"(r), "+D"(a), "+S"(b), "+d"(c), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r12), "+r"(r13),
			 "+r"(r14), "+r"(r15) : : "rcx", "r11", "memory");
	ok = a == 0x1111 && b == 0x2222 && c == 0x3333 && r8 == 8 && r9 == 9 && r10 == 10 && r12 == 12 && r13 == 13 &&
	     r14 == 14 && r15 == 15;
	return ok;
}

int
main(void)
{
	static const long numbers[] = { 1000, 5000, 0x10000, 0x7fffffff, 0x80000000, -1, -2, 0x123456789abcdef };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		report("number", syscall(numbers[i], 1, 2, 3));
	CHECK(registers_kept());
	CHECK(syscall(SYS_getpid) > 0);
	return 0;
}
