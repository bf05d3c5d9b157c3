/* main.c - a shell: where it starts, its memory, its errors.
 *
 * Idea.       characters --parse.c--> tree --run.c--> processes.
 *             On the way expand.c makes arguments of a command's words, with the variables' values; run.c
 *             also has the jobs, and here are the builtins. Read in that order.
 *             Memory is one array, filled from the start: when a command has run, all that was made for it is
 *             given back at once, by setting mem_used to what it was before.
 *             An error anywhere calls fail(), which ends the command: back to the prompt, or the shell ends.
 * Interface.  sh [FILE [ARG...]]           commands from FILE or standard input (at a terminal: with prompts)
 *             sh -c TEXT [NAME [ARG...]]
 * Language.   a | b    a && b    a || b    a ; b    a &    ! a    ( list )    { list; }    # comment
 *             if list; then list; elif list; then list; else list; fi    for x in words; do list; done
 *             while list; do list; done    until list; do list; done
 *             <file  >file  >>file  2>file  2>&1  3<&-    NAME=value  $NAME  ${NAME}  $1 $# $@ $* $? $$ $!
 *             'quoted'  "quoted $x"  \c  *.[ch]?  ~  $(command)    and the builtins below
 *             Functions, case, break, here-documents, $((...)), ${x:-y}, `...`, set, trap are not here, and
 *             are refused: the image has BusyBox's shell, `busybox sh`, for whoever wants them.
 */
#include "user/sh/sh.h"

#define DEPTH_MAX 500

bool interactive;
volatile bool interrupted;
int last_status, depth;
int arg_count;
char **args;
pid_t shell_pid;

/* ---- memory ---- */

static char mem[2 << 20] __attribute__((aligned(16)));
size_t mem_used;

void *
mem_alloc(size_t n)
{
	char *p = mem + mem_used;

	n = (n + 15) & ~15ul;
	if (n > sizeof mem - mem_used)
		fail("out of memory");
	mem_used += n;
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

struct buf
buf_new(void)
{
	return (struct buf){ mem_alloc(16), 0, 16 };
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	while (b->n + n + sizeof(char *) > b->size) {   /* the zeros behind it are a NULL */
		b->s = memcpy(mem_alloc(b->size * 2), b->s, b->n);
		b->size *= 2;
	}
	memcpy(b->s + b->n, p, n);
	b->n += n;
}

/* ---- errors ---- */

static jmp_buf prompt;                  /* where an interactive shell goes on after an error */

void
give_up(int status)
{
	last_status = status;
	if (interactive)
		longjmp(prompt, 1);
	exit(status);
}

void
check_limits(void)
{
	if (interrupted)
		give_up(128 + SIGINT);
	if (depth > DEPTH_MAX)
		fail("nested too deeply");
}

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupted = true;
}

/* ---- reading and running ---- */

int
run_input(struct input *in)
{
	const size_t mark = mem_used;
	struct node *n;

	do {
		mem_used = mark;
		if (interactive)
			builtin_jobs(NULL);
		n = parse_line(in);
		if (in->fd == 0)
			job_text = in->text.s;
		if (n)
			run(n);
	} while (in->more || in->pos < in->text.n);
	return last_status;
}

/* ---- builtins: what must act on the shell itself, or is faster so ---- */

static int
builtin_true(char **argv)
{
	(void)argv;
	return 0;
}

static int
builtin_echo(char **argv)
{
	bool newline = !argv[1] || strcmp(argv[1], "-n") != 0;

	for (argv += newline ? 1 : 2; *argv; argv++)
		printf("%s%s", *argv, argv[1] ? " " : "");
	printf(newline ? "\n" : "");
	return fflush(stdout) ? 1 : 0;
}

static int
builtin_cd(char **argv)
{
	const char *dir = argv[1] ? argv[1] : var_get("HOME");

	if (chdir(dir) == 0)
		return 0;
	complain("cd: %s: %s", dir, strerror(errno));
	return 1;
}

static int
builtin_exit(char **argv)
{
	exit(argv[1] ? atoi(argv[1]) : last_status);
}

/* export NAME[=VALUE]... */
static int
builtin_export(char **argv)
{
	while (*++argv)
		var_assign(strchr(*argv, '=') ? *argv : join(*argv, "=", var_get(*argv)), true);
	return 0;
}

