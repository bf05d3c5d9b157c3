/* arguments.c - execve hands over arguments, environment and the auxiliary vector as Linux lays them out. (lab 4) */
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include "show.h"

extern char **environ;

static int
second_life(int argc, char **argv)
{
	uintptr_t *p = (uintptr_t *)argv;

	for (int i = 1; i < argc; i++)
		printf("argument %d: %zu bytes, %.20s\n", i, strlen(argv[i]), argv[i]);
	for (int i = 0; environ[i]; i++)
		printf("environment: %.30s\n", environ[i]);
	HOLDS(p[-1] == (uintptr_t)argc);
	HOLDS((uintptr_t)(p - 1) % 16 == 0);
	HOLDS(p[argc] == 0 && (char **)&p[argc + 1] == environ);
	HOLDS(getauxval(AT_PAGESZ) == 4096);
	HOLDS(getauxval(AT_PHENT) == 56);
	HOLDS(getauxval(AT_PHNUM) > 0);
	HOLDS(getauxval(AT_RANDOM) != 0);
	HOLDS(getauxval(AT_ENTRY) != 0);
	HOLDS(getauxval(AT_EXECFN) && strlen((char *)getauxval(AT_EXECFN)) > 0);
	SHOW(getauxval(AT_SECURE));
	SHOW(getauxval(AT_UID) == getuid());
	return argc;
}

static void
again(char *self, char **argv, char **envp)
{
	int status = 0, pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execve(self, argv, envp);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	printf("status %d\n", WEXITSTATUS(status));
}

int
main(int argc, char **argv)
{
	static char big[100001];
	char *two[] = { argv[0], "second", "", NULL };
	char *env[] = { "A=1", "B=two words", NULL }, *none[] = { NULL };
	char *volatile wrong = (char *)1;
	char *large[] = { argv[0], "second", big, NULL };

	if (argc > 1 && strcmp(argv[1], "second") == 0)
		return second_life(argc, argv);
	again(argv[0], two, env);
	again(argv[0], two, none);
	memset(big, 'x', sizeof big - 1);
	again(argv[0], large, env);
	SHOW(execve("/nowhere", two, env));
	SHOW(execve("", two, env));
	SHOW(execve(wrong, two, env));
	SHOW(execve(argv[0], (char **)wrong, env));
	return 0;
}
