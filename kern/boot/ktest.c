/* ktest.c - runs the tests that the kernel words ask for.                                     (lab 1)
 *
 * Idea.       KTEST() leaves a descriptor in section .ktest; `ktest=` picks from that table. A test that
 *             leaves fewer free pages than it found has failed, whatever it printed.
 */
#include "kern/boot/ktest.h"
#include "kern/boot/bootinfo.h"
#include "lib/kern/string.h"

extern const struct ktest ktest_start[], ktest_end[];          /* kernel.lds */

static const struct ktest *current;
static bool failed;
static uint64_t (*leak_hook)(void);

void
ktest_set_leak_hook(uint64_t (*count)(void))
{
	leak_hook = count;
}

bool
ktest_wanted(void)
{
	return cmdline_get("ktest", NULL, 0) >= 0;
}

static void
say_fail(const char *file, int line)
{
	failed = true;
	kprintf("ktest: %s FAIL %s:%d: ", current->name, file, line);
}

void
ktest_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	say_fail(file, line);
	va_start(ap, fmt);
	kvlog(LOG_INFO, fmt, ap);
	va_end(ap);
	kprintf("\n");
}

/* Does the comma-separated list have the test's name, its lab as "labN", or "all"? */
static bool
chosen(const struct ktest *t, const char *list)
{
	char word[48];
	size_t n;

	for (; *list; list += n + (list[n] == ',')) {
		for (n = 0; list[n] && list[n] != ','; n++)
			;
		strlcpy(word, list, n < sizeof word ? n + 1 : sizeof word);
		if (strcmp(word, t->name) == 0)
			return true;
		if (t->manual)
			continue;
		if (strcmp(word, "all") == 0 || n == 0)
			return true;
		if (strncmp(word, "lab", 3) == 0 && word[3] - '0' == (t->lab < 10 ? t->lab : t->lab / 10)
		    && (t->lab < 10 ? n == 4 : n == 5 && word[4] - '0' == t->lab % 10))
			return true;
	}
	return false;
}

/* Run t once. Returns: bytes that it did not give back. */
static uint64_t
run_once(const struct ktest *t)
{
	uint64_t before = leak_hook ? leak_hook() : 0, after;

	t->fn();
	after = leak_hook ? leak_hook() : 0;
	return after < before ? before - after : 0;
}

/* The first run may grow pools that stay (names, inodes: fs/vfs/pool.c); what is missing after a second one too is a leak. */
static void
run_one(const struct ktest *t)
{
	uint64_t lost;

	current = t;
	failed = false;
	lost = run_once(t);
	if (lost && !failed)
		lost = run_once(t);
	if (lost)
		ktest_fail(__FILE__, __LINE__, "leak: %lu bytes not given back", lost);
	if (!failed)
		kprintf("ktest: %s ok\n", t->name);
}

/* Run what `ktest=` names and leave the machine. Does not return. */
_Noreturn void
ktest_run_and_exit(void)
{
	static char list[BOOT_CMDLINE];
	int ok = 0, bad = 0;

	cmdline_get("ktest", list, sizeof list);
	for (const struct ktest *t = ktest_start; t < ktest_end; t++) {
		if (!chosen(t, list[0] ? list : "all"))
			continue;
		run_one(t);
		if (failed)
			bad++;
		else
			ok++;
	}
	kprintf("ktest: %d ok, %d failed\n", ok, bad);
	debug_exit(bad ? DEBUG_EXIT_TESTS_FAILED : DEBUG_EXIT_OK);
	for (;;)
		asm volatile("hlt");
}
