/* tty.c - terminals as files, and the console.                                                (lab 7)
 *
 * Idea.       read, write, ioctl and poll on top of the line discipline (ttyline.c) and job control
 *             (ttyjob.c). There is one terminal, the console: what is typed on any input device goes in,
 *             output goes to all consoles. /dev/console, ttyS0 and tty0 are names of it; /dev/tty is whatever
 *             terminal the opener's session has.
 * Interface.  Character devices 4:0, 4:1, 4:64, 5:0, 5:1.
 * Invariants. I1 a file whose gen is not the terminal's is hung up: reads end, all else is -EIO.
 * Locks.      t->lock, dropped around user copies.
 */
#include "fs/vfs/tty.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/proc/conin.h"
#include "kern/proc/sigslot.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"

enum { CHUNK = 256 };
enum { MINOR_CONSOLE = 1, MAJOR_TTY = 4, MAJOR_AUX = 5 };
#define DECISECOND (NSEC / 10)

static struct tty console;

static bool
hung_up(const struct tty_file *tf)
{
	return tf->gen != tf->tty->gen && !tf->console;
}

/* ---- reading ---- */

/* Wait in raw mode as VMIN and VTIME say (POSIX 1003.1, 11.1.7). Requires: lock. 0: take what is there;
 * -EAGAIN, -ERESTARTSYS. */
static int
raw_wait(struct tty_file *tf, size_t n, bool nonblock)
{
	struct tty *t = tf->tty;
	uint32_t min = t->tio.c_cc[VMIN], need = min < n ? min : n, seen;
	uint64_t ns = t->tio.c_cc[VTIME] * DECISECOND;
	int err;

	if (nonblock)
		return t->rd == t->line && (min || ns) ? -EAGAIN : 0;
	if (min == 0 && ns == 0)
		return 0;
	if (min == 0) {
		err = wait_event_timeout(&t->rq, t->rd != t->line || hung_up(tf), &t->lock, clock_ns() + ns);
		return err == -ETIMEDOUT ? 0 : err;
	}
	if (ns == 0)
		return wait_event_intr(&t->rq, t->line - t->rd >= need || hung_up(tf) || tty_canon(t), &t->lock);
	err = wait_event_intr(&t->rq, t->rd != t->line || hung_up(tf), &t->lock);
	while (!err && t->line - t->rd < need && !hung_up(tf)) {
		seen = t->line;
		err = wait_event_timeout(&t->rq, t->line != seen || hung_up(tf), &t->lock, clock_ns() + ns);
	}
	return err == -ETIMEDOUT || t->rd != t->line ? 0 : err;
}

/* Requires: lock. 0: take what is there; -EAGAIN, -ERESTARTSYS. */
static int
input_wait(struct tty_file *tf, size_t n, bool nonblock)
{
	struct tty *t = tf->tty;

	if (!tty_canon(t))
		return raw_wait(tf, n, nonblock);
	if (nonblock)
		return t->rd == t->line ? -EAGAIN : 0;
	return wait_event_intr(&t->rq, t->rd != t->line || hung_up(tf) || !tty_canon(t), &t->lock);
}

/* Read a line, or what raw mode gives.
 *
 * Returns: bytes; 0 at ^D or after a hangup; -EAGAIN, -ERESTARTSYS, -EFAULT; -EIO or -ERESTARTSYS in the
 *          background.
 */
static long
tty_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct tty_file *tf = f->priv;
	struct tty *t = tf->tty;
	uint8_t chunk[CHUNK];
	bool ended = false;
	size_t done = 0, k;
	int err = ttyjob_check(t, SIGTTIN);

	(void)pos;
	if (err || n == 0)
		return err;
	spin_lock(&t->lock);
	err = hung_up(tf) ? 0 : input_wait(tf, n, f->flags & O_NONBLOCK);
	while (!err && !ended && done < n && t->rd != t->line && !hung_up(tf)) {
		k = tty_take(t, chunk, n - done < CHUNK ? n - done : CHUNK, &ended);
		spin_unlock(&t->lock);
		err = copyout(ubuf + done, chunk, k);
		done += err ? 0 : k;
		spin_lock(&t->lock);
	}
	spin_unlock(&t->lock);
	return done ? (long)done : err;
}

/* ---- writing ---- */

/* Put one chunk out, waiting while ^S holds it back. 0, -EAGAIN, -EIO, -ERESTARTSYS. */
static int
chunk_write(struct tty_file *tf, const char *s, size_t n, bool nonblock)
{
	struct tty *t = tf->tty;
	int err = 0;

	spin_lock(&t->lock);
	if (t->stopped)
		err = nonblock ? -EAGAIN : wait_event_intr(&t->wq, !t->stopped || hung_up(tf), &t->lock);
	if (!err && hung_up(tf))
		err = -EIO;
	if (!err)
		tty_output(t, s, n);
	spin_unlock(&t->lock);
	return err;
}

