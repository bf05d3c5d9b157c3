/* stats.c - the fields of stat: type, mode, links, size; times that move forward.            (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include "say.h"

static void
show(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		say("%s: %s\n", path, strerror(errno));
	else
		say("%s: mode %o links %ld size %ld\n", path, st.st_mode, S_ISDIR(st.st_mode) ? 0 : (long)st.st_nlink,
		    S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? (long)st.st_size : 0);
}

static int
later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

int
main(void)
{
	struct timespec times[2] = { { 1000000000, 5 }, { 1100000000, 123456789 } }, pause = { 0, 20000000 };
	struct stat a, b;
	int fd, p[2];

	umask(022);
	mkdir("st", 0777);
	mkdir("st1", 01777);
	fd = open("sf", O_CREAT | O_RDWR, 0666);
	write(fd, "12345", 5);
	symlink("sf", "sl");
	mkfifo("sp", 0640);
	show("st");
	show("st1");
	show("sf");
	show("sl");
	show("sp");
	show("/dev/null");
	show("none");
	CALL(fstat(99, &a));
	stat("/dev/null", &a);
	CHECK(major(a.st_rdev) == 1 && minor(a.st_rdev) == 3);
	fstat(fd, &a);
	CHECK(a.st_blksize >= 512 && a.st_ino != 0 && a.st_dev != 0);
	CHECK(a.st_uid == geteuid() && a.st_gid == getegid());
	stat("sl", &b);
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	pipe(p);
	fstat(p[0], &b);
	CHECK(S_ISFIFO(b.st_mode));
	CALL(fstatat(AT_FDCWD, "sl", &b, AT_SYMLINK_NOFOLLOW));
	CHECK(S_ISLNK(b.st_mode));
	CALL(fstatat(fd, "", &b, AT_EMPTY_PATH));
	CHECK(b.st_ino == a.st_ino);
	CALL(fstatat(fd, "", &b, 0));
	CALL(fstatat(fd, "x", &b, 0));
	nanosleep(&pause, NULL);
	write(fd, "6", 1);
	fstat(fd, &b);
	CHECK(later(b.st_mtim, a.st_mtim) && later(b.st_ctim, a.st_ctim));
	CALL(utimensat(AT_FDCWD, "sf", times, 0));
	stat("sf", &b);
	CHECK(b.st_atim.tv_sec == 1000000000 && b.st_mtim.tv_sec == 1100000000 && b.st_mtim.tv_nsec == 123456789);
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	CALL(utimensat(AT_FDCWD, "sf", times, 0));
	stat("sf", &b);
	CHECK(b.st_atim.tv_sec == 1000000000 && b.st_mtim.tv_sec > 1100000000);
	times[0].tv_nsec = 2000000000;
	CALL(utimensat(AT_FDCWD, "sf", times, 0));
	CALL(utimensat(AT_FDCWD, "none", NULL, 0));
	rmdir("st");
	rmdir("st1");
	unlink("sf");
	unlink("sl");
	unlink("sp");
	return 0;
}
