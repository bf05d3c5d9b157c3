/* kill [-SIGNAL] PID... - send a signal, TERM by default. A negative PID (after --) means a process group. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
	"EXIT", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
	"ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM",
	"PROF", "WINCH", "IO", "PWR", "SYS"
};

/* The number of a signal named 9, KILL or SIGKILL; -1 if none. */
static int
signal_number(const char *name)
{
	if (isdigit(*name))
		return atoi(name);
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

int
main(int argc, char **argv)
{
	int sig = SIGTERM, i = 1, status = 0;

	if (argc > 1 && strcmp(argv[1], "-l") == 0) {
		for (int n = 1; n < (int)(sizeof names / sizeof *names); n++)
			printf("%d %s\n", n, names[n]);
		return 0;
	}
	if (argc > 1 && argv[1][0] == '-' && strcmp(argv[1], "--") != 0)
		sig = signal_number(argv[i++] + 1);
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	if (sig < 0 || i == argc) {
		fprintf(stderr, "usage: kill [-SIGNAL] PID...\n");
		return 2;
	}
	for (; i < argc; i++) {
		char *end;
		long pid = strtol(argv[i], &end, 10);

		errno = EINVAL;
		if (end == argv[i] || *end || kill(pid, sig) < 0) {
			fprintf(stderr, "kill: %s: %s\n", argv[i], strerror(errno));
			status = 1;
		}
	}
	return status;
}