static long
tty_write(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct tty_file *tf = f->priv;
	char chunk[CHUNK];
	size_t done = 0;
	int err = tf->tty->tio.c_lflag & TOSTOP ? ttyjob_check(tf->tty, SIGTTOU) : 0;

	(void)pos;
	while (!err && done < n) {
		size_t k = n - done < CHUNK ? n - done : CHUNK;

		err = copyin(chunk, ubuf + done, k);
		if (!err)
			err = chunk_write(tf, chunk, k, f->flags & O_NONBLOCK);
		done += err ? 0 : k;
		if (!err && done < n) {
			if (this_cpu->need_resched)
				thread_yield();
			if (signal_pending())
				err = -ERESTARTSYS;
		}
	}
	return done ? (long)done : err;
}

static int
tty_poll(struct file *f, struct pollctx *ctx)
{
	struct tty_file *tf = f->priv;
	struct tty *t = tf->tty;
	uint32_t min;
	int ev = 0;

	poll_wait(ctx, &t->rq);
	poll_wait(ctx, &t->wq);
	spin_lock(&t->lock);
	min = tty_canon(t) || t->tio.c_cc[VTIME] || !t->tio.c_cc[VMIN] ? 1 : t->tio.c_cc[VMIN];
	if (hung_up(tf))
		ev = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM;
	if (t->line - t->rd >= min)
		ev |= POLLIN | POLLRDNORM;
	if (!t->stopped)
		ev |= POLLOUT | POLLWRNORM;
	spin_unlock(&t->lock);
	return ev;
}

/* ---- ioctl ---- */

/* TCSETS, TCSETSW, TCSETSF: output is never pending here, so waiting for it (W) is over at once. */
static long
termios_set(struct tty *t, uint32_t cmd, uint64_t arg)
{
	struct termios tio;
	int err = copyin(&tio, arg, sizeof tio);

	if (err)
		return err;
	tio.c_line = 0;
	spin_lock(&t->lock);
	if (cmd == TCSETSF)
		tty_flush_input(t);
	tty_set_termios(t, &tio);
	spin_unlock(&t->lock);
	return 0;
}

static long
winsize_set(struct tty *t, uint64_t arg)
{
	struct winsize ws, old;
	int err = copyin(&ws, arg, sizeof ws), fg;

	if (err)
		return err;
	spin_lock(&t->lock);
	old = t->ws;
	t->ws = ws;
	fg = t->fg;
	spin_unlock(&t->lock);
	if (fg && (old.ws_row != ws.ws_row || old.ws_col != ws.ws_col || old.ws_xpixel != ws.ws_xpixel ||
		old.ws_ypixel != ws.ws_ypixel))
		proc_signal_group(fg, SIGWINCH);
	return 0;
}

static long
input_flush(struct tty *t, uint64_t which)
{
	if (which > TCIOFLUSH)
		return -EINVAL;
	spin_lock(&t->lock);
	if (which != TCOFLUSH)
		tty_flush_input(t);
	spin_unlock(&t->lock);
	return 0;
}

/* TCXONC: stop or start output by hand. */
static long
flow_set(struct tty *t, uint64_t how)
{
	if (how > TCION)
		return -EINVAL;
	spin_lock(&t->lock);
	if (how == TCOOFF || how == TCOON)
		t->stopped = how == TCOOFF;
	waitq_wake_all(&t->wq);
	spin_unlock(&t->lock);
	return 0;
}

/* A byte as if it had been typed: input, and the signal that comes of it. */
static void
type(struct tty *t, uint8_t ch)
{
	int sig = tty_input(t, ch), fg = __atomic_load_n(&t->fg, __ATOMIC_RELAXED);

	if (sig && fg)
		proc_signal_group(fg, sig);
}

/* TIOCSTI: root, or for one's own terminal. */
static long
type_ioctl(struct tty *t, uint64_t arg)
{
	uint8_t ch;
	int err;

	if (ttyjob_of(current_proc()) != t && current_proc()->cred.euid != 0)
		return -EPERM;
	err = copyin(&ch, arg, 1);
	if (!err)
		type(t, ch);
	return err;
}

static long
put_int(uint64_t arg, int v)
{
	return copyout(arg, &v, sizeof v);
}

/* What the session and its foreground group are called, to members only. */
static long
job_get(struct tty *t, uint64_t arg, int v)
{
	return ttyjob_of(current_proc()) == t ? put_int(arg, v) : -ENOTTY;
}

static long
group_set(struct tty *t, uint64_t arg)
{
	int pgid, err = copyin(&pgid, arg, sizeof pgid);

	return err ? err : ttyjob_set_group(t, pgid);
}

static long
termios_get(struct tty *t, uint64_t arg)
{
	struct termios tio;

	spin_lock(&t->lock);
	tio = t->tio;
	spin_unlock(&t->lock);
	return copyout(arg, &tio, sizeof tio);
}

