/* unlinkopen.c - a file without a name lives on while it is open or mapped.                  (lab 7) */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "say.h"

int
main(void)
{
	struct stat st;
	char buf[16] = "";
	int fd, fd2, dir, status;
	char *m;

	OK(fd = open("uo.tmp", O_RDWR | O_CREAT | O_TRUNC, 0644));
	CALL(write(fd, "persist", 7));
	CALL(unlink("uo.tmp"));
	CALL(access("uo.tmp", F_OK));
	CALL(fstat(fd, &st));
	say("links %ld size %ld\n", (long)st.st_nlink, (long)st.st_size);
	OK(fd2 = open("uo.tmp", O_RDWR | O_CREAT | O_EXCL, 0644));      /* another file of that name */
	CALL(write(fd2, "new", 3));
	CALL(pread(fd, buf, 16, 0));
	say("[%.7s]\n", buf);
	CALL(pwrite(fd, "!", 1, 100000));
	CALL(fstat(fd, &st));
	say("size %ld\n", (long)st.st_size);
	if (fork() == 0) {
		CALL(pread(fd, buf, 7, 0));
		_exit(0);
	}
	wait(&status);
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CALL(close(fd));
	say("mapped [%.7s]\n", m);
	CALL(munmap(m, 4096));
	CALL(close(fd2));
	CALL(unlink("uo.tmp"));

	CALL(mkdir("uodir", 0755));
	OK(dir = open("uodir", O_RDONLY | O_DIRECTORY));
	CALL(rmdir("uodir"));
	CALL(fstat(dir, &st));
	say("links %ld\n", (long)st.st_nlink);
	CALL(openat(dir, "x", O_CREAT | O_RDWR, 0644));
	CALL(close(dir));
	return 0;
}
