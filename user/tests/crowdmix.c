/* crowdmix.c - a directory with many names, that come and go.                                 (lab 8)
 *
 * Idea.       crowdmix SEED N. N files of a directory are made, in part removed or renamed, and made
 *             again; how many there are is counted by reading the directory. What is left at the end
 *             stays.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "dice.h"
#include "say.h"

static int n = 500;
static char there[5000];

/* The i-th name; the longer i is ago, the longer. */
static const char *
name(int i, char *to)
{
	int len = 4 + i * 37 % 60 + (i % 9 == 0) * (i % 180), at = sprintf(to, "crowd/%d.", i);

	while (len-- > 0)
		to[at++] = 'a' + (i + len) % 26;
	to[at] = 0;
	return to;
}

static void
toggle(int i)
{
	char path[300];
	int fd;

	if (there[i]) {
		there[i] = unlink(name(i, path)) < 0;
		return;
	}
	fd = open(name(i, path), O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd >= 0 && i % 7 == 0)
		write(fd, path, strlen(path));
	there[i] = fd >= 0;
	close(fd);
}

static void
move(int from, int to)
{
	char a[300], b[300];
	int r = rename(name(from, a), name(to, b));

	if (r < 0)
		say("move %d to %d: %s\n", from, to, strerror(errno));
	else if (from != to)
		there[to] = 1, there[from] = 0;
}

static void
count(void)
{
	int seen = 0, want = 0;
	char path[300];
	struct stat st;
	struct dirent *e;
	DIR *d = opendir("crowd");

	while ((e = readdir(d)))
		seen += e->d_name[0] != '.';
	closedir(d);
	for (int i = 0; i < n; i++) {
		int found = stat(name(i, path), &st) == 0;

		want += there[i];
		if (found != there[i])
			say("name %d: %s\n", i, found ? "is there" : "is not there");
	}
	say("%d names, %d seen\n", want, seen);
}

int
main(int argc, char **argv)
{
	dice_seed(argc > 1 ? argv[1] : NULL);
	if (argc > 2 && (n = atoi(argv[2])) > 5000)
		n = 5000;
	say("mkdir: %d\n", mkdir("crowd", 0700));
	for (int i = 0; i < n; i++)
		toggle(i);
	count();
	for (int i = 0; i < n; i++)
		if (roll(3))
			toggle(i);
	count();
	for (int i = 0; i < n; i++)
		if (roll(3))
			toggle(roll(n));
		else
			move(roll(n), roll(n));
	count();
	return 0;
}
