/* init.c - from the end of boot to the first program.                                          (lab 4)
 *
 * Idea.       kmain's thread becomes the boot CPU's idle thread; a kernel thread goes on from there, because
 *             it may sleep: what upper labs have to do first (find disks, mount the root), then tests if the
 *             kernel words ask for them, else pid 1.
 * Interface.  init_register, init_start.
 */
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/ktest.h"
#include "kern/boot/observe.h"
#include "kern/boot/labinfo.h"
#include "kern/boot/print.h"
#include "kern/proc/exec.h"
#include "kern/proc/sched.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define NHOOK 8
#define MAX_WORD 256

static void (*hooks[NHOOK])(void);
static int nhook;

void
init_register(void (*fn)(void))
{
	assert(nhook < NHOOK);
	hooks[nhook++] = fn;
}

/* Append the words after `--` of the kernel's command line to argv. */
static int
add_init_args(struct exec_args *a)
{
	const char *s = cmdline_init_args();
	char word[MAX_WORD];
	int err = 0;

	while (s && *s && !err) {
		size_t n = 0;

		while (*s == ' ')
			s++;
		for (; *s && *s != ' '; s++)
			if (n < sizeof word - 1)
				word[n++] = *s;
		word[n] = '\0';
		if (n > 0)
			err = exec_args_add(a, word, false);
	}
	return err;
}

/* Try one path as init. Returns: 0 and it runs, or -errno. */
static int
try_init(const char *path)
{
	struct exec_args a = { 0 };
	int err = exec_args_add(&a, path, false);

	if (!err)
		err = add_init_args(&a);
	if (!err)
		err = exec_args_add(&a, "HOME=/", true);
	if (!err)
		err = exec_args_add(&a, "PATH=/bin:/usr/bin", true);
	if (!err)
		err = exec_args_add(&a, "TERM=linux", true);
	if (!err)
		err = exec_first(path, &a);
	exec_args_free(&a);
	return err;
}

/* Start pid 1: the program named by init=, or the first there is of the usual ones. Returns: 0, or -errno of
 * the last try. */
int
init_start(void)
{
	static const char *const usual[] = { "/init", "/sbin/init", "/bin/init", "/bin/sh" };
	char path[MAX_WORD];
	int err = -ENOENT;

	if (cmdline_get("init", path, sizeof path) > 0) {
		err = try_init(path);
		if (err)
			klog(LOG_ERR, "init=%s cannot be started: error %d\n", path, -err);
		return err;
	}
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
		err = try_init(usual[i]);
		if (!err)
			return 0;
		if (err != -ENOENT)
			klog(LOG_ERR, "%s cannot be started: error %d\n", usual[i], -err);
	}
	return err;
}

static void
init_thread(void *arg)
{
	(void)arg;
	labinfo_print();
	for (int i = 0; i < nhook; i++)
		hooks[i]();
	if (observe_wanted())
		observe_run_and_exit();
	if (ktest_wanted())
		ktest_run_and_exit();
	if (init_start() == 0)
		return;
	klog(LOG_ERR, "no program to start: put one into the boot archive as /init, or name it with init=\n");
	debug_exit(DEBUG_EXIT_TESTS_FAILED);
}

/* kmain's last act. */
static _Noreturn void
init_main(void)
{
	struct thread *t = thread_create("boot", init_thread, NULL);

	if (!t)
		panic("no memory for the first thread");
	thread_start(t);
	sched_start_cpu();
}

static void
init_init(void)
{
	main_register(init_main);
}

INITCALL(4, init_init);
