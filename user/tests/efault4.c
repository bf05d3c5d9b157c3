/* efault4.c - bad pointers to the calls of the first labs.                                   (lab 4) */
#include <stdint.h>
#include "say.h"

#define NOWHERE ((void *)(uintptr_t)0x10)
#define KERNEL  ((void *)0xffffffff80100000ull)
#define ODD     ((void *)0x8000000000000000ull)
#define TOP     ((void *)0x00007ffffffff000ull)

int
main(int argc, char **argv)
{
	static void *const bad[] = { NOWHERE, KERNEL, ODD, TOP, (void *)-1ul };
	char *args[] = { "x", NULL };
	int status;

	(void)argc;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CALL(write(1, bad[i], 10));
		CALL(execve(bad[i], args, args));
		CALL(execve(argv[0], bad[i], args));
		if (fork() == 0)
			_exit(3);
		CALL(wait(bad[i]));             /* reaps the child and then fails, or fails and leaves it */
		while (wait(&status) > 0)
			;
	}
	CALL(write(1, NOWHERE, 0));
	CALL(write(77, "x", 1));
	CALL(write(-1, "x", 1));
	CALL(read(-1, &status, 1));
	return 0;
}
