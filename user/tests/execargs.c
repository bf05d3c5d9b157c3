/* execargs.c - what exec passes on: arguments, environment, auxiliary vector, alignment.     (lab 4) */
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include "say.h"

static int
second(int argc, char **argv, char **envp)
{
	char **last = argv + argc;

	for (int i = 1; i < argc; i++)
		say("argv[%d] = [%s]\n", i, argv[i]);
	for (char **e = envp; *e; e++)
		say("env [%s]\n", *e);
	CHECK(*last == NULL);
	CHECK(last + 1 == envp);                        /* one array behind the other, as Linux has it */
	CHECK(((uintptr_t)argv & 7) == 0);
	CHECK((((uintptr_t)argv - 8) & 15) == 0);       /* where rsp was at the entry */
	CHECK(getauxval(AT_PAGESZ) == 4096);
	CHECK(getauxval(AT_PHENT) == 56);
	CHECK(getauxval(AT_PHNUM) > 0);
	CHECK(getauxval(AT_PHDR) != 0);
	CHECK(getauxval(AT_ENTRY) > getauxval(AT_PHDR));
	CHECK(getauxval(AT_BASE) == 0);
	CHECK(getauxval(AT_RANDOM) != 0);
	CHECK(getauxval(AT_CLKTCK) == 100);
	CHECK(getauxval(AT_SECURE) == 0);
	CHECK(argv[0] > (char *)(envp + 1));
	return 33;
}

int
main(int argc, char **argv, char **envp)
{
	char *args[] = { "second", "a b", "", "$x", "a longer argument, to have more than a word of it", NULL };
	char *env[] = { "A=1", "EMPTY=", "no equals sign", NULL };
	char *none[] = { NULL };
	int status;

	if (argc > 1 && strcmp(argv[0], "second") == 0)
		return second(argc, argv, envp);
	if (fork() == 0) {
		execve(argv[0], args, env);
		_exit(1);
	}
	wait(&status);
	say_status("second", status);
	if (fork() == 0) {
		execve("/nonexistent/file", args, none);
		say("exec: %s\n", strerror(errno));
		_exit(5);
	}
	wait(&status);
	say_status("still here", status);
	return 0;
}
