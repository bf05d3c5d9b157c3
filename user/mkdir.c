/* mkdir [-p] DIR... - make directories. -p: with those above, and without complaint about existing ones. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
make(char *path, int parents)
{
	struct stat st;

	for (char *p = path + 1; parents && *p; p++) {
		if (*p == '/') {
			*p = 0;
			mkdir(path, 0777);
			*p = '/';
		}
	}
	if (mkdir(path, 0777) == 0 || (parents && errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	fprintf(stderr, "mkdir: %s: %s\n", path, strerror(errno));
	return 1;
}

int
main(int argc, char **argv)
{
	int opt, parents = 0, status = 0;

	while ((opt = getopt(argc, argv, "p")) != -1) {
		if (opt != 'p')
			return 2;
		parents = 1;
	}
	for (int i = optind; i < argc; i++)
		status |= make(argv[i], parents);
	return status;
}
