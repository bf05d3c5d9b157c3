/* namerace.c - many processes change the same few names at once: whatever the order, nothing breaks.   (lab 7)
 *
 * Idea.       Workers create, link, rename, list and remove names from a small set in one directory, and walk paths through
 *             directories that come and go. Every result must be one that some order explains; afterwards all can be removed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "say.h"

enum { WORKERS = 4, ROUNDS = 400, NAMES = 6 };

static uint32_t dice;

static int
roll(int n)
{
	dice = dice * 1103515245 + 12345;
	return (dice >> 16) % n;
}

/* Was the call's result one of those that a race can give? */
static int
fair(int r)
{
	if (r >= 0)
		return 0;
	switch (errno) {
	case ENOENT: case EEXIST: case ENOTEMPTY: case EISDIR: case ENOTDIR: case EINVAL: case EPERM: case ELOOP: case EBUSY:
		return 0;
	}
	say("unfair: %s\n", strerror(errno));
	return 1;
}

static int
list(const char *path)
{
	DIR *d = opendir(path);
	int bad = d ? 0 : fair(-1);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL)
		bad += strlen(e->d_name) > 2;
	if (d)
		closedir(d);
	return bad;
}

static int
step(void)
{
	char a[32], b[32], deep[64];
	struct stat st;
	int fd;

	snprintf(a, sizeof a, "race/%c", 'a' + roll(NAMES));
	snprintf(b, sizeof b, "race/%c", 'a' + roll(NAMES));
	snprintf(deep, sizeof deep, "%s/%c", a, 'a' + roll(NAMES));
	switch (roll(12)) {
	case 0: fd = open(a, O_CREAT | O_RDWR, 0644); if (fd >= 0) close(fd); return fair(fd);
	case 1: return fair(mkdir(a, 0755));
	case 2: return fair(rename(a, b));
	case 3: return fair(link(a, b));
	case 4: return fair(unlink(a));
	case 5: return fair(rmdir(a));
	case 6: return fair(stat(deep, &st));
	case 7: return fair(symlink(b + 5, a));
	case 8: fd = open(deep, O_CREAT | O_EXCL | O_WRONLY, 0600); if (fd >= 0) close(fd); return fair(fd);
	case 9: return fair(unlink(deep));
	case 10: return list("race");
	default: return fair(rename(deep, b));
	}
}

static void
clean(void)
{
	char a[32], b[64];

	for (int i = 0; i < NAMES; i++) {
		snprintf(a, sizeof a, "race/%c", 'a' + i);
		for (int k = 0; k < NAMES; k++) {
			snprintf(b, sizeof b, "%s/%c", a, 'a' + k);
			for (int j = 0; j < NAMES; j++) {
				char c[80];
				snprintf(c, sizeof c, "%s/%c", b, 'a' + j);
				if (unlink(c) < 0)
					rmdir(c);
			}
			if (unlink(b) < 0)
				rmdir(b);
		}
		if (unlink(a) < 0)
			rmdir(a);
	}
}

int
main(void)
{
	int status, bad = 0;

	CHECK(mkdir("race", 0755) == 0);
	for (int i = 0; i < WORKERS; i++) {
		if (fork() == 0) {
			dice = i * 77 + 1;
			for (int n = 0; n < ROUNDS; n++)
				bad += step();
			_exit(bad != 0);
		}
	}
	for (int i = 0; i < WORKERS; i++)
		if (wait(&status) > 0 && status)
			bad++;
	say("bad %d\n", bad);
	clean();
	clean();
	clean();
	CHECK(list("race") == 0);
	return 0;
}
