/* brkmix.c - the heap grows and shrinks to random bytes, in parents and children.            (lab 5)
 *
 * Idea.       brkmix [SEED]. The break is asked for directly, relative to a page boundary, so that the same happens everywhere.
 *             After each step all bytes that can be read are summed up, and the byte behind them is probed.
 */
#include <sys/syscall.h>
#include <time.h>
#include "dice.h"
#include "say.h"

enum { PAGE = 4096, SPAN = 80 * PAGE };

static uintptr_t base;

static long
set_break(uintptr_t at)
{
	return syscall(SYS_brk, at) - (long)base;
}

/* The kernel reads two words at `at`: do they exist? */
static const char *
probe(uintptr_t at)
{
	return nanosleep((struct timespec *)at, NULL) == -1 && errno == EFAULT ? "nothing" : "memory";
}

static unsigned
sum(uintptr_t end)
{
	unsigned s = 0;

	for (uintptr_t at = base; at < end; at += 8)
		s = s * 31 + *(volatile unsigned long *)at % 1000003;
	return s;
}

static void
fill(uintptr_t now)
{
	for (int n = roll(20); n > 0 && now > base + 16; n--)
		*(char *)(base + roll(now - base)) = roll(256);
}

static void
step(void)
{
	uintptr_t now = base + set_break(0), want = base + roll(SPAN), end;

	if (roll(4) == 0)
		want = base + roll(3) * PAGE + roll(3) - 1 + PAGE;
	if (roll(10) == 0)
		say("too far: %s\n", set_break(base + (1ul << 46) + roll(100)) == (long)(now - base) ? "stays" : "MOVED");
	say("break %ld", set_break(want));
	now = base + set_break(0);
	end = (now + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	say(" sum %x, behind it %s\n", sum(end), probe(end));
	fill(now);
}

int
main(int argc, char **argv)
{
	int status;

	dice_seed(argc > 1 ? argv[1] : NULL);
	base = ((uintptr_t)syscall(SYS_brk, 0) + 2 * PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	say("break %ld\n", set_break(base));
	for (int i = 0; i < 40; i++) {
		step();
		if (roll(6))
			continue;
		if (fork() == 0) {
			for (int k = 0; k < 4; k++)
				step();
			_exit(sum(base + (set_break(0) & ~(PAGE - 1l))) & 127);
		}
		wait(&status);
		say_status("child", status);
	}
	return 0;
}
