/* show.h - what the tests print: an expression, its value, and errno's number when it failed.
 * The same text must come out on Linux and on Eclipse, so nothing printed may depend on pids, addresses or times. */
#ifndef SHOW_H
#define SHOW_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOW(e) do { \
	long v_; \
	errno = 0; \
	v_ = (long)(e); \
	if (v_ == -1) \
		printf("%s = -1 errno %d\n", #e, errno); \
	else \
		printf("%s = %ld\n", #e, v_); \
	fflush(stdout); \
} while (0)

/* For values that differ between systems: only whether it holds is printed. */
#define HOLDS(e) do { printf("%s: %s\n", #e, (e) ? "yes" : "NO"); fflush(stdout); } while (0)

#endif
