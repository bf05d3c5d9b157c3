/* fpu.c - floating-point registers belong to a process, across switches and forks.          (lab 4) */
#include <sys/wait.h>
#include "show.h"

/* A sum that goes wrong if any register is ever somebody else's. */
static double
spin(double seed)
{
	double s = seed, t = seed / 3, u = 1 / seed;

	for (int i = 1; i < 400000; i++) {
		s = s * 0.999 + t;
		t = t * 0.5 + u;
		u = (u + s) * 0.25;
	}
	return s + t + u;
}

int
main(void)
{
	double want[4];
	int status;

	for (int i = 0; i < 4; i++)
		want[i] = spin(i + 1.5);
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			double got = spin(i + 1.5);

			_exit(memcmp(&got, &want[i], sizeof got) == 0 ? i : 50);
		}
	}
	int sum = 0;
	while (wait(&status) > 0)
		sum += WEXITSTATUS(status);
	printf("sum %d\n", sum);
	return 0;
}
