/* main.c - where the shell starts, its memory, its errors.
 *
 * Interface.  sh [-eix] [FILE [ARG...]]    commands from FILE, or from standard input (with prompts at a terminal)
 *             sh [-ex] -c TEXT [NAME [ARG...]]
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "user/sh/sh.h"

#define CHUNK 8000

bool interactive, option_e, option_x;
volatile int interrupted;
int last_status, arg_count;
char **args, *arg_zero;

static jmp_buf prompt;                  /* where an interactive shell goes on after an error */

/* ---- memory: chunks in a stack, the newest first */

struct chunk {
	struct chunk *older;
	size_t size;
	char data[] __attribute__((aligned(16)));
};

static struct chunk *newest;
static char *mem_at;

void *
mem_alloc(size_t n)
{
	char *p;

	n = (n + 15) & ~15ul;
	if (!newest || n > (size_t)(newest->data + newest->size - mem_at)) {
		size_t size = n > CHUNK ? n : CHUNK;
		struct chunk *c = malloc(sizeof *c + size);

		if (!c)
			fail(2, "out of memory");
		c->older = newest;
		c->size = size;
		newest = c;
		mem_at = c->data;
	}
	p = mem_at;
	mem_at += n;
	return p;
}

char *
mem_string(const char *s, size_t n)
{
	char *p = mem_alloc(n + 1);

	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

struct mark
mem_mark(void)
{
	return (struct mark){ newest, mem_at };
}

void
mem_release(struct mark m)
{
	while (newest != m.chunk) {
		struct chunk *c = newest;

		newest = c->older;
		free(c);
	}
	mem_at = m.at;
}

/* ---- errors */

static void
vcomplain(const char *f, va_list ap)
{
	fflush(stdout);
	dprintf(2, "sh: ");
	vdprintf(2, f, ap);
	dprintf(2, "\n");
}

void
complain(const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	vcomplain(f, ap);
	va_end(ap);
}

/* Give the current command up: back to the prompt, or out. After ^C there is nothing to complain about. */
void
fail(int status, const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	if (!interrupted)
		vcomplain(f, ap);
	va_end(ap);
	last_status = interrupted ? 130 : status;
	if (interactive)
		longjmp(prompt, 1);
	exit(last_status);
}

void
shell_exit(int status)
{
	fflush(stdout);
	exit(status);
}

/* ---- running text */

int
run_text(const char *text)
{
	struct mark m = mem_mark();
	struct source *s = source_string(text);
	bool end = false;

	while (!end && flow == FLOW_NONE && !interrupted) {
		struct node *n = parse_command(s, &end);

		if (n)
			last_status = run(n, false);
	}
	mem_release(m);
	return last_status;
}

/* Run commands from a file until its end. With prompts, errors and ^C lead back to the prompt. */
int
run_file(int fd, bool prompts)
{
	static struct source *s;
	static struct mark m;
	struct source *outer = s;
	struct mark outer_mark = m;
	bool end = false;

	s = source_fd(fd, prompts);
	m = mem_mark();
	if (prompts && setjmp(prompt)) {
		run_reset();
		source_drop_line(s);
		mem_release(m);
	}
	while (!end && flow == FLOW_NONE) {
		struct node *n;

		if (prompts) {
			job_report();
			interrupted = 0;
		}
		n = parse_command(s, &end);
		if (interrupted)
			write(2, "\n", 1);
		else if (n)
			last_status = run(n, false);
		mem_release(m);
	}
	s = outer;
	m = outer_mark;
	return last_status;
}

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* Where there is no ioctl yet (early labs), a shell without a script is taken to be at a terminal. */
static bool
at_terminal(void)
{
	return isatty(0) || errno == ENOSYS;
}

static int
open_script(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), high;

	if (fd < 0) {
		complain("%s: %s", path, strerror(errno));
		exit(errno == ENOENT ? 127 : 126);
	}
	high = fcntl(fd, F_DUPFD_CLOEXEC, 10);  /* out of the way of the script's own descriptors */
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

static void
start_interactive(void)
{
	struct sigaction act = { .sa_handler = on_interrupt };

	interactive = true;
	sigaction(SIGINT, &act, NULL);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	job_init();
}

int
main(int argc, char **argv)
{
	char *text = NULL;
	int opt;

	var_init(environ);
	arg_zero = argv[0];
	while ((opt = getopt(argc, argv, "c:eixs")) != -1) {
		switch (opt) {
		case 'c': text = optarg; break;
		case 'e': option_e = true; break;
		case 'x': option_x = true; break;
		case 'i': interactive = true; break;
		case 's': break;
		default: return 2;
		}
		if (text)
			break;
	}
	args = argv + optind;
	arg_count = argc - optind;
	if (arg_count > 0) {
		arg_zero = *args++;
		arg_count--;
	}
	if (text)
		shell_exit(run_text(text));
	if (optind < argc)
		shell_exit(run_file(open_script(arg_zero), false));
	if (interactive || at_terminal())
		start_interactive();
	run_file(0, interactive);
	if (interactive)
		write(2, "\n", 1);
	shell_exit(last_status);
}
