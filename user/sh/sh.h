/* sh.h - the shell: what its files share. main.c tells the whole story. */
#pragma once
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* ---- main.c: memory, errors, state of the whole shell ---- */

struct mark { void *chunk; char *at; };
struct text { char *s; size_t n, size; };       /* a growing string; s[n] is 0 */
struct list { char **items; int n, size; };     /* growing arguments; items[n] is NULL */
struct args { int count; char **list; };

extern bool interactive, option_e, option_x;
extern volatile int interrupted;                /* ^C came */
extern int last_status, depth;                  /* $?; how deeply the parser and run() are nested */
extern struct args args;                        /* $1 ... */
extern char *arg_zero;

void *mem_alloc(size_t n);                      /* zeroed; lives until mem_release of an older mark */
char *mem_string(const char *s, size_t n);
char *join(const char *a, const char *b, const char *c);
struct mark mem_mark(void);
void mem_release(struct mark m);
void text_put(struct text *t, char c);
void text_read(struct text *t, int fd);         /* all that comes */
void list_add(struct list *l, char *s);

void complain(const char *f, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail(int status, const char *f, ...) __attribute__((format(printf, 2, 3)));
void check_limits(void);                        /* fails after ^C, and when nested too deeply */
int run_text(const char *text);
int run_file(const char *path);          /* -1: it cannot be opened */
_Noreturn void shell_exit(int status);

/* ---- parse.c: text becomes a tree ---- */

enum node_kind {
	N_SIMPLE,               /* words redirs */
	N_PIPE,                 /* left | right */
	N_AND, N_OR,            /* left && right, left || right */
	N_LIST,                 /* left ; right */
	N_BACKGROUND,           /* left & */
	N_NOT,                  /* ! left */
	N_SUBSHELL,             /* ( left ) */
	N_REDIRECTED,           /* a compound command with redirections: left redirs */
	N_IF,                   /* if cond; then left; else right; fi */
	N_WHILE, N_UNTIL,       /* while cond; do left; done */
	N_FOR,                  /* for words[0] in words[1...]; do left; done */
	N_CASE,                 /* case words[0] in right esac */
	N_ITEM,                 /* words[0] | words[1]...) left;; and the next item: right */
	N_FUNCTION,             /* words[0]() text */
};

struct word {
	struct word *next;
	char *text;             /* as written, quotes and all */
};

struct redir {
	struct redir *next;
	int fd;                 /* which descriptor is changed */
	char *op;               /* < > >> <& >& << <<- */
	char *text;             /* the word; of << the body */
	bool quoted;            /* <<: its delimiter was, so the body is not expanded */
};

struct node {
	enum node_kind kind;
	struct node *cond, *left, *right;
	struct word *words;
	struct redir *redirs;
	char *text;             /* as written: for lists of jobs; of N_FUNCTION the body */
};

struct node *parse_line(const char **text);     /* to the end of a line, and moves there. NULL: it is empty */
struct node *parse_input(bool *end);            /* a line from standard input, and more if it needs more */
const char *skip(const char *p);                /* the end of a character, or a quoted or bracketed piece */
size_t name_length(const char *s);              /* how long a variable's name is s? */

/* ---- expand.c: words become arguments ---- */

char **expand_words(struct word *w, int *count);        /* with splitting and file names; ends in NULL */
char *expand_string(const char *text);                  /* one string, no splitting */
char *expand_pattern(const char *text);                 /* for pattern_match: what was quoted has a \ */
char *expand_here(const char *text);                    /* quotes are ordinary */
bool pattern_match(const char *pattern, const char *s);

/* ---- var.c: variables and arithmetic ---- */

const char *var_get(const char *name);          /* also $? $# $1...; NULL: unset */
void var_set(const char *name, const char *value);      /* NULL: unset it */
void var_export(const char *name);
char **var_environment(void);
void var_init(char **env);
char *decimal(long n);
long arith(const char *expression);

/* ---- run.c: trees are run ---- */

enum flow { FLOW_NONE, FLOW_BREAK, FLOW_CONTINUE, FLOW_RETURN };
extern enum flow flow;                          /* one of these is on its way out ... */
extern int flow_count;                          /* ... through so many loops */

int run(struct node *n);
void run_reset(void);                           /* after fail(): be as at the prompt */
_Noreturn void exec_program(char **argv);
char *capture(const char *text);                /* the output of a command, for $(...) */
char *function_name(const char *name);          /* the variable that holds a function's text */

/* ---- job.c: processes in groups ---- */

#define JOB_MAX 32

struct job {
	struct job *next;               /* in the list of those in the background */
	int id;                         /* its number there; 0: it is not there */
	char *text;
	pid_t group;                    /* 0: the shell's */
	pid_t pids[JOB_MAX], last;      /* the processes not yet waited for; the last of the pipeline */
	int count;
	int status;                     /* of the last, or the stopped one, as waitpid told */
	bool stopped;
};

extern pid_t last_background;                   /* $! */

void job_init(void);
pid_t job_fork(struct job *j, bool background); /* as fork; the child becomes part of the job */
int job_wait(struct job *j);                    /* in the foreground. Returns: its last process's status */
void job_background(struct job *j);
void job_report(void);                          /* before a prompt: say what has ended, and forget it */

/* ---- builtin.c ---- */

typedef int builtin_fn(char **argv);
builtin_fn builtin_jobs, builtin_fg, builtin_wait;      /* in job.c */
builtin_fn *builtin_find(const char *name);     /* NULL: not built in */
