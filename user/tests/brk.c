/* brk.c - the end of the data segment moves up and down; new memory is zero.                 (lab 5) */
#include <sys/syscall.h>
#include "say.h"

int
main(void)
{
	char *start = (char *)syscall(SYS_brk, 0), *p;
	int zero = 1;

	CHECK(start != NULL);
	p = (char *)syscall(SYS_brk, start + 100000);
	CHECK(p == start + 100000);
	for (int i = 0; i < 100000; i++)
		zero &= start[i] == 0;
	CHECK(zero);
	memset(start, 1, 100000);
	CHECK((char *)syscall(SYS_brk, start + 10) == start + 10);
	CHECK(start[5] == 1);
	CHECK((char *)syscall(SYS_brk, start + 100000) == start + 100000);
	CHECK(start[50000] == 0 && start[99999] == 0);
	CHECK((char *)syscall(SYS_brk, 1) == start + 100000);           /* below the start: stays */
	CHECK((char *)syscall(SYS_brk, 1ul << 46) == start + 100000);          /* too far: stays */
	CHECK((char *)syscall(SYS_brk, start) == start);
	return 0;
}
