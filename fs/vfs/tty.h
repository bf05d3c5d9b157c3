/* tty.h - terminals: a byte stream in each direction and the rules between them.              (lab 7)
 * Contracts are above the functions in ttyline.c, ttyjob.c, tty.c. */
#ifndef FS_VFS_TTY_H
#define FS_VFS_TTY_H

#include "fs/vfs/file.h"
#include "lib/abi/types.h"
#include "lib/abi/termios.h"

#define TTY_BUF 4096             /* input typed and not yet read; a power of two */
enum { TTY_EOL = 0x100, TTY_EOF = 0x200 };   /* marks on an input byte: ends a line; is ^D itself, not data */

/* key: I immutable; l lock */
struct tty {
	struct spinlock lock;      /* RANK(7, 20) */
	struct termios tio;        /* [l] */
	struct winsize ws;         /* [l] */
	/* [l] rd <= line <= wr <= rd + TTY_BUF: [rd, line) can be read, [line, wr) is being edited */
	uint32_t rd, line, wr;
	uint32_t col, line_col;    /* [l] where the cursor is; where it was when the line being edited began */
	bool lnext;                /* [l] the next byte is literal (^V) */
	bool stopped;              /* [l] output, by ^S */
	int sid, fg;               /* [l] its session and foreground group; 0: none */
	uint32_t gen;              /* [l] hangups so far */
	struct waitq rq, wq;       /* readers: input or hangup; writers: !stopped or hangup */
	uint32_t nout;             /* [l] bytes in out */
	char out[128];             /* [l] echo and output on their way */
	uint16_t buf[TTY_BUF];     /* [l] byte i is buf[i % TTY_BUF], with marks */

	void (*put)(struct tty *t, const char *s, size_t n);     /* [I] output; called with lock held */
	struct tty *next;          /* [I] */
};

/* An open terminal. */
struct tty_file {
	struct tty *tty;           /* [I] */
	uint32_t gen;              /* [I] hung up when the tty's differs */
	bool console;              /* [I] opened as /dev/console: survives hangups */
};

/* ttyline.c: the line discipline */
void tty_init(struct tty *t, void (*put)(struct tty *t, const char *s, size_t n));
int  tty_input(struct tty *t, uint8_t ch);
void tty_output(struct tty *t, const char *s, size_t n);
size_t tty_take(struct tty *t, uint8_t *to, size_t n, bool *ended);
uint32_t tty_count(const struct tty *t);
void tty_flush_input(struct tty *t);
void tty_set_termios(struct tty *t, const struct termios *tio);
static inline bool tty_canon(const struct tty *t) { return t->tio.c_lflag & ICANON; }

/* ttyjob.c: sessions and job control */
void ttyjob_add(struct tty *t);
struct tty *ttyjob_of(struct proc *p);
int  ttyjob_check(struct tty *t, int sig);
void ttyjob_acquire(struct tty *t);
int  ttyjob_steal(struct tty *t, uint64_t force);
int  ttyjob_leave(struct tty *t);
int  ttyjob_set_group(struct tty *t, int pgid);
void ttyjob_hangup(struct tty *t);

#endif
