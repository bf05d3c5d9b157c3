/* getdents.c - directories with many entries: each name once, types right, removal while reading.  (lab 7) */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "say.h"

#define COUNT 1500

static char seen[COUNT];

int
main(void)
{
	struct dirent *e;
	char name[64], small[16];
	int dots = 0, files = 0, twice = 0, wrong = 0, left = 0, fd;
	DIR *d;

	mkdir("gd", 0755);
	chdir("gd");
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "entry-with-a-longish-name-%d", i);
		close(open(name, O_CREAT | O_WRONLY, 0644));
	}
	d = opendir(".");
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.') {
			dots++;
			wrong += e->d_type != DT_DIR;
			continue;
		}
		files++;
		wrong += e->d_type != DT_REG || e->d_ino == 0;
		twice += seen[atoi(e->d_name + 26)]++;
	}
	say("dots %d, files %d, twice %d, wrong %d\n", dots, files, twice, wrong);
	rewinddir(d);
	for (files = 0; (e = readdir(d)) != NULL; )
		files++;
	say("again %d\n", files);
	rewinddir(d);
	while ((e = readdir(d)) != NULL) {              /* remove each as it comes by */
		if (e->d_name[0] != '.')
			unlink(e->d_name);
	}
	rewinddir(d);
	while ((e = readdir(d)) != NULL)
		left += e->d_name[0] != '.';
	say("left %d\n", left);
	closedir(d);

	mkdir("sub", 0755);
	symlink("x", "sym");
	mkfifo("fifo", 0644);
	d = opendir(".");
	for (files = 0; (e = readdir(d)) != NULL; ) {
		if (strcmp(e->d_name, "sub") == 0)
			files += e->d_type == DT_DIR;
		if (strcmp(e->d_name, "sym") == 0)
			files += 10 * (e->d_type == DT_LNK);
		if (strcmp(e->d_name, "fifo") == 0)
			files += 100 * (e->d_type == DT_FIFO);
	}
	say("types %d\n", files);
	closedir(d);
	fd = open(".", O_RDONLY);
	CALL(syscall(SYS_getdents64, fd, small, sizeof small));
	CALL(syscall(SYS_getdents64, fd, (void *)8, 4096));
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	CALL(syscall(SYS_getdents64, fd, name, sizeof name));
	CALL(syscall(SYS_getdents64, 99, name, sizeof name));
	unlink("sym");
	unlink("fifo");
	rmdir("sub");
	chdir("..");
	CALL(rmdir("gd"));
	return 0;
}
