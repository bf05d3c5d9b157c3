/* procself.c - what /proc says about the process that reads it.                              (lab 10) */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include "say.h"

static char buf[8192];

static long
slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	long n, total = 0;

	memset(buf, 0, sizeof buf);
	if (fd < 0) {
		say("%s: %s\n", path, strerror(errno));
		return -1;
	}
	while (total < (long)sizeof buf - 1 && (n = read(fd, buf + total, sizeof buf - 1 - total)) > 0)
		total += n;
	close(fd);
	return total;
}

int
main(int argc, char **argv)
{
	char path[64], *p;
	int numbers = 0, found = 0;
	struct dirent *e;
	DIR *d;

	(void)argc;
	CHECK(slurp("/proc/self/stat") > 0);
	CHECK(atoi(buf) == getpid());
	p = strrchr(buf, ')');
	CHECK(p && strncmp(buf + strcspn(buf, "("), "(procself)", 10) == 0 && p[2] == 'R');
	CHECK(p && atoi(p + 4) == getppid());
	for (; p && *p; p++)
		numbers += *p == ' ';
	CHECK(numbers == 50);
	CHECK(slurp("/proc/self/cmdline") == (long)strlen(argv[0]) + 1 && strcmp(buf, argv[0]) == 0);
	CHECK(slurp("/proc/self/status") > 0 && strncmp(buf, "Name:\tprocself\n", 15) == 0);
	snprintf(path, sizeof path, "/proc/%d/stat", getpid());
	CHECK(slurp(path) > 0 && atoi(buf) == getpid());
	CHECK(slurp("/proc/meminfo") > 0 && strncmp(buf, "MemTotal:", 9) == 0 && strstr(buf, "\nMemFree:"));
	CHECK(slurp("/proc/mounts") > 0 && strstr(buf, " /proc proc "));
	CHECK(slurp("/proc/uptime") > 0 && isdigit(buf[0]));
	CHECK(slurp("/proc/loadavg") > 0 && isdigit(buf[0]));
	CHECK(slurp("/proc/stat") > 0 && strncmp(buf, "cpu ", 4) == 0);
	CHECK(readlink("/proc/self/exe", buf, sizeof buf) > 0);
	CHECK(slurp("/proc/4194300/stat") == -1);
	CALL(open("/proc/self/stat", O_WRONLY | O_CREAT, 0644) < 0);
	CALL(open("/proc/none", O_RDONLY));
	d = opendir("/proc");
	while (d && (e = readdir(d)) != NULL)
		found += atoi(e->d_name) == getpid();
	say("listed %d\n", found);
	return 0;
}
