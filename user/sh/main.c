/* main.c - a shell: where it starts, its memory, its errors.
 *
 * Idea.       text --parse.c--> tree --run.c--> processes, which job.c waits for.
 *             On the way expand.c makes arguments of a command's words, with the variables of var.c;
 *             builtin.c has the commands that must act on the shell itself.
 *             Memory is one stack: what a command allocated goes when it has run, so that nothing is freed
 *             piece by piece. What lives longer (variables, functions, jobs) comes from malloc.
 *             An error anywhere calls fail(), which gives the whole command up: back to the prompt, or out.
 * Interface.  sh [-eix] [FILE [ARG...]]    commands from FILE or standard input (at a terminal: with prompts)
 *             sh [-ex] -c TEXT [NAME [ARG...]]
 */
#include "user/sh/sh.h"

#define CHUNK     8000
#define DEPTH_MAX 1000

bool interactive, option_e, option_x;
volatile int interrupted;
int last_status, depth;
struct args args;
char *arg_zero;

/* ---- memory: chunks in a stack, the newest first ---- */

struct chunk {
	struct chunk *older;
	char *end;
	char data[] __attribute__((aligned(16)));
};

static struct mark top;                 /* the newest chunk, and where its free part begins */

void *
mem_alloc(size_t n)
{
	struct chunk *c = top.chunk;
	char *p;

	n = (n + 15) & ~15ul;
	if (!c || n > (size_t)(c->end - top.at)) {
		size_t size = n > CHUNK ? n : CHUNK;

		c = malloc(sizeof *c + size);
		if (!c)
			fail(2, "out of memory");
		c->older = top.chunk;
		c->end = c->data + size;
		top = (struct mark){ c, c->data };
	}
	p = top.at;
	top.at += n;
	return memset(p, 0, n);
}

char *
mem_string(const char *s, size_t n)
{
	return memcpy(mem_alloc(n + 1), s, n);
}

char *
join(const char *a, const char *b, const char *c)
{
	char *s = mem_alloc(strlen(a) + strlen(b) + strlen(c) + 1);

	return strcat(strcat(strcpy(s, a), b), c);
}

struct mark
mem_mark(void)
{
	return top;
}

void
mem_release(struct mark m)
{
	while (top.chunk != m.chunk) {
		struct chunk *c = top.chunk;

		top.chunk = c->older;
		free(c);
	}
	top.at = m.at;
}

void
text_put(struct text *t, char c)
{
	if (t->n + 1 >= t->size) {
		t->size = t->size ? t->size * 2 : 32;
		t->s = memcpy(mem_alloc(t->size), t->s, t->n);
	}
	t->s[t->n++] = c;
}

/* Append all that can be read. A NUL means nothing: a string could not hold it. */
void
text_read(struct text *t, int fd)
{
	char buf[512];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR)) {
		check_limits();
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i])
				text_put(t, buf[i]);
		}
	}
}

void
list_add(struct list *l, char *s)
{
	if (l->n + 1 >= l->size) {
		l->size = l->size ? l->size * 2 : 16;
		l->items = memcpy(mem_alloc(l->size * sizeof s), l->items ? l->items : &s, l->n * sizeof s);
	}
	l->items[l->n++] = s;
}

/* ---- errors ---- */

static jmp_buf prompt;                  /* where an interactive shell goes on after an error */

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

void
fail(int status, const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	if (!interrupted)                       /* after ^C there is nothing to complain about */
		vcomplain(f, ap);
	va_end(ap);
	last_status = interrupted ? 130 : status;
	if (interactive)
		longjmp(prompt, 1);
	exit(last_status);
}

void
check_limits(void)
{
	if (interrupted || depth > DEPTH_MAX)
		fail(2, "nested too deeply");
}

void
shell_exit(int status)
{
	exit(fflush(stdout) ? 1 : status);
}

/* ---- running text ---- */

int
run_text(const char *text)
{
	struct mark m = mem_mark();

	while (*text && flow == FLOW_NONE) {
		struct node *n = parse_line(&text);

		if (n)
			last_status = run(n);
		mem_release(m);
	}
	return last_status;
}

/* Run a script. Returns: -1 when it cannot be opened. */
int
run_file(const char *path)
{
	struct text t = { "", 0, 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		complain("%s: %s", path, strerror(errno));
		return -1;
	}
	text_read(&t, fd);
	close(fd);
	last_status = 0;
	return run_text(t.s);
}

/* Run what standard input has, command by command. */
static void
run_input(void)
{
	const struct mark m = mem_mark();
	bool end = false;
	struct node *n;

	if (interactive && setjmp(prompt)) {
		if (interrupted)
			write(2, "\n", 1);
		run_reset();
	}
	while (!end) {
		mem_release(m);
		interrupted = 0;
		if (interactive)
			job_report();
		n = parse_input(&end);
		if (n)
			run(n);
		flow = FLOW_NONE;
	}
}

/* ---- the start ---- */

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

int
main(int argc, char **argv)
{
	char *text = NULL;
	bool asked = false;
	int opt;

	var_init(environ);
	while (!text && (opt = getopt(argc, argv, "c:eixs")) != -1) {
		switch (opt) {
		case 'c': text = optarg; break;
		case 'e': option_e = true; break;
		case 'x': option_x = true; break;
		case 'i': asked = true; break;
		case 's': break;
		default: return 2;
		}
	}
	arg_zero = argv[optind] ? argv[optind] : argv[0];
	args.list = argv + optind + (argv[optind] != NULL);
	args.count = argv + argc - args.list;
	if (text)
		shell_exit(run_text(text));
	if (argv[optind]) {
		if (run_file(arg_zero) < 0)
			shell_exit(errno == ENOENT ? 127 : 126);
		shell_exit(last_status);
	}
	if (asked || isatty(0) || errno == ENOSYS) {    /* early labs do not know terminals: take it for one */
		interactive = true;
		sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_interrupt }, NULL);     /* ends a read() */
		job_init();
	}
	run_input();
	if (interactive)
		write(2, "\n", 1);
	shell_exit(last_status);
}