/* read NAME...: a word of the line for each, and what remains for the last. */
static int
builtin_read(char **argv)
{
	struct buf line = buf_new();
	ssize_t got;
	size_t n;
	char c, *p;

	while ((got = read(0, &c, 1)) == 1 && c != '\n')        /* what follows belongs to whoever reads next */
		buf_add(&line, c ? &c : " ", 1);
	check_limits();
	for (p = line.s + line.n; p > line.s && isblank(p[-1]); )
		*--p = 0;
	p = line.s;
	while (*++argv) {
		p += strspn(p, " \t");
		n = argv[1] ? strcspn(p, " \t") : strlen(p);
		var_assign(join(*argv, "=", mem_string(p, n)), false);
		p += n;
	}
	return got != 1;
}

/* . FILE: run its commands in this shell; main() does the same with a script. */
static int
builtin_dot(char **argv)
{
	int fd = argv[1] ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	struct input in = { .fd = fcntl(fd, F_DUPFD_CLOEXEC, 10), .more = true };       /* 3 to 9 are the user's */

	close(fd);
	if (in.fd < 0) {
		complain("%s: cannot be opened", argv[1] ? argv[1] : "no file");
		return 127;
	}
	last_status = 0;
	run_input(&in);
	close(in.fd);
	return last_status;
}

/* exec [PROGRAM [ARG...]]: run.c leaves its redirections as they are. */
int
builtin_exec(char **argv)
{
	if (argv[1])
		exec_program(argv + 1);
	return 0;
}

builtin_fn *
builtin_find(const char *name)
{
	static const struct { const char *name; builtin_fn *fn; } table[] = {
		{ ":", builtin_true }, { "true", builtin_true }, { "echo", builtin_echo }, { "cd", builtin_cd },
		{ "exit", builtin_exit }, { "export", builtin_export }, { "read", builtin_read }, { ".", builtin_dot },
		{ "exec", builtin_exec }, { "jobs", builtin_jobs }, { "fg", builtin_fg }, { "bg", builtin_fg },
		{ "wait", builtin_wait },
		/* these would be misunderstood as programs */
		{ "alias", NULL }, { "break", NULL }, { "continue", NULL }, { "eval", NULL }, { "getopts", NULL },
		{ "local", NULL }, { "readonly", NULL }, { "return", NULL }, { "set", NULL }, { "shift", NULL },
		{ "trap", NULL }, { "umask", NULL }, { "unset", NULL },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (strcmp(table[i].name, name) != 0)
			continue;
		if (!table[i].fn)
			unsupported("%s", name);
		return table[i].fn;
	}
	return NULL;
}

/* ---- the start ---- */

int
main(int argc, char **argv)
{
	static struct input in = { .more = true };
	bool text = argc > 2 && strcmp(argv[1], "-c") == 0;
	int before = !text ? argc > 1 : argc > 3 ? 3 : 0;       /* how many words before $0? */

	shell_pid = getpid();
	for (char **e = environ; *e; e++) {
		if (name_length(*e) > 0 && (*e)[name_length(*e)] == '=' && strncmp(*e, "IFS=", 4) != 0)
			var_assign(*e, true);
	}
	args = argv + before;
	arg_count = text && !before ? 1 : argc - before;
	if (text)
		exit(run_input(&(struct input){ .text = { argv[2], strlen(argv[2]), 0 } }));
	if (argc > 1 && *argv[1] == '-')
		unsupported("the option %s", argv[1]);
	if (argc > 1)
		exit(builtin_dot(argv));
	if (isatty(0) || errno == ENOSYS) {     /* early labs do not know terminals: take it for one */
		interactive = true;
		job_init();
		sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_interrupt }, NULL);     /* ends a read() */
	}
	if (interactive && setjmp(prompt)) {    /* here an error or ^C leads */
		dprintf(2, interrupted ? "\n" : "");
		redirect_undo(0);
		mem_used = depth = interrupted = 0;
		in = (struct input){ .more = true };
	}
	run_input(&in);
	if (interactive)
		dprintf(2, "\n");
	exit(last_status);
}
