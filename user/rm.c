/* rm [-rf] FILE... - remove files. -r: directories with all they hold. -f: no complaint about missing ones. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int option_r, option_f;

static int
complain(const char *path)
{
	if (option_f && errno == ENOENT)
		return 0;
	fprintf(stderr, "rm: %s: %s\n", path, strerror(errno));
	return 1;
}

static int remove_path(const char *path);

/* Remove what is in the directory. The reading starts again after each round of removals. */
static int
remove_contents(const char *path)
{
	char full[PATH_MAX];
	struct dirent *e;
	int removed, status = 0;
	DIR *d;

	do {
		removed = 0;
		d = opendir(path);
		if (!d)
			return complain(path);
		while ((e = readdir(d)) != NULL) {
			if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
				continue;
			snprintf(full, sizeof full, "%s/%s", path, e->d_name);
			if (remove_path(full) == 0)
				removed++;
			else
				status = 1;
		}
		closedir(d);
	} while (removed && !status);
	return status;
}

static int
remove_path(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return complain(path);
	if (!S_ISDIR(st.st_mode))
		return unlink(path) < 0 ? complain(path) : 0;
	if (!option_r) {
		errno = EISDIR;
		return complain(path);
	}
	if (remove_contents(path))
		return 1;
	return rmdir(path) < 0 ? complain(path) : 0;
}

int
main(int argc, char **argv)
{
	int opt, status = 0;

	while ((opt = getopt(argc, argv, "rfR")) != -1) {
		if (opt == '?')
			return 2;
		option_f |= opt == 'f';
		option_r |= opt != 'f';
	}
	for (int i = optind; i < argc; i++)
		status |= remove_path(argv[i]);
	return status;
}
