/* dmesg - print the kernel's messages. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYSLOG_READ_ALL 3

int
main(void)
{
	static char buf[65536];
	long n = syscall(SYS_syslog, SYSLOG_READ_ALL, buf, sizeof buf);

	if (n < 0) {
		fprintf(stderr, "dmesg: %s\n", strerror(errno));
		return 1;
	}
	fwrite(buf, 1, n, stdout);
	return 0;
}
