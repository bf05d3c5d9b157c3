/* sh.h - the shell: what its files share. main.c tells the whole story. */
#pragma once
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* ---- main.c: memory, errors, state of the whole shell ---- */
struct buf { char *s; size_t n, size; };        /* bytes, or a list of strings; a 0 or NULL is behind them */

struct input {                  /* where commands come from: */
	int fd;                 /* a descriptor, read line by line, */
	bool more;              /* when it may have another line, */
	struct buf text;        /* or just the text; else the lines of the command that is being read */
	size_t pos;             /* what is before it was made into tokens */
};

extern bool interactive;
extern volatile bool interrupted;               /* ^C came */
extern int last_status, depth;                  /* $?; how deeply the parser and run() are nested */
extern int arg_count;                           /* of args: $0 $1 ... */
extern char **args;
extern pid_t shell_pid;                         /* $$, in children, too */
extern size_t mem_used;                         /* give memory back: set it to what it was before */

void *mem_alloc(size_t n);                      /* zeroed */
char *mem_string(const char *s, size_t n);
char *join(const char *a, const char *b, const char *c);
struct buf buf_new(void);
void buf_add(struct buf *b, const void *p, size_t n);

#define complain(f, ...) (fflush(stdout), dprintf(2, "sh: " f "\n", ##__VA_ARGS__))
#define fail(f, ...) (complain(f, ##__VA_ARGS__), give_up(2))   /* after the message, this command ends */
#define unsupported(f, ...) fail(f " is not supported, see busybox sh", ##__VA_ARGS__)
_Noreturn void give_up(int status);
void check_limits(void);                        /* gives up after ^C, and when nested too deeply */
int run_input(struct input *in);                /* to its end. Returns: the last status */

/* ---- parse.c: text becomes a tree ---- */
enum node_kind {
	N_SIMPLE,               /* words */
	N_PIPE,                 /* left | right */
	N_NOT,                  /* ! left */
	N_AND, N_OR,            /* left && right, left || right */
	N_BACKGROUND,           /* left & */
	N_LIST,                 /* left ; right */
	N_SUBSHELL,             /* ( left ) */
	N_IF,                   /* if cond; then left; else right; fi */
	N_WHILE,                /* while cond; do left; done */
	N_FOR,                  /* for words[0] in words[1...]; do left; done */
};

struct word {
	struct word *next;
	const char *text;       /* as written, quotes and all */
	const char *op;         /* < > >> <& >& if it is the target of a redirection; = an assignment; else NULL */
	int fd;                 /* which descriptor is redirected */
};

struct node {
	enum node_kind kind;
	struct node *cond, *left, *right;
	struct word *words, **tail;     /* also the redirections; where the next is to be hung */
	bool assigns, has_words;        /* there are assignments, and words that are nothing else */
};

struct node *parse_line(struct input *in);      /* a line, or more if it needs more. NULL: it is empty */
const char *skip(const char *p);                /* a character, or all in quotes or brackets; NULL: no end */

/* ---- expand.c: variables; words become arguments ---- */
size_t name_length(const char *s);              /* how much of s could be a variable's name? */
void var_assign(const char *text, bool export); /* NAME=value */
const char *var_get(const char *name);          /* also $? $# $1 ...; "" if there is none */
char **var_environment(void);                   /* those that programs get */
char **expand_words(struct word *w);            /* with splitting and file names; NULL ends it */
char *expand_string(const char *text);          /* one string, no splitting */

/* ---- run.c: the tree is run; jobs ---- */
int run(struct node *n);                        /* Returns: the exit status */
char *run_captured(const char *text);           /* Returns: what it printed */
void redirect_undo(int level);                  /* 0: all that is redirected in the shell */
_Noreturn void exec_program(char **argv);
void job_init(void);
extern const char *job_text;                    /* what was typed, for new jobs */
extern pid_t last_background;                   /* $! */

/* ---- builtins, in main.c and run.c ---- */
typedef int builtin_fn(char **argv);
builtin_fn *builtin_find(const char *name);     /* NULL: not built in */
builtin_fn builtin_exec, builtin_fg, builtin_wait;
builtin_fn builtin_jobs;                        /* argv NULL: only say what has ended */
