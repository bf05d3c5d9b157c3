/* ps - list processes, from /proc/PID/stat and /proc/PID/cmdline. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The contents of /proc/PID/NAME as a string. Returns: its length, 0 if it cannot be read. */
static size_t
read_proc(const char *pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		n = read(fd, buf, size - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = 0;
	return n > 0 ? n : 0;
}

/* stat is: pid (name) state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime ... rss */
static void
print_process(const char *pid)
{
	char stat[1024], command[256], *name, *rest;
	long field[25] = { 0 }, ticks;
	size_t n;

	if (read_proc(pid, "stat", stat, sizeof stat) == 0)
		return;                         /* it has ended meanwhile */
	name = strchr(stat, '(');
	rest = strrchr(stat, ')');
	if (!name || !rest || rest[1] != ' ')
		return;
	*rest = 0;
	rest += 2;
	for (int i = 4; i < 25; i++) {          /* field[] counts as proc(5) does: 3 is the state */
		rest = strchr(rest, ' ');
		if (!rest)
			break;
		field[i] = strtol(++rest, NULL, 10);
	}
	rest = name + strlen(name) + 2;
	n = read_proc(pid, "cmdline", command, sizeof command);
	for (size_t i = 0; i + 1 < n; i++) {
		if (!command[i])
			command[i] = ' ';
	}
	ticks = field[14] + field[15];
	printf("%5s %5ld %5ld %c %6ld %3ld:%02ld.%02ld ", pid, field[4], field[5], *rest, field[24] * 4,
	       ticks / 6000, ticks / 100 % 60, ticks % 100);
	printf(n > 0 ? "%s\n" : "[%s]\n", n > 0 ? command : name + 1);
}

int
main(void)
{
	struct dirent *e;
	DIR *d = opendir("/proc");

	if (!d) {
		fprintf(stderr, "ps: /proc: %s\n", strerror(errno));
		return 1;
	}
	printf("  PID  PPID  PGRP S RSS/KB      TIME COMMAND\n");
	while ((e = readdir(d)) != NULL) {
		if (isdigit(e->d_name[0]))
			print_process(e->d_name);
	}
	closedir(d);
	return 0;
}
