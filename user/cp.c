/* cp [-r] FROM... TO - copy files; -r: directories and symbolic links as such. TO may be a directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int option_r;
static char buf[65536];

static int
complain(const char *path)
{
	fprintf(stderr, "cp: %s: %s\n", path, strerror(errno));
	return 1;
}

static int
copy_bytes(int in, int out, const char *to)
{
	ssize_t n;

	while ((n = read(in, buf, sizeof buf)) > 0) {
		for (ssize_t done = 0, k; done < n; done += k) {
			k = write(out, buf + done, n - done);
			if (k < 0)
				return complain(to);
		}
	}
	return n < 0 ? complain(to) : 0;
}

static int
copy_file(const char *from, const char *to, mode_t mode)
{
	int in = open(from, O_RDONLY), out, status;
	struct stat a, b;

	if (in < 0)
		return complain(from);
	if (fstat(in, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
		fprintf(stderr, "cp: %s and %s are the same file\n", from, to);
		close(in);
		return 1;
	}
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC, mode & 0777);
	if (out < 0) {
		close(in);
		return complain(to);
	}
	status = copy_bytes(in, out, to);
	close(in);
	if (close(out) < 0)
		return complain(to);
	return status;
}

static int
copy_link(const char *from, const char *to)
{
	char target[PATH_MAX];
	ssize_t n = readlink(from, target, sizeof target - 1);

	if (n < 0)
		return complain(from);
	target[n] = 0;
	return symlink(target, to) < 0 ? complain(to) : 0;
}

static int copy(const char *from, const char *to);

static int
copy_directory(const char *from, const char *to, mode_t mode)
{
	char source[PATH_MAX], target[PATH_MAX];
	struct dirent *e;
	int status = 0;
	DIR *d;

	if (!option_r) {
		errno = EISDIR;
		return complain(from);
	}
	d = opendir(from);
	if (!d)
		return complain(from);
	if (mkdir(to, (mode & 0777) | 0700) < 0 && errno != EEXIST) {
		closedir(d);
		return complain(to);
	}
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(source, sizeof source, "%s/%s", from, e->d_name);
		snprintf(target, sizeof target, "%s/%s", to, e->d_name);
		status |= copy(source, target);
	}
	closedir(d);
	return status;
}

static int
copy(const char *from, const char *to)
{
	struct stat st;

	if ((option_r ? lstat(from, &st) : stat(from, &st)) < 0)
		return complain(from);
	if (S_ISDIR(st.st_mode))
		return copy_directory(from, to, st.st_mode);
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to);
	return copy_file(from, to, st.st_mode);
}

int
main(int argc, char **argv)
{
	int opt, status = 0, into;
	char target[PATH_MAX];
	struct stat st;

	while ((opt = getopt(argc, argv, "rRa")) != -1) {
		if (opt == '?')
			return 2;
		option_r = 1;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: cp [-r] FROM... TO\n");
		return 2;
	}
	into = stat(argv[argc - 1], &st) == 0 && S_ISDIR(st.st_mode);
	if (argc - optind > 2 && !into) {
		fprintf(stderr, "cp: %s: not a directory\n", argv[argc - 1]);
		return 1;
	}
	for (int i = optind; i < argc - 1; i++) {
		const char *slash = strrchr(argv[i], '/');

		if (into)
			snprintf(target, sizeof target, "%s/%s", argv[argc - 1], slash ? slash + 1 : argv[i]);
		status |= copy(argv[i], into ? target : argv[argc - 1]);
	}
	return status;
}
