/* paths.c - long names, odd slashes, dots.                                                   (lab 7) */
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

static char name[6000];

static const char *
fill(int n, const char *prefix)
{
	snprintf(name, sizeof name, "%s", prefix);
	memset(name + strlen(prefix), 'n', n);
	name[strlen(prefix) + n] = 0;
	name[n + strlen(prefix)] = 0;
	return name;
}

int
main(void)
{
	int depth = 0;

	mkdir("pa", 0755);
	chdir("pa");
	CALL(close(open(fill(255, ""), O_CREAT | O_RDWR, 0644)));
	CALL(access(fill(255, ""), F_OK));
	CALL(unlink(fill(255, "")));
	CALL(open(fill(256, ""), O_CREAT | O_RDWR, 0644));
	CALL(mkdir(fill(256, ""), 0755));
	CALL(access(fill(256, ""), F_OK));
	CALL(mkdir(fill(255, ""), 0755));
	CALL(rmdir(fill(255, "")));
	memset(name, '/', 4095);
	name[4095] = 0;
	CALL(access(name, F_OK));
	name[4095] = '/';
	name[4096] = 0;
	CALL(access(name, F_OK));
	for (int i = 0; i < 4000; i += 2)
		memcpy(name + i, "./", 2);
	name[4000] = 0;
	CALL(access(name, F_OK));
	CALL(access("/../../..", F_OK));
	CALL(access("/..//./../dev/null", F_OK));
	CALL(access("/dev/null/", F_OK));
	CALL(access("/dev/null/..", F_OK));
	CALL(access("//dev///null", F_OK));
	CALL(close(open("odd \t\n\x01\xff name", O_CREAT | O_RDWR, 0644)));
	CALL(unlink("odd \t\n\x01\xff name"));
	while (depth < 100 && mkdir("deep", 0755) == 0 && chdir("deep") == 0)
		depth++;
	say("depth %d\n", depth);
	CHECK(getcwd(name, sizeof name) != NULL && strlen(name) > 500);
	while (depth-- > 0 && chdir("..") == 0)
		rmdir("deep");
	chdir("..");
	CALL(rmdir("pa"));
	return 0;
}
