/* namemix.c - a random tree, and random paths through it.                                    (lab 7)
 *
 * Idea.       namemix SEED WHAT. Directories are told apart by their permissions, files by their sizes.
 *             Paths are made of a few names, dots, symbolic links and doubled slashes. WHAT is a set of
 *             letters: which kinds of steps there are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include "dice.h"
#include "say.h"

static const char *const names[] = { "a", "b", "c", "dd", "e", "l", "m" };
static int made;

static const char *
any_name(void)
{
	return names[roll(7)];
}

/* Up to `most` components. */
static const char *
any_path(int most, char *text)
{
	*text = 0;
	for (int i = roll(most), dots = 0; i >= 0; i--) {
		int kind = roll(10);

		if (kind == 0)
			strcat(text, ".");
		else if (kind < 3 && dots++ < 3)
			strcat(text, "..");
		else
			strcat(text, any_name());
		if (i > 0)
			strcat(text, roll(8) ? "/" : "//");
	}
	if (roll(6) == 0)
		strcat(text, "/");
	return text;
}

static void
told(const char *what, const char *path, int r)
{
	say("%s %s: %s\n", what, path, r < 0 ? strerror(errno) : "ok");
}

static void
look(const char *path, int follow)
{
	struct stat st;
	char to[100] = "";
	int r = follow ? stat(path, &st) : lstat(path, &st);

	if (r < 0)
		told("look", path, r);
	else if (S_ISDIR(st.st_mode))
		say("look %s: directory %o\n", path, st.st_mode & 0777);
	else if (S_ISREG(st.st_mode))
		say("look %s: file %ld links %d\n", path, (long)st.st_size, (int)st.st_nlink);
	else
		say("look %s: link to %s (%ld)\n", path, to, (long)readlink(path, to, sizeof to - 1));
}

static void
make_dir(const char *path)
{
	int r = mkdir(path, 0700 | (++made & 077));

	told("mkdir", path, r);
}

static void
make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	told("create", path, fd);
	if (fd >= 0) {
		ftruncate(fd, ++made);
		close(fd);
	}
}

static void
make_link(const char *path)
{
	char to[100] = "";

	if (roll(3) == 0)
		strcat(to, "../");
	strcat(to, any_name());
	if (roll(3) == 0)
		strcat(strcat(to, "/"), roll(4) ? any_name() : "..");
	told("symlink", path, symlink(roll(6) ? to : ".", path));
}

static void
into(const char *path)
{
	told("chdir", path, chdir(path));
	look(".", 1);
	look("..", 1);
}

static void
step(int what)
{
	char path[200], other[200];

	any_path(what == 's' || what == 'S' || what == 'c' ? 8 : 3, path);
	switch (what) {
	case 'd': make_dir(path); break;
	case 'f': make_file(path); break;
	case 'l': make_link(path); break;
	case 's': look(path, 1); break;
	case 'S': look(path, 0); break;
	case 'c': into(path); break;
	case 'u': told("unlink", path, unlink(path)); break;
	case 'r': told("rmdir", path, rmdir(path)); break;
	case 'n':
		strcpy(path, any_name());
		told(path, strcpy(other, any_name()), rename(path, other));
		break;
	case 'h': told("link", path, link(any_name(), path)); break;
	}
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "dflsSc";

	dice_seed(argc > 1 ? argv[1] : NULL);
	umask(0);
	for (int i = 0; i < 24; i++)                     /* so deep that no path leads out */
		if ((mkdir("_", 0755) && errno != EEXIST) || chdir("_"))
			return 1;
	for (int i = 0; i < 30; i++)
		step("dddffl"[roll(strchr(what, 'l') ? 6 : 5)]);
	for (int i = 0; i < 200; i++)
		step(what[roll((unsigned)strlen(what))]);
	return 0;
}
