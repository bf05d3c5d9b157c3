/* mount - show what is mounted; mount [-t TYPE] [-o OPTION,...] SOURCE DIR - mount a file system. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* Take the option's flag; what is not a flag is for the file system, and collected in `data`. */
static unsigned long
parse_options(char *options, char *data, size_t size)
{
	static const struct { const char *name; unsigned long flag; } known[] = {
		{ "ro", MS_RDONLY }, { "rw", 0 }, { "nosuid", MS_NOSUID }, { "nodev", MS_NODEV }, { "noexec", MS_NOEXEC },
		{ "sync", MS_SYNCHRONOUS }, { "remount", MS_REMOUNT }, { "noatime", MS_NOATIME }, { "bind", MS_BIND },
	};
	unsigned long flags = 0;

	for (char *o = strtok(options, ","); o; o = strtok(NULL, ",")) {
		size_t i = 0;

		while (i < sizeof known / sizeof *known && strcmp(o, known[i].name) != 0)
			i++;
		if (i < sizeof known / sizeof *known) {
			flags |= known[i].flag;
		} else {
			if (*data)
				strlcat(data, ",", size);
			strlcat(data, o, size);
		}
	}
	return flags;
}

static int
show(void)
{
	char line[1024];
	FILE *f = fopen("/proc/mounts", "r");

	if (!f) {
		fprintf(stderr, "mount: /proc/mounts: %s\n", strerror(errno));
		return 1;
	}
	while (fgets(line, sizeof line, f)) {
		char *source = strtok(line, " "), *dir = strtok(NULL, " "), *type = strtok(NULL, " ");
		char *options = strtok(NULL, " ");

		if (options)
			printf("%s on %s type %s (%s)\n", source, dir, type, options);
	}
	fclose(f);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *type = "eclipsefs";
	unsigned long flags = 0;
	char data[256] = "";
	int opt;

	if (argc == 1)
		return show();
	while ((opt = getopt(argc, argv, "t:o:r")) != -1) {
		switch (opt) {
		case 't': type = optarg; break;
		case 'o': flags |= parse_options(optarg, data, sizeof data); break;
		case 'r': flags |= MS_RDONLY; break;
		default: return 2;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: mount [-t TYPE] [-o OPTION,...] SOURCE DIR\n");
		return 2;
	}
	if (mount(argv[optind], argv[optind + 1], type, flags, data) < 0) {
		fprintf(stderr, "mount: %s on %s: %s\n", argv[optind], argv[optind + 1], strerror(errno));
		return 1;
	}
	return 0;
}
