/* mv FROM... TO - rename files, or move them into the directory TO. Between file systems: cp -r, then rm -r. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int
run(char *const argv[])
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return status != 0;
}

static int
move(char *from, char *to)
{
	if (rename(from, to) == 0)
		return 0;
	if (errno == EXDEV) {
		char *copy[] = { "cp", "-r", "--", from, to, NULL };
		char *remove[] = { "rm", "-r", "--", from, NULL };

		return run(copy) || run(remove);
	}
	fprintf(stderr, "mv: %s: %s\n", from, strerror(errno));
	return 1;
}

int
main(int argc, char **argv)
{
	int opt, status = 0, into;
	char target[PATH_MAX];
	struct stat st;

	while ((opt = getopt(argc, argv, "f")) != -1) {
		if (opt == '?')
			return 2;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: mv FROM... TO\n");
		return 2;
	}
	into = stat(argv[argc - 1], &st) == 0 && S_ISDIR(st.st_mode);
	if (argc - optind > 2 && !into) {
		fprintf(stderr, "mv: %s: not a directory\n", argv[argc - 1]);
		return 1;
	}
	for (int i = optind; i < argc - 1; i++) {
		const char *slash = strrchr(argv[i], '/');

		if (into)
			snprintf(target, sizeof target, "%s/%s", argv[argc - 1], slash ? slash + 1 : argv[i]);
		status |= move(argv[i], into ? target : argv[argc - 1]);
	}
	return status;
}
