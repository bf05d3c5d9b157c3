/* execmix.c - a program that executes itself again and again with random arguments.          (lab 4)
 *
 * Idea.       execmix SEED HOPS WORDS... Each life prints what it was given and that its memory is fresh, and makes up the next
 *             one's arguments and environment.
 */
#include <sys/auxv.h>
#include "dice.h"
#include "say.h"

extern char **environ;

static char words[24][600], bss[3 * 4096];
static int data[2000] = { 7 };

/* A string of up to `most` printable characters, now and then none. */
static char *
word(int i, unsigned most)
{
	unsigned n = roll(5) ? roll(most) : 0;

	for (unsigned k = 0; k < n; k++)
		words[i][k] = '!' + roll(94);
	words[i][n] = '\0';
	return words[i];
}

static unsigned
sum(const char *s)
{
	unsigned h = 0;

	while (*s)
		h = h * 33 + (unsigned char)*s++;
	return h;
}

static void
next_life(char *self, int hops)
{
	char *args[16] = { self }, *env[10] = { 0 }, seed[24], left[12];
	int n = 3, e = 0;

	snprintf(seed, sizeof seed, "%u", roll(1u << 30));
	snprintf(left, sizeof left, "%d", hops - 1);
	args[1] = seed;
	args[2] = left;
	for (int i = roll(12); i > 0; i--, n++)
		args[n] = word(n, roll(6) ? 30 : 590);
	for (int i = roll(9); i > 0; i--, e++)
		env[e] = word(15 + e, roll(6) ? 30 : 590);
	memset(bss, 1, sizeof bss);
	data[1999] = 5;
	execve(self, args, env);
	say("execve: errno %d\n", errno);
	_exit(1);
}

int
main(int argc, char **argv)
{
	int hops = argc > 2 ? atoi(argv[2]) : 3, dirty = data[1999];

	for (unsigned i = 0; i < sizeof bss; i++)
		dirty |= bss[i];
	say("%d arguments, dirty %d, data %d\n", argc, dirty, data[0]);
	for (int i = 3; i < argc; i++)
		say("argument %d: %d bytes, %x\n", i, (int)strlen(argv[i]), sum(argv[i]));
	for (int i = 0; argc > 2 && atoi(argv[2]) < 6 && environ[i]; i++)
		say("environment %d: %d bytes, %x\n", i, (int)strlen(environ[i]), sum(environ[i]));
	CHECK(argv[argc] == NULL && argv + argc + 1 == environ);
	CHECK((uintptr_t)(argv - 1) % 16 == 0 && getauxval(AT_PAGESZ) == 4096);
	dice_seed(argc > 1 ? argv[1] : NULL);
	if (hops > 0)
		next_life(argv[0], hops);
	return argc;
}
