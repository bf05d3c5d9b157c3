/* unistd.c - functions that are a little more than one system call. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

char *
getcwd(char *buf, size_t size)
{
	char *p = buf ? buf : malloc(size = size ? size : PATH_MAX);

	if (!p)
		return NULL;
	if (syscall(SYS_getcwd, p, size) >= 0)
		return p;
	if (!buf)
		free(p);
	return NULL;
}

/* vfork's child runs on its parent's stack, which a function call cannot survive: fork is safe instead. */
pid_t
vfork(void)
{
	return fork();
}

pid_t
waitpid(pid_t pid, int *status, int options)
{
	return wait4(pid, status, options, NULL);
}

pid_t
wait(int *status)
{
	return wait4(-1, status, 0, NULL);
}

int
execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

/* Try `file` in each directory of PATH. An error other than "not there" is remembered, but the search goes on. */
int
execvp(const char *file, char *const argv[])
{
	const char *dir = getenv("PATH"), *end;
	char path[PATH_MAX];
	int worst = ENOENT;

	if (strchr(file, '/'))
		return execve(file, argv, environ);
	for (dir = dir ? dir : "/bin:/usr/bin"; ; dir = end + 1) {
		end = dir + strcspn(dir, ":");
		snprintf(path, sizeof path, "%.*s%s%s", (int)(end - dir), dir, end > dir ? "/" : "", file);
		execve(path, argv, environ);
		if (errno != ENOENT && errno != ENOTDIR)
			worst = errno;
		if (!*end)
			break;
	}
	errno = worst;
	return -1;
}

int
execl(const char *path, const char *arg, ...)
{
	char *argv[64];
	int n = 0;
	va_list ap;

	va_start(ap, arg);
	for (argv[0] = (char *)arg; argv[n] && n < 63; )
		argv[++n] = va_arg(ap, char *);
	va_end(ap);
	argv[63] = NULL;
	return execve(path, argv, environ);
}

time_t
time(time_t *t)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -1;
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}

unsigned
sleep(unsigned seconds)
{
	struct timespec ts = { seconds, 0 };

	return nanosleep(&ts, &ts) < 0 ? ts.tv_sec : 0;
}

int
usleep(unsigned useconds)
{
	struct timespec ts = { useconds / 1000000, useconds % 1000000 * 1000 };

	return nanosleep(&ts, NULL);
}

int
isatty(int fd)
{
	struct termios t;

	return tcgetattr(fd, &t) == 0;
}

int
tcgetattr(int fd, struct termios *t)
{
	return ioctl(fd, TCGETS, t);
}

int
tcsetattr(int fd, int when, const struct termios *t)
{
	return ioctl(fd, TCSETS + when, t);
}

int
tcflush(int fd, int queue)
{
	return ioctl(fd, TCFLSH, (long)queue);
}

pid_t
tcgetsid(int fd)
{
	pid_t sid;

	return ioctl(fd, TIOCGSID, &sid) < 0 ? -1 : sid;
}

pid_t
tcgetpgrp(int fd)
{
	pid_t pgid;

	return ioctl(fd, TIOCGPGRP, &pgid) < 0 ? -1 : pgid;
}

int
tcsetpgrp(int fd, pid_t pgid)
{
	return ioctl(fd, TIOCSPGRP, &pgid);
}

void
cfmakeraw(struct termios *t)
{
	t->c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t->c_oflag &= ~OPOST;
	t->c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	t->c_cflag = (t->c_cflag & ~(CSIZE | PARENB)) | CS8;
	t->c_cc[VMIN] = 1;
	t->c_cc[VTIME] = 0;
}

/* brk(2) answers with the end it left in force, whether it moved or not. */
int
brk(void *end)
{
	long now = syscall(SYS_brk, end);

	if (now < (long)end) {
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

void *
sbrk(intptr_t increment)
{
	long now = syscall(SYS_brk, 0);

	if (now <= 0)
		return (void *)-1;
	if (increment && brk((char *)now + increment) < 0)
		return (void *)-1;
	return (void *)now;
}

long
sysconf(int name)
{
	if (name == _SC_PAGESIZE)
		return 4096;
	errno = EINVAL;
	return -1;
}

int
gethostname(char *name, size_t size)
{
	struct utsname u;

	if (uname(&u) < 0)
		return -1;
	strlcpy(name, u.nodename, size);
	return 0;
}

int
mkfifo(const char *path, mode_t mode)
{
	return mknod(path, (mode & 07777) | S_IFIFO, 0);
}

int
futimens(int fd, const struct timespec times[2])
{
	return utimensat(fd, NULL, times, 0);
}

int
umount(const char *target)
{
	return umount2(target, 0);
}

int
reboot(int cmd)
{
	return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, cmd, NULL);
}

int
remove(const char *path)
{
	if (unlink(path) == 0)
		return 0;
	return errno == EISDIR ? rmdir(path) : -1;
}
