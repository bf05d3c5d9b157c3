/* perms.c - umask, chmod, access.                                                            (lab 7) */
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

static unsigned
mode(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

int
main(void)
{
	int fd;

	umask(022);
	say("umask %o\n", umask(077));
	say("umask %o\n", umask(07777));
	say("umask %o\n", umask(027));
	OK(fd = open("pm", O_CREAT | O_RDWR, 0666));
	say("%o\n", mode("pm"));
	mkdir("pd", 0777);
	say("%o\n", mode("pd"));
	CALL(chmod("pm", 0741));
	say("%o\n", mode("pm"));
	CALL(fchmod(fd, 04755));
	say("%o\n", mode("pm"));
	CALL(chmod("pd", 01777));
	say("%o\n", mode("pd"));
	CALL(chmod("none", 0644));
	CALL(fchmod(99, 0644));
	CALL(chmod("pm", 0644));
	CALL(access("pm", R_OK | W_OK));
	CALL(access("pm", X_OK));                       /* not even for root without any x bit */
	CALL(chmod("pm", 0744));
	CALL(access("pm", X_OK));
	CALL(access("pd", X_OK));
	CALL(access("none", F_OK));
	CALL(access("pm", 8));
	CALL(chmod("pm", 0644));
	CALL(execl("./pm", "pm", NULL));
	CALL(unlink("pm"));
	CALL(rmdir("pd"));
	return 0;
}
