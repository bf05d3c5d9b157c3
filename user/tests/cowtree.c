/* cowtree.c - copy-on-write over three generations, beside shared memory.                    (lab 5) */
#include <sys/mman.h>
#include "say.h"

#define PAGE 4096
#define PAGES 300

static char data[PAGES * PAGE] = { 1 }, bss[PAGES * PAGE];

static void
fill(char *p, int value)
{
	for (int i = 0; i < PAGES; i++)
		p[i * PAGE] = value;
}

static int
holds(const char *p, int value)
{
	for (int i = 0; i < PAGES; i++) {
		if (p[i * PAGE] != value)
			return 0;
	}
	return 1;
}

int
main(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	char *priv = mmap(NULL, PAGES * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = mmap(NULL, PAGES * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *untouched = mmap(NULL, PAGES * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;

	fill(data, 2);
	fill(priv, 3);
	fill(shared, 4);
	for (int round = 0; round < 3; round++) {
		if (fork() == 0) {
			fill(data, 20);
			if (fork() == 0) {                      /* a grandchild shares with both */
				fill(priv, 30);
				fill(bss, 31);
				_exit(holds(data, 20) && holds(priv, 30) && holds(untouched, 0) ? 0 : 1);
			}
			wait(&status);
			fill(untouched, 9);
			fill(shared, 40 + round);
			_exit(status == 0 && holds(priv, 3) && holds(bss, 0) && holds(data, 20) && holds(untouched, 9) ? 0 : 1);
		}
		fill(bss, 0);
		wait(&status);
		say_status("round", status);
		CHECK(holds(data, 2) && holds(priv, 3) && holds(bss, 0) && holds(untouched, 0));
		CHECK(holds(shared, 40 + round));
	}
	return 0;
}