static long
winsize_get(struct tty *t, uint64_t arg)
{
	struct winsize ws;

	spin_lock(&t->lock);
	ws = t->ws;
	spin_unlock(&t->lock);
	return copyout(arg, &ws, sizeof ws);
}

static long
count_get(struct tty *t, uint64_t arg)
{
	int n;

	spin_lock(&t->lock);
	n = tty_count(t);
	spin_unlock(&t->lock);
	return put_int(arg, n);
}

/* Requests that change the terminal: not from the background. */
static bool
changes(uint32_t cmd)
{
	return cmd == TCSETS || cmd == TCSETSW || cmd == TCSETSF || cmd == TCSBRK || cmd == TCSBRKP ||
		cmd == TCXONC ||
		cmd == TCFLSH || cmd == TIOCSPGRP;
}

static long
tty_ioctl(struct file *f, uint32_t cmd, uint64_t arg)
{
	struct tty_file *tf = f->priv;
	struct tty *t = tf->tty;
	int err = changes(cmd) ? ttyjob_check(t, SIGTTOU) : 0;

	if (hung_up(tf))
		return -EIO;
	if (err)
		return err;
	switch (cmd) {
	case TCGETS:     return termios_get(t, arg);
	case TCSETS:
	case TCSETSW:
	case TCSETSF:    return termios_set(t, cmd, arg);
	case TCSBRK:
	case TCSBRKP:    return 0;
	case TCXONC:     return flow_set(t, arg);
	case TCFLSH:     return input_flush(t, arg);
	case TIOCEXCL:
	case TIOCNXCL:   return 0;
	case TIOCSCTTY:  return ttyjob_steal(t, arg);
	case TIOCNOTTY:  return ttyjob_leave(t);
	case TIOCGPGRP:  return job_get(t, arg, t->fg);
	case TIOCSPGRP:  return group_set(t, arg);
	case TIOCGSID:   return job_get(t, arg, t->sid);
	case TIOCGWINSZ: return winsize_get(t, arg);
	case TIOCSWINSZ: return winsize_set(t, arg);
	case TIOCSTI:    return type_ioctl(t, arg);
	case TIOCOUTQ:   return put_int(arg, 0);
	case FIONREAD:   return count_get(t, arg);
	case TIOCGETD:   return put_int(arg, 0);
	case TIOCVHANGUP:
		if (current_proc()->cred.euid != 0)
			return -EPERM;
		ttyjob_hangup(t);
		return 0;
	}
	return -ENOTTY;
}

/* ---- opening ---- */

static void
tty_release(struct file *f)
{
	kfree(f->priv);
}

static int
tty_fsync(struct file *f, bool datasync)
{
	(void)f;
	(void)datasync;
	return -EINVAL;
}

static const struct file_ops tty_ops = {
	.release = tty_release, .read = tty_read, .write = tty_write, .ioctl = tty_ioctl, .poll = tty_poll,
	.fsync = tty_fsync,
};

/* Make f an open file of t. 0, -ENOMEM. */
static int
open_as(struct file *f, struct tty *t, bool is_console)
{
	struct tty_file *tf = kmalloc(sizeof *tf);

	if (!tf)
		return -ENOMEM;
	*tf = (struct tty_file){ t, t->gen, is_console };
	f->ops = &tty_ops;
	f->priv = tf;
	return 0;
}

static int
console_open(struct inode *ip, struct file *f)
{
	(void)ip;
	return open_as(f, &console, true);
}

static int
line_open(struct inode *ip, struct file *f)
{
	struct tty *t = f->priv;
	int err = open_as(f, t, false);

	(void)ip;
	if (!err && !(f->flags & O_NOCTTY))
		ttyjob_acquire(t);
	return err;
}

/* /dev/tty. -ENXIO: the opener has no terminal. */
static int
own_open(struct inode *ip, struct file *f)
{
	struct tty *t = ttyjob_of(current_proc());

	(void)ip;
	return t ? open_as(f, t, false) : -ENXIO;
}

static const struct file_ops console_ops = { .open = console_open };
static const struct file_ops line_ops = { .open = line_open };
static const struct file_ops own_ops = { .open = own_open };

static void
console_put(struct tty *t, const char *s, size_t n)
{
	(void)t;
	cons_write(s, n);
}

static void
console_typed(uint8_t ch)
{
	type(&console, ch);
}

static void
tty_start(void)
{
	tty_init(&console, console_put);
	ttyjob_add(&console);
	chardev_register(MAJOR_AUX, 0, "tty", 0666, &own_ops, NULL);
	chardev_register(MAJOR_AUX, MINOR_CONSOLE, "console", 0600, &console_ops, NULL);
	chardev_register(MAJOR_TTY, 0, "tty0", 0620, &line_ops, &console);
	chardev_register(MAJOR_TTY, 1, "tty1", 0620, &line_ops, &console);
	chardev_register(MAJOR_TTY, 64, "ttyS0", 0660, &line_ops, &console);
	conin_set_hook(console_typed);
}

INITCALL(7, tty_start);
