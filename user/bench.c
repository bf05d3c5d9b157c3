/* bench.c - what one operation costs: bench [-d DIR] [NAME...]
 *
 * Idea.       Each row repeats one thing in batches and keeps the best batch's time for one operation. Under QEMU with
 *             `-icount shift=0` one guest instruction is one nanosecond, so that the same numbers are instruction
 *             counts which repeat exactly; `make bench` runs it so. Runs on Linux too.
 * Output.     NAME<TAB>VALUE, one line a row; a row that cannot run prints NAME<TAB>-.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 5
#define KIB 1024

static const char *self = "/bin/bench";
static char dir[128] = "/tmp";
static char path[160];
static char buf[256 * KIB];
static int fd, to[2], from[2];
static int peer;

static long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static const char *
in_dir(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

/* ---- rows: each does n operations; set-up returns 0 when the row can run ---- */

static void
do_getppid(int n)
{
	while (n--)
		getppid();
}

static int
open_zero(void)
{
	return (fd = open("/dev/zero", O_RDONLY)) < 0;
}

static void
do_read1(int n)
{
	while (n--)
		read(fd, buf, 1);
}

static void
close_fd(void)
{
	close(fd);
}

static void
do_stat(int n)
{
	struct stat st;

	while (n--)
		stat("/bin", &st);
}

static void
do_open_close(int n)
{
	while (n--)
		close(open("/bin/bench", O_RDONLY));
}

static int
start_peer(void)
{
	if (pipe(to) < 0 || pipe(from) < 0)
		return 1;
	peer = fork();
	if (peer == 0) {
		close(to[1]);
		while (read(to[0], buf, 1) == 1)
			write(from[1], buf, 1);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	return peer < 0;
}

static void
do_round_trip(int n)
{
	while (n--) {
		write(to[1], buf, 1);
		read(from[0], buf, 1);
	}
}

static void
stop_peer(void)
{
	close(to[1]);
	close(from[0]);
	waitpid(peer, NULL, 0);
}

static int
start_sink(void)
{
	if (pipe(to) < 0)
		return 1;
	peer = fork();
	if (peer == 0) {
		close(to[1]);
		while (read(to[0], buf, 64 * KIB) > 0)
			;
		_exit(0);
	}
	close(to[0]);
	from[0] = -1;
	return peer < 0;
}

static void
do_pipe_kib(int n)
{
	for (int left = n; left > 0; left -= 64)
		write(to[1], buf, 64 * KIB);
}

static void
do_fork(int n)
{
	while (n--) {
		int pid = fork();
		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static void
do_fork_exec(int n)
{
	while (n--) {
		int pid = fork();
		if (pid == 0) {
			execl(self, self, "--true", (char *)NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
}

static void
do_fault(int n)
{
	char *p = mmap(NULL, n * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < n; i++)
		p[i * 4096L] = 1;
	munmap(p, n * 4096L);
}

static void
do_mmap(int n)
{
	while (n--)
		munmap(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536);
}

static volatile int hits;

static void
on_usr1(int sig)
{
	(void)sig;
	hits++;
}

static int
set_handler(void)
{
	int before = hits;

	if (signal(SIGUSR1, on_usr1) == SIG_ERR)
		return 1;
	kill(getpid(), SIGUSR1);
	return hits == before;
}

static void
do_signal(int n)
{
	int me = getpid();

	while (n--)
		kill(me, SIGUSR1);
}

static void
do_create(int n)
{
	in_dir("bench.new");
	while (n--) {
		int f = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
		write(f, buf, 4096);
		close(f);
		unlink(path);
	}
}

static int
open_file(void)
{
	return (fd = open(in_dir("bench.file"), O_CREAT | O_RDWR | O_TRUNC, 0644)) < 0 ||
		write(fd, buf, 4096) != 4096;
}

static void
do_fsync(int n)
{
	while (n--) {
		pwrite(fd, buf, 4096, 0);
		fsync(fd);
	}
}

static void
do_write_kib(int n)
{
	lseek(fd, 0, SEEK_SET);
	for (int left = n; left > 0; left -= 64)
		write(fd, buf, 64 * KIB);
	fsync(fd);
}

static void
do_read_kib(int n)
{
	lseek(fd, 0, SEEK_SET);
	for (int left = n; left > 0; left -= 64)
		read(fd, buf, 64 * KIB);
}

static int
open_big(void)
{
	if (open_file())
		return 1;
	do_write_kib(8 * KIB);
	return 0;
}

static void
remove_file(void)
{
	close(fd);
	unlink(in_dir("bench.file"));
}

/* ---- the table and its runner ---- */

static const struct row {
	const char *name;
	int (*setup)(void);
	void (*run)(int n);
	void (*cleanup)(void);
	int n;                     /* operations in a batch */
} rows[] = {
	{ "getppid", NULL, do_getppid, NULL, 10000 },
	{ "read 1 byte of /dev/zero", open_zero, do_read1, close_fd, 5000 },
	{ "stat /bin", NULL, do_stat, NULL, 2000 },
	{ "open+close", NULL, do_open_close, NULL, 1000 },
	{ "pipe round trip", start_peer, do_round_trip, stop_peer, 500 },
	{ "pipe, per KiB", start_sink, do_pipe_kib, stop_peer, 4096 },
	{ "fork+exit+wait", NULL, do_fork, NULL, 50 },
	{ "fork+exec+exit+wait", NULL, do_fork_exec, NULL, 20 },
	{ "page fault", NULL, do_fault, NULL, 1024 },
	{ "mmap+munmap", NULL, do_mmap, NULL, 1000 },
	{ "signal to self", set_handler, do_signal, NULL, 1000 },
	{ "create+write 4 KiB+close+unlink", NULL, do_create, NULL, 100 },
	{ "write 4 KiB+fsync", open_file, do_fsync, remove_file, 50 },
	{ "write+fsync, per KiB", open_file, do_write_kib, remove_file, 8 * KIB },
	{ "read cached, per KiB", open_big, do_read_kib, remove_file, 8 * KIB },
};

static void
run(const struct row *r)
{
	long best = -1;

	if (r->setup && r->setup()) {
		printf("%s\t-\n", r->name);
		return;
	}
	for (int i = 0; i < BATCHES; i++) {
		long t = now();
		r->run(r->n);
		t = now() - t;
		if (best < 0 || t < best)
			best = t;
	}
	if (r->cleanup)
		r->cleanup();
	printf("%s\t%ld\n", r->name, best / r->n);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	int first = 1;

	if (argc > 1 && strcmp(argv[1], "--true") == 0)
		_exit(0);
	if (argv[0][0] == '/')
		self = argv[0];
	if (argc > 2 && strcmp(argv[1], "-d") == 0) {
		snprintf(dir, sizeof dir, "%s", argv[2]);
		first = 3;
	}
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bool wanted = first == argc;
		for (int a = first; a < argc; a++)
			wanted |= strstr(rows[i].name, argv[a]) != NULL;
		if (wanted)
			run(&rows[i]);
	}
	printf("bench: done\n");
	return 0;
}
