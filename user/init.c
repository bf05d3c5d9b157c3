/* init - the first process: makes the console and the mounts, keeps a shell running, reaps orphans.
 *
 * Idea.       Every step may fail with ENOSYS, because in the early labs the call does not exist yet; init goes on
 *             with what there is. Without /dev/console it keeps the descriptors that the kernel gave it.
 * Interface.  init [COMMAND ARG...]: runs COMMAND instead of the shell, once, then powers off.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *environment[] = { "PATH=/bin:/usr/bin", "HOME=/", "TERM=linux", NULL };

static void
open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
}

/* Mount a file system without a device at dir, unless `sign` shows that something is there already. */
static void
mount_at(const char *type, const char *dir, const char *sign)
{
	if (sign && access(sign, F_OK) == 0)
		return;
	mkdir(dir, 0755);
	if (mount(type, dir, type, 0, NULL) < 0 && errno != ENOSYS && errno != EBUSY && errno != ENODEV)
		fprintf(stderr, "init: mount %s: error %d\n", dir, errno);
}

/* Start a program as the leader of a session whose controlling terminal is the console. */
static pid_t
start(char **argv)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setsid();
	ioctl(0, TIOCSCTTY, 1L);
	execve(argv[0], argv, environment);
	fprintf(stderr, "init: cannot run %s: error %d\n", argv[0], errno);
	_exit(127);
}

/* Wait until `pid` has ended, reaping whatever else ends meanwhile. */
static void
reap_until(pid_t pid)
{
	pid_t done;

	do
		done = wait(NULL);
	while (done != pid && (done > 0 || errno == EINTR));
}

int
main(int argc, char **argv)
{
	char *shell[] = { "/bin/sh", NULL };
	time_t began;
	pid_t pid;

	mount_at("devtmpfs", "/dev", "/dev/console");
	open_console();
	mount_at("proc", "/proc", "/proc/self");
	mount_at("tmpfs", "/tmp", NULL);
	if (argc > 1) {
		pid = start(argv + 1);
		reap_until(pid);
		sync();
		reboot(RB_POWER_OFF);
	}
	for (;;) {
		began = time(NULL);
		pid = start(shell);
		if (pid > 0)
			reap_until(pid);
		if (pid < 0 || time(NULL) == began)
			sleep(1);               /* a shell that cannot live: not too fast */
	}
}
