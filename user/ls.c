/* ls [-ladi1] [FILE...] - list directories. -l long, -a dot files too, -d directories themselves, -i inode. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static int option_l, option_a, option_d, option_i;

static void
print_mode(mode_t mode)
{
	static const char kinds[] = "?pc?d?b?-?l?s???";
	char text[11] = "?rwxrwxrwx";

	text[0] = kinds[mode >> 12 & 15];
	for (int i = 0; i < 9; i++) {
		if (!(mode & 0400 >> i))
			text[1 + i] = '-';
	}
	for (int i = 0; i < 3; i++) {           /* set-user-id, set-group-id, sticky: in the place of an x */
		if (mode & 04000 >> i)
			text[3 + 3 * i] = text[3 + 3 * i] == 'x' ? "sst"[i] : "SST"[i];
	}
	printf("%s", text);
}

static void
print_time(time_t t)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;

	gmtime_r(&t, &tm);
	printf(" %.3s %2d %04d %02d:%02d", months + 3 * tm.tm_mon, tm.tm_mday, tm.tm_year + 1900, tm.tm_hour,
	       tm.tm_min);
}

/* One line for the file at `path`, shown as `name`. */
static int
print_entry(const char *path, const char *name)
{
	struct stat st;
	char target[PATH_MAX];
	ssize_t n;

	if ((option_l || option_i) && lstat(path, &st) < 0) {
		fprintf(stderr, "ls: %s: %s\n", path, strerror(errno));
		return 1;
	}
	if (option_i)
		printf("%7lu ", st.st_ino);
	if (option_l) {
		print_mode(st.st_mode);
		printf(" %3lu %4u %4u ", st.st_nlink, st.st_uid, st.st_gid);
		if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			printf("%4u,%4u", major(st.st_rdev), minor(st.st_rdev));
		else
			printf("%9ld", st.st_size);
		print_time(st.st_mtime);
		putchar(' ');
	}
	printf("%s", name);
	if (option_l && S_ISLNK(st.st_mode) && (n = readlink(path, target, sizeof target)) >= 0)
		printf(" -> %.*s", (int)n, target);
	putchar('\n');
	return 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted; NULL with errno if it cannot be read. */
static char **
read_names(const char *path, size_t *count)
{
	size_t n = 0, size = 64;
	char **names = malloc(size * sizeof *names);
	struct dirent *e;
	DIR *d = opendir(path);

	if (!d || !names)
		return NULL;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' && !option_a)
			continue;
		if (n == size)
			names = realloc(names, (size *= 2) * sizeof *names);
		if (!names || !(names[n++] = strdup(e->d_name)))
			return NULL;
	}
	closedir(d);
	qsort(names, n, sizeof *names, compare_names);
	*count = n;
	return names;
}

static int
list_directory(const char *path)
{
	size_t n = 0;
	char **names = read_names(path, &n), full[PATH_MAX];
	int status = 0;

	if (!names) {
		fprintf(stderr, "ls: %s: %s\n", path, strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(full, sizeof full, "%s/%s", path, names[i]);
		status |= print_entry(full, names[i]);
		free(names[i]);
	}
	free(names);
	return status;
}

static int
list(const char *path, int heading)
{
	struct stat st;

	if ((option_l || stat(path, &st) < 0) && lstat(path, &st) < 0) {    /* follow a link, if it leads anywhere */
		fprintf(stderr, "ls: %s: %s\n", path, strerror(errno));
		return 1;
	}
	if (!S_ISDIR(st.st_mode) || option_d)
		return print_entry(path, path);
	if (heading)
		printf("%s:\n", path);
	return list_directory(path);
}

int
main(int argc, char **argv)
{
	int opt, status = 0;

	while ((opt = getopt(argc, argv, "ladi1")) != -1) {
		option_l |= opt == 'l';
		option_a |= opt == 'a';
		option_d |= opt == 'd';
		option_i |= opt == 'i';
		if (opt == '?')
			return 2;
	}
	if (optind == argc)
		return list(".", 0);
	for (int i = optind; i < argc; i++)
		status |= list(argv[i], optind + 1 < argc);
	return status;
}
