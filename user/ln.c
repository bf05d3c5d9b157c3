/* ln [-sf] TARGET [NAME] - make a link, symbolic with -s, in place of an old NAME with -f. NAME may be a directory. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	int opt, symbolic = 0, force = 0;
	const char *target, *name, *last;
	char inside[PATH_MAX];
	struct stat st;

	while ((opt = getopt(argc, argv, "sf")) != -1) {
		if (opt == '?')
			return 2;
		symbolic |= opt == 's';
		force |= opt == 'f';
	}
	if (argc - optind < 1 || argc - optind > 2) {
		fprintf(stderr, "usage: ln [-sf] TARGET [NAME]\n");
		return 2;
	}
	target = argv[optind];
	last = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	name = argc - optind == 2 ? argv[optind + 1] : last;
	if (stat(name, &st) == 0 && S_ISDIR(st.st_mode)) {
		snprintf(inside, sizeof inside, "%s/%s", name, last);
		name = inside;
	}
	if (force)
		unlink(name);
	if ((symbolic ? symlink(target, name) : link(target, name)) < 0) {
		fprintf(stderr, "ln: %s: %s\n", name, strerror(errno));
		return 1;
	}
	return 0;
}
