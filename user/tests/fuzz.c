/* fuzz.c - random system calls with random arguments: no panic, no hang, no leak.            (lab 11)
 *
 * Idea.       fuzz CALLS SEED [WORKERS]. Workers call whatever the dice say, with arguments from a pool of things that are
 *             almost right: good and bad pointers, descriptors of several kinds, lengths around the limits. The master
 *             looks at a shared counter; a worker that makes no progress (it waits for something that never comes) or
 *             died is replaced by one with another seed.
 * Invariants. Calls that would end the test for everybody are not made: kill and its kin, reboot, setsid, setpgid.
 *             A child of a random fork ends at once. No worker holds a descriptor of the terminal.
 *
 * There is no host run: Linux would do as asked.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 8, NCALLS = 335 };

struct shared { volatile unsigned long done[WORKERS_MAX]; };

static struct shared *shared;
static uint64_t dice;
static char buffer[16384] __attribute__((aligned(4096)));
static const char *const paths[] = { "/tmp/fuzz/a", "/tmp/fuzz/b", "/tmp/fuzz/d", "/tmp/fuzz/d/x", ".", "", "/", "/proc/self/stat",
	"/dev/null", "/dev/zero", "/tmp/fuzz/none/none", "/bin/true", "//tmp/../tmp/fuzz/./a", "/proc/1/cmdline" };

static uint64_t
roll(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice;
}

/* Calls that end the test itself, that wait by design, or that set the clock for the tests after us. */
static int
forbidden(long nr)
{
	static const short list[] = { 15, 34, 60, 62, 109, 112, 129, 130, 169, 200, 231, 234, 297, 101, 23, 7, 35, 230, 270,
		271, 128, 202, 159, 164, 227, 305 };

	for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
		if (list[i] == nr)
			return 1;
	return 0;
}

static uint64_t
argument(void)
{
	uint64_t r = roll();

	switch (r >> 8 & 15) {
	case 0: case 1: case 2:
		return (uint64_t)buffer + (r >> 16) % sizeof buffer;
	case 3: case 4:
		return (uint64_t)paths[(r >> 16) % (sizeof paths / sizeof paths[0])];
	case 5: case 6: case 7:
		return (r >> 16) % 24 + 3;                              /* a descriptor, perhaps */
	case 8:
		return (uint64_t)-1 - (r >> 16) % 4096;
	case 9:
		return 0xffff800000000000u + (r >> 16) % (1ul << 46);   /* kernel memory */
	case 10:
		return 0x00007ffffffff000u - (r >> 16) % 8192;          /* the edge of user memory */
	case 11:
		return 1ul << ((r >> 16) & 63);
	case 12:
		return r;
	case 13:
		return (uint64_t)buffer + sizeof buffer - (r >> 16) % 64;
	case 14:
		return (r >> 16) % 65536;
	default:
		return (r >> 16) % 3;
	}
}

static void
descriptors(void)
{
	int p[2];

	open("/tmp/fuzz/a", O_RDWR | O_CREAT, 0644);
	open("/tmp/fuzz", O_RDONLY);
	open("/dev/zero", O_RDWR);
	open("/proc/self/stat", O_RDONLY);
	open("/tests/fuzz", O_RDONLY);
	if (pipe(p) == 0) {
		fcntl(p[0], F_SETFL, O_NONBLOCK);
		fcntl(p[1], F_SETFL, O_NONBLOCK);
	}
}

static void
one_call(int me)
{
	long nr = roll() % NCALLS;
	uint64_t a = argument(), b = argument(), c = argument(), d = argument(), e = argument(), f = argument();

	if (forbidden(nr))
		return;
	if (nr == SYS_clone || nr == SYS_clone3)
		nr = SYS_fork;
	if (nr == SYS_wait4)
		c |= WNOHANG;
	if (nr == SYS_vfork) {
		if (vfork() == 0)
			_exit(0);
		return;
	}
	if (nr == SYS_nanosleep || nr == SYS_pause)
		return;
	syscall(nr, a, b, c, d, e, f);
	if (getpid() != me)
		_exit(0);
}

static void
worker(int slot, uint64_t seed, unsigned long calls)
{
	int me, null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	me = getpid();
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			close(fd);            /* without a /dev/null */
	chdir("/tmp/fuzz");
	descriptors();
	dice = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
	for (unsigned long i = 0; i < calls; i++) {
		if (i % 512 == 0)
			descriptors();
		one_call(me);
		shared->done[slot]++;
	}
	_exit(0);
}

static unsigned long
total(void)
{
	unsigned long n = 0;

	for (int i = 0; i < WORKERS_MAX; i++)
		n += shared->done[i];
	return n;
}

static int
start(int slot, uint64_t *seed)
{
	int pid;

	*seed += 1;
	pid = fork();
	if (pid == 0)
		worker(slot, *seed, 5000);
	return pid;
}

int
main(int argc, char **argv)
{
	unsigned long calls = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
	uint64_t seed = argc > 2 ? strtoul(argv[2], NULL, 10) * 1000003 : 1;
	int workers = argc > 3 ? atoi(argv[3]) : 2;
	struct timespec tick = { 0, 20000000 };
	unsigned long seen[WORKERS_MAX] = { 0 };
	int pid[WORKERS_MAX], idle[WORKERS_MAX] = { 0 };

	if (workers < 1 || workers > WORKERS_MAX)
		workers = WORKERS_MAX;
	mkdir("/tmp/fuzz", 0755);
	mkdir("/tmp/fuzz/d", 0755);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		printf("no shared memory\n");
		return 1;
	}
	for (int i = 0; i < workers; i++)
		pid[i] = start(i, &seed);
	while (total() < calls) {
		nanosleep(&tick, NULL);
		for (int i = 0; i < workers; i++) {
			int ended = pid[i] < 0 || waitpid(pid[i], NULL, WNOHANG) == pid[i];

			idle[i] = shared->done[i] == seen[i] ? idle[i] + 1 : 0;
			seen[i] = shared->done[i];
			if (!ended && idle[i] < 10)
				continue;
			if (!ended) {
				kill(-pid[i], SIGKILL);
				kill(pid[i], SIGKILL);
				waitpid(pid[i], NULL, 0);
			}
			idle[i] = 0;
			pid[i] = start(i, &seed);
		}
	}
	for (int i = 0; i < workers; i++) {
		if (pid[i] <= 0)
			continue;
		kill(-pid[i], SIGKILL);
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	printf("ok\n");
	return 0;
}
