/* execerrs.c - what exec refuses: cut and mutated programs, directories, too long lists; scripts.   (lab 7) */
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "say.h"

static char image[1 << 20];
static long size;
static char *args[] = { "prog", "arg1", "arg 2", NULL }, *env[] = { NULL };

static void
save(const char *path, const char *p, long n, int mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0755);

	write(fd, p, n);
	fchmod(fd, mode);
	close(fd);
}

/* Exec in a child: prints the error, or how the program ended. */
static void
try(const char *what, const char *path)
{
	int status;

	if (fork() == 0) {
		execve(path, args, env);
		say("%s: %s\n", what, strerror(errno));
		_exit(0);
	}
	wait(&status);
	if (status)
		say_status(what, status);
}

/* The program with one field changed. */
static void
mutated(const char *what, long offset, long value, int bytes)
{
	char old[8];

	memcpy(old, image + offset, bytes);
	memcpy(image + offset, &value, bytes);
	save("prog", image, size, 0755);
	memcpy(image + offset, old, bytes);
	try(what, "./prog");
}

int
main(int argc, char **argv)
{
	char *many[3] = { "prog", NULL, NULL };
	int fd, status;

	if (argc > 1 && strcmp(argv[0], "prog") == 0)
		return 55;
	if (argc > 1) {                                 /* run by a script, see below */
		for (int i = 1; i < argc; i++)
			say("argv[%d] = %s\n", i, argv[i]);
		return 66;
	}
	fd = open(argv[0], O_RDONLY);
	size = read(fd, image, sizeof image);
	close(fd);
	mkdir("xe", 0755);
	chdir("xe");
	save("prog", image, size, 0755);
	try("whole", "./prog");
	save("prog", image, size, 0644);
	try("no x", "./prog");
	try("directory", ".");
	try("missing", "./none");
	try("below a file", "./prog/x");
	try("device", "/dev/null");
	try("empty name", "");
	save("prog", image, 0, 0755);
	try("empty", "./prog");
	save("prog", "hello, this is text\n", 20, 0755);
	try("text", "./prog");
	save("prog", image, 3, 0755);
	try("3 bytes", "./prog");
	save("prog", image, 40, 0755);
	try("40 bytes", "./prog");
	save("prog", image, 63, 0755);
	try("63 bytes", "./prog");
	save("prog", image, 64, 0755);
	try("64 bytes", "./prog");
	mutated("magic", 0, 0x46, 1);
	mutated("no program headers", offsetof(Elf64_Ehdr, e_phnum), 0, 2);
	mutated("64000 program headers", offsetof(Elf64_Ehdr, e_phnum), 64000, 2);
	mutated("header size", offsetof(Elf64_Ehdr, e_phentsize), 32, 2);
	mutated("headers far away", offsetof(Elf64_Ehdr, e_phoff), 0x7fffffffffff, 8);
	mutated("machine", offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, 2);
	mutated("type", offsetof(Elf64_Ehdr, e_type), ET_REL, 2);

	memset(image, 'x', 200000);
	image[200000] = 0;
	many[1] = image;
	if (fork() == 0) {
		execve(argv[0], many, env);
		say("one argument of 200000 bytes: %s\n", strerror(errno));
		_exit(0);
	}
	wait(&status);

	snprintf(image, sizeof image, "#!%s one two  \necho no\n", argv[0]);
	save("script", image, strlen(image), 0755);
	try("script", "./script");
	save("script", "#!/none/such\n", 13, 0755);
	try("no interpreter", "./script");
	save("script", "#!\n", 3, 0755);
	try("empty interpreter", "./script");
	save("script", "#! ./script\n", 12, 0755);
	try("its own interpreter", "./script");
	unlink("prog");
	unlink("script");
	chdir("..");
	CALL(rmdir("xe"));
	return 0;
}
