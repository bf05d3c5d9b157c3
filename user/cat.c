/* cat - copy files, or standard input, to standard output. `-` is standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char buf[65536];

/* Copy everything from fd to standard output. Returns: 0, or 1 after a message. */
static int
copy(int fd, const char *name)
{
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0) {
		for (ssize_t done = 0, k; done < n; done += k) {
			k = write(1, buf + done, n - done);
			if (k < 0) {
				fprintf(stderr, "cat: write: %s\n", strerror(errno));
				return 1;
			}
		}
	}
	if (n < 0)
		fprintf(stderr, "cat: %s: %s\n", name, strerror(errno));
	return n < 0;
}

int
main(int argc, char **argv)
{
	int status = 0;

	if (argc < 2)
		return copy(0, "-");
	for (argv++; *argv; argv++) {
		int fd = strcmp(*argv, "-") == 0 ? 0 : open(*argv, O_RDONLY);

		if (fd < 0) {
			fprintf(stderr, "cat: %s: %s\n", *argv, strerror(errno));
			status = 1;
			continue;
		}
		status |= copy(fd, *argv);
		if (fd > 0)
			close(fd);
	}
	return status;
}
