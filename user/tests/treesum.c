/* treesum.c - everything below a directory, in order: kinds, sizes, checksums.                (lab 8) */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "say.h"

#define NAMES 4000

static unsigned
sum_of(const char *path)
{
	static unsigned char buf[20000];
	unsigned a = 1, b = 0;
	long n;
	int fd = open(path, O_RDONLY);

	while ((n = read(fd, buf, sizeof buf)) > 0)
		for (long i = 0; i < n; i++) {
			a = (a + buf[i]) % 65521;
			b = (b + a) % 65521;
		}
	close(fd);
	return n < 0 ? 0 : b << 16 | a;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
walk(const char *path)
{
	char **names = malloc(NAMES * sizeof *names), full[4096], to[4097] = "";
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(path);
	int n = 0;

	while (d && n < NAMES && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			names[n++] = strdup(e->d_name);
	if (d)
		closedir(d);
	qsort(names, n, sizeof *names, by_name);
	for (int i = 0; i < n; i++) {
		snprintf(full, sizeof full, "%s/%s", path, names[i]);
		if (lstat(full, &st) < 0)
			say("%s: %s\n", full, strerror(errno));
		else if (S_ISDIR(st.st_mode))
			walk(full);
		else if (S_ISLNK(st.st_mode))
			say("%s -> %ld\n", full, (long)readlink(full, to, sizeof to - 1));
		else
			say("%s %ld %u\n", full, (long)st.st_size, sum_of(full));
		free(names[i]);
	}
	free(names);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		walk(argv[i]);
	return 0;
}
