/* mapmix.c - mmap, munmap, mprotect and madvise at random, with a look at every page after each step.   (lab 5)
 *
 * Idea.       mapmix [SEED]. An arena of pages at a fixed address. What can be read and written is found out without faults: the
 *             kernel is asked to read or write there, and says EFAULT. Now and then a child goes on with a copy, or tries what it
 *             must not do.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include "dice.h"
#include "say.h"

enum { PAGE = 4096, PAGES = 40 };
#define ARENA 0x200000000000ul

static char mapped[PAGES];                      /* what we believe: mprotect of a hole is another story */

static char *
page(int i)
{
	return (char *)ARENA + (size_t)i * PAGE;
}

static int
readable(int i)
{
	return nanosleep((struct timespec *)(page(i) + PAGE - 16), NULL) == 0 || errno != EFAULT;
}

static int
writable(int i)
{
	return syscall(SYS_clock_getres, CLOCK_MONOTONIC, page(i) + PAGE - 32) == 0;
}

static void
look(const char *what, int lo, int n, long result)
{
	char line[PAGES + 1];
	unsigned sum = 0;

	for (int i = 0; i < PAGES; i++) {
		int r = readable(i), w = writable(i);

		line[i] = w ? 'w' : r ? 'r' : '.';
		for (int k = 0; r && k < PAGE - 32; k += 4)
			sum = sum * 17 + *(volatile unsigned *)(page(i) + k);
	}
	line[PAGES] = '\0';
	say("%s %d+%d: %s %s %x\n", what, lo, n, result == -1 ? strerror(errno) : "ok", line, sum);
}

static int
all_mapped(int lo, int n)
{
	for (int i = lo; i < lo + n; i++)
		if (!mapped[i])
			return 0;
	return 1;
}

static void
write_some(void)
{
	for (int n = roll(12); n > 0; n--) {
		int i = roll(PAGES);

		if (writable(i))
			*(unsigned *)(page(i) + 4 * roll(PAGE / 4 - 8)) = roll(1u << 30);
	}
}

static void
step(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_WRITE };
	int lo = roll(PAGES), n = 1 + roll(roll(4) ? 5 : PAGES), prot = prots[roll(5)], what = roll(8);
	long r;

	n = lo + n > PAGES ? PAGES - lo : n;
	if (what < 3) {
		r = (long)mmap(page(lo), n * PAGE - roll(2), prot, MAP_FIXED | MAP_ANONYMOUS | (roll(3) ? MAP_PRIVATE : MAP_SHARED), -1, 0);
		memset(mapped + lo, 1, n);
		look("mmap", lo, n, r == (long)page(lo) ? 0 : r);
	} else if (what == 3) {
		r = munmap(page(lo), n * PAGE);
		memset(mapped + lo, 0, n);
		look("munmap", lo, n, r);
	} else if (what == 4 && all_mapped(lo, n)) {
		look("mprotect", lo, n, mprotect(page(lo), n * PAGE, prot));
	} else if (what == 5 && all_mapped(lo, n)) {
		look("madvise", lo, n, madvise(page(lo), n * PAGE, MADV_DONTNEED));
	} else if (what == 6) {
		look("odd munmap", lo, n, munmap(page(lo) + 1 + roll(PAGE - 1), PAGE));
	}
	write_some();
}

static void
trespass(void)
{
	volatile char *p = page(roll(PAGES)) + roll(PAGE);

	if (roll(2))
		*p = 1;
	else
		(void)*p;
}

static void
go_on(void)
{
	for (int i = 0; i < 4; i++)
		step();
}

int
main(int argc, char **argv)
{
	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < 70; i++) {
		step();
		if (roll(5) == 0)
			in_child("a touch", trespass);
		if (roll(12) == 0)
			in_child("on its own", go_on);
		dice += i;
	}
	return 0;
}
