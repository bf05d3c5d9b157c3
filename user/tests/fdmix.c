/* fdmix.c - descriptors at random: which number each gets, what forks share.                 (lab 7)
 *
 * Idea.       fdmix SEED WHAT. Files are opened, duplicated, closed; a child goes on with its copy of the
 *             table. WHAT is a set of letters: which kinds of steps there are; 'l': not more than 40
 *             descriptors.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/resource.h>
#include "dice.h"
#include "say.h"

#define MOST 100                 /* descriptors that we look at */

static int depth;
static void steps(const char *what, int n);

/* One of those that are open, mostly; never 1. */
static int
any_fd(void)
{
	int fd = roll(MOST);

	for (int i = 0; i < MOST && roll(20); i++, fd = (fd + 1) % MOST)
		if (fd != 1 && fcntl(fd, F_GETFD) >= 0)
			return fd;
	return fd == 1 ? 2 : fd;
}

static void
show_all(void)
{
	for (int fd = 0; fd < MOST; fd++)
		if (fd != 1 && fcntl(fd, F_GETFD) >= 0)
			say(" %d%s@%ld", fd, fcntl(fd, F_GETFD) ? "x" : "", (long)lseek(fd, 0, SEEK_CUR));
	say("\n");
}

static void
open_some(void)
{
	char name[] = "fd.a";

	for (int i = roll(4); i >= 0; i--) {
		name[3] = 'a' + roll(4);
		say("open %d\n", open(name, O_RDWR | O_CREAT | (roll(3) ? 0 : O_CLOEXEC), 0600));
	}
}

static void
duplicate(void)
{
	int fd = any_fd(), to = roll(MOST), min = roll(60);

	to += to == 1;
	switch (roll(4)) {
	case 0: say("dup %d: %d\n", fd, dup(fd)); break;
	case 1: say("dup2 %d %d: %d\n", fd, to, dup2(fd, to)); break;
	case 2: say("dupfd %d from %d: %d\n", fd, min, fcntl(fd, F_DUPFD, min)); break;
	case 3: say("dupfd %d from %d, cloexec: %d\n", fd, min, fcntl(fd, F_DUPFD_CLOEXEC, min)); break;
	}
}

static void
close_some(void)
{
	for (int i = roll(5); i >= 0; i--) {
		int fd = any_fd();

		say("close %d: %d\n", fd, close(fd));
	}
}

static void
use(void)
{
	char text[64] = "some text that is written to see the position move on";
	int fd = any_fd(), n = 1 + roll(50);

	if (roll(2))
		say("write %d to %d: %ld\n", n, fd, (long)write(fd, text, n));
	else
		say("seek %d: %ld\n", fd, (long)lseek(fd, roll(100), SEEK_SET));
}

/* The child has the same files: positions are shared, numbers are its own. */
static void
forks(const char *what)
{
	int status;

	if (depth == 2)
		return;
	if (fork() == 0) {
		depth++;
		say("child\n");
		show_all();
		steps(what, 12);
		_exit(0);
	}
	for (int i = roll(40); i > 0; i--)               /* another future than the child's */
		roll(2);
	wait(&status);
	say_status("child", status);
	show_all();
}

static void
steps(const char *what, int n)
{
	for (int i = 0; i < n; i++)
		switch (what[roll((unsigned)strlen(what))]) {
		case 'o': open_some(); break;
		case 'd': duplicate(); break;
		case 'c': close_some(); break;
		case 'u': use(); break;
		case 'f': forks(what); break;
		case 's': show_all(); break;
		}
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "odcufs";

	dice_seed(argc > 1 ? argv[1] : NULL);
	close(0);
	close(2);
	if (strchr(what, 'l'))
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 40, 40 });
	steps(what, 80);
	show_all();
	return 0;
}
