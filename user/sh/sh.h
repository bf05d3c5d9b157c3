/* sh.h - the shell: what its files share.
 *
 * Idea.       text --parse.c--> tree of nodes --run.c--> processes;  words --expand.c--> arguments.
 *             Words keep their quotes until they are expanded, which happens each time they are run.
 *             Memory comes from one stack-like region: what a command allocated goes when it has run.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum node_kind {
	N_SIMPLE,       /* words and redirections */
	N_PIPE,         /* left | right */
	N_AND, N_OR,    /* left && right, left || right */
	N_SEQ,          /* left ; right */
	N_BACKGROUND,   /* left & */
	N_NOT,          /* ! left */
	N_SUBSHELL,     /* ( left ) redirections */
	N_GROUP,        /* { left } redirections; also what carries the redirections of if, while, ... */
	N_IF,           /* if cond; then left; else right */
	N_WHILE, N_UNTIL, /* while cond; do left */
	N_FOR,          /* for words[0] in words[1..]; do left */
	N_CASE,         /* case words[0] in items */
	N_FUNCTION,     /* words[0]() text */
};

struct word {
	struct word *next;
	char *text;                     /* as written, quotes and all */
};

struct redir {
	struct redir *next;
	int fd;                         /* which descriptor is changed */
	char op[4];                     /* < > >> <> >& <& << */
	char *text;                     /* the word; for << the body */
	bool quoted;                    /* <<: the delimiter was, so the body is not expanded */
};

struct node {
	enum node_kind kind;
	struct node *cond, *left, *right;
	struct word *words;
	struct redir *redirs;
	struct item *items;             /* N_CASE */
	char *text;                     /* source, for jobs and functions */
	bool all;                       /* N_FOR without `in`: over "$@" */
};

struct item {
	struct item *next;
	struct word *patterns;
	struct node *body;
};

/* main.c: the region, errors, state of the whole shell */
extern bool interactive, option_e, option_x;
extern volatile int interrupted;        /* SIGINT came: stop loops, back to the prompt */
extern int last_status;
extern int arg_count;                   /* $1 ... */
extern char **args, *arg_zero;

void *mem_alloc(size_t n);              /* until mem_release of an older mark; exits when there is no memory */
char *mem_string(const char *s, size_t n);
struct mark { void *chunk; char *at; };
struct mark mem_mark(void);
void mem_release(struct mark m);
void complain(const char *f, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail(int status, const char *f, ...) __attribute__((format(printf, 2, 3)));
int run_text(const char *text);         /* parse and run a whole string */
int run_file(int fd, bool prompts);
_Noreturn void shell_exit(int status);

/* parse.c */
struct source;
struct source *source_string(const char *text);
struct source *source_fd(int fd, bool prompts);
struct node *parse_command(struct source *s, bool *end);        /* one complete command; NULL for an empty line */
void source_drop_line(struct source *s);                        /* after an error */
bool name_valid(const char *s, size_t n);

/* expand.c */
char **expand_words(struct word *w, int *count);        /* with splitting and globbing; ends in NULL */
char *expand_string(const char *text);                  /* one string, no splitting */
char *expand_here(const char *text);                    /* a here-document's body */
char *expand_pattern(const char *text);                 /* for pattern_match: quoted characters are escaped */
bool pattern_match(const char *pattern, const char *s);
const char *var_get(const char *name);
void var_set(const char *name, const char *value);
void var_export(const char *name);
void var_unset(const char *name);
char **var_environment(void);
void var_init(char **env);
void var_print(bool exported_only);

/* run.c */
enum flow_kind { FLOW_NONE, FLOW_BREAK, FLOW_CONTINUE, FLOW_RETURN };
extern enum flow_kind flow;             /* a break, continue or return on its way out */
extern int flow_count;                  /* through how many loops */

int run(struct node *n, bool last);     /* last: this process does nothing afterwards, so it need not fork */
void run_reset(void);                   /* after an error: no redirection, loop or function is left */
_Noreturn void exec_program(char **argv);
char *capture(const char *text);        /* output of a command, for $(...) */
bool function_remove(const char *name);

/* job.c */
extern bool job_control;
extern pid_t last_background;           /* $! */
struct job;

void job_init(void);
struct job *job_new(const char *text);
pid_t job_fork(struct job *j, bool background); /* as fork, the child becomes part of the job */
int job_wait(struct job *j);            /* in the foreground. Returns: the status of its last process */
void job_background(struct job *j);
void job_report(void);                  /* before a prompt: say what has ended or stopped, and forget it */
int builtin_jobs(char **argv);
int builtin_fg(char **argv);
int builtin_bg(char **argv);
int builtin_wait(char **argv);
int builtin_kill(char **argv);

/* builtin.c */
typedef int builtin_fn(char **argv);
builtin_fn *builtin_find(const char *name);

/* test.c */
int builtin_test(char **argv);
