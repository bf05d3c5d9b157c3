/* uname [-asnrvm] - the name of the system, of the machine, release, version, processor. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	static const char letters[] = "snrvm";
	const char *gap = "", *fields[5];
	int opt, wanted = 0;
	struct utsname u;

	while ((opt = getopt(argc, argv, "asnrvm")) != -1) {
		if (opt == '?')
			return 2;
		wanted |= opt == 'a' ? 31 : 1 << (strchr(letters, opt) - letters);
	}
	if (uname(&u) < 0) {
		fprintf(stderr, "uname: %s\n", strerror(errno));
		return 1;
	}
	fields[0] = u.sysname;
	fields[1] = u.nodename;
	fields[2] = u.release;
	fields[3] = u.version;
	fields[4] = u.machine;
	for (int i = 0; i < 5; i++) {
		if ((wanted ? wanted : 1) & 1 << i) {
			printf("%s%s", gap, fields[i]);
			gap = " ";
		}
	}
	putchar('\n');
	return 0;
}
