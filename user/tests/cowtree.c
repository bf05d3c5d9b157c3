/* cowtree.c - copy-on-write over three generations, beside shared memory.                    (lab 5)
 *
 * Idea.       cowtree [SEED]. Everybody writes values of its own; what each finds in memory afterwards is
 *             told, by the children in their exit status.
 */
#include <sys/mman.h>
#include "dice.h"
#include "say.h"

#define PAGE 4096
#define PAGES 300

static char data[PAGES * PAGE] = { 1 }, bss[PAGES * PAGE];
static char *priv, *shared, *untouched;

static void
fill(char *p, unsigned value)
{
	for (int i = 0; i < PAGES; i++)
		p[i * PAGE] = (char)(value + i);
}

/* What the pages of p hold, folded into 16 bits. */
static unsigned
digest(const char *p)
{
	unsigned sum = 0;

	for (int i = 0; i < PAGES; i++)
		sum = (sum * 31 + (unsigned char)p[i * PAGE]) % 65521;
	return sum;
}

/* What a child tells of its own memory. */
static int
told(void)
{
	return (int)((digest(data) + 3 * digest(priv) + 5 * digest(bss) + 7 * digest(untouched)) % 251);
}

static void
child(void)
{
	int status;

	fill(data, roll(256));
	if (fork() == 0) {                      /* a grandchild shares with both */
		fill(priv, roll(256));
		fill(bss, roll(256));
		_exit(told());
	}
	wait(&status);
	say_status("grandchild", status);
	fill(untouched, roll(256));
	fill(shared, roll(256));
	_exit(told());
}

int
main(int argc, char **argv)
{
	const int rw = PROT_READ | PROT_WRITE;
	int status;

	dice_seed(argc > 1 ? argv[1] : NULL);
	priv = mmap(NULL, PAGES * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, PAGES * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	untouched = mmap(NULL, PAGES * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(data, roll(256));
	fill(priv, roll(256));
	fill(shared, roll(256));
	for (int round = 0; round < 3; round++) {
		if (fork() == 0)
			child();
		fill(bss, roll(256));
		wait(&status);
		say_status("child", status);
		say("data %u, private %u, bss %u, untouched %u, shared %u\n", digest(data), digest(priv), digest(bss),
			digest(untouched), digest(shared));
	}
	return 0;
}
