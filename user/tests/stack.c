/* stack.c - the stack grows as far as its limit and no further; skipping is allowed.         (lab 5) */
#include <stdint.h>
#include "say.h"

static int
deep(int n)
{
	volatile char frame[4000];

	frame[0] = n;
	frame[3999] = n;
	return n == 0 ? 0 : deep(n - 1) + (frame[0] == (char)n) + (frame[3999] == (char)n) - 1;
}

static volatile int end;

static void
endless(void)
{
	volatile char frame[4000];

	frame[0] = 1;
	if (!end)
		endless();
	end += frame[0];
}

static void
leap(void)
{
	volatile char frame[1 << 20];

	frame[0] = 1;           /* a MiB below anything touched so far */
	CHECK(frame[0] == 1);
}

int
main(void)
{
	say("deep %d\n", deep(1500));
	in_child("endless recursion", endless);
	in_child("a leap", leap);
	say("deep %d\n", deep(1700));
	return 0;
}
