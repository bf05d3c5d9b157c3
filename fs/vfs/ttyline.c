/* ttyline.c - the line discipline: what happens between the keyboard and read(), write() and the screen.
 * (lab 7)
 *
 * Idea.       Input bytes go into a ring. In canonical mode the line being typed can still be edited, and
 *             becomes readable with its newline; in raw mode every byte is readable at once. Editing and echo
 *             follow termios.
 *                 buf:   | read already | readable lines | line being typed |
 *                                      rd             line                 wr
 * Interface.  tty_input (any context), tty_output, tty_take; the rest of tty.h that says ttyline.c.
 * Invariants. I1 rd <= line <= wr <= rd + TTY_BUF.  I2 not canonical: line == wr.
 *             I3 in canonical mode one place stays free, so that a newline always fits.
 * Locks.      t->lock: tty_input takes it, all others require it.
 */
#include "fs/vfs/tty.h"
#include "lib/abi/errno.h"
#include "lib/abi/signal.h"
#include "lib/kern/string.h"

static const struct termios fresh = {
	.c_iflag = ICRNL | IXON,
	.c_oflag = OPOST | ONLCR,
	.c_cflag = B38400 | CS8 | CREAD | HUPCL,
	.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.c_cc = { [VINTR] = 3, [VQUIT] = 28, [VERASE] = 127, [VKILL] = 21, [VEOF] = 4, [VMIN] = 1, [VSTART] = 17,
	[VSTOP] = 19,
		[VSUSP] = 26, [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22 },
};

void
tty_init(struct tty *t, void (*put)(struct tty *t, const char *s, size_t n))
{
	memset(t, 0, sizeof *t);
	spin_init(&t->lock, "tty", RANK(7, 20));
	waitq_init(&t->rq);
	waitq_init(&t->wq);
	t->tio = fresh;
	t->ws = (struct winsize){ .ws_row = 25, .ws_col = 80 };
	t->put = put;
}

/* ---- output ---- */

static void
out_flush(struct tty *t)
{
	if (t->nout)
		t->put(t, t->out, t->nout);
	t->nout = 0;
}

static void
out_byte(struct tty *t, char c)
{
	if (t->nout == sizeof t->out)
		out_flush(t);
	t->out[t->nout++] = c;
}

/* A byte on its way to the screen: output flags, and where the cursor goes. */
static void
out_char(struct tty *t, uint8_t c)
{
	tcflag_t o = t->tio.c_oflag;

	if (o & OPOST && c == '\n' && o & ONLCR) {
		out_byte(t, '\r');
		t->col = 0;
	} else if (o & OPOST && c == '\r' && o & OCRNL) {
		c = '\n';
	} else if (o & OPOST && c == '\r' && o & ONOCR && t->col == 0) {
		return;
	} else if (c == '\t') {
		uint32_t to = (t->col | 7) + 1;

		if (o & OPOST && (o & TABDLY) == XTABS) {
			while (t->col < to) {
				out_byte(t, ' ');
				t->col++;
			}
			return;
		}
		t->col = to;
	} else if (c == '\b') {
		t->col -= t->col > 0;
	} else if (c == '\r') {
		t->col = 0;
	} else if (c >= ' ' && c != 127 && !(t->tio.c_iflag & IUTF8 && (c & 0xc0) == 0x80)) {
		t->col++;
	}
	out_byte(t, c);
}

/* Write n bytes of a program to the screen. */
void
tty_output(struct tty *t, const char *s, size_t n)
{
	while (n--)
		out_char(t, *s++);
	out_flush(t);
}

/* ---- echo ---- */

static bool
shown_as_caret(const struct tty *t, uint8_t c)
{
	return t->tio.c_lflag & ECHOCTL && (c < ' ' || c == 127) && c != '\t' && c != '\n';
}

static void
echo(struct tty *t, uint8_t c)
{
	if (!(t->tio.c_lflag & ECHO) && !(c == '\n' && t->tio.c_lflag & ECHONL && tty_canon(t)))
		return;
	if (shown_as_caret(t, c)) {
		out_char(t, '^');
		out_char(t, c ^ 0x40);
	} else {
		out_char(t, c);
	}
}

/* The column behind input bytes [line, end) when they are shown from line_col on. */
static uint32_t
column_at(const struct tty *t, uint32_t end)
{
	uint32_t col = t->line_col;

	for (uint32_t i = t->line; i != end; i++) {
		uint8_t c = t->buf[i % TTY_BUF];

		if (c == '\t')
			col = (col | 7) + 1;
		else if (shown_as_caret(t, c))
			col += 2;
		else if (c >= ' ' && c != 127 && !(t->tio.c_iflag & IUTF8 && (c & 0xc0) == 0x80))
			col++;
	}
	return col;
}

/* ---- editing ---- */

/* Take the last character (all bytes of one in UTF-8) of the line being typed back, from the screen too if
 * `show`. */
static void
erase_char(struct tty *t, bool show)
{
	uint32_t before = column_at(t, t->wr), after;

	if (t->wr == t->line)
		return;
	do
		t->wr--;
	while (t->wr != t->line && t->tio.c_iflag & IUTF8 && (t->buf[t->wr % TTY_BUF] & 0xc0) == 0x80);
	if (!show)
		return;
	for (after = column_at(t, t->wr); before > after; before--) {
		out_char(t, '\b');
		out_char(t, ' ');
		out_char(t, '\b');
	}
}

static void
edit_erase(struct tty *t)
{
	tcflag_t l = t->tio.c_lflag;

	if (t->wr == t->line)
		return;
	erase_char(t, l & ECHO && l & ECHOE);
	if (l & ECHO && !(l & ECHOE))
		echo(t, t->tio.c_cc[VERASE]);
}

static bool
is_word(uint16_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		(c >= 0x80 && c <= 0xff);
}

static void
edit_word(struct tty *t)
{
	bool seen = false, show = t->tio.c_lflag & ECHO && t->tio.c_lflag & ECHOE;

	while (t->wr != t->line) {
		bool word = is_word(t->buf[(t->wr - 1) % TTY_BUF]);

		if (seen && !word)
			break;
		seen |= word;
		erase_char(t, show);
	}
}

static void
edit_kill(struct tty *t)
{
	tcflag_t l = t->tio.c_lflag;
	bool show = l & ECHO && l & ECHOE && l & ECHOKE;

	if (show)
		while (t->wr != t->line)
			erase_char(t, true);
	t->wr = t->line;
	if (l & ECHO && !show) {
		echo(t, t->tio.c_cc[VKILL]);
		if (l & ECHOK)
			out_char(t, '\n');
	}
}

static void
edit_reprint(struct tty *t)
{
	echo(t, t->tio.c_cc[VREPRINT]);
	out_char(t, '\n');
	t->line_col = t->col;
	for (uint32_t i = t->line; i != t->wr; i++)
		echo(t, t->buf[i % TTY_BUF]);
}

/* Put a byte (with marks) behind the line being typed; a full buffer beeps. */
static void
line_add(struct tty *t, uint16_t c)
{
	uint32_t most = tty_canon(t) && !(c & (TTY_EOL | TTY_EOF)) ? TTY_BUF - 1 : TTY_BUF;

	if (t->wr - t->rd >= most) {
		if (t->tio.c_iflag & IMAXBEL)
			out_byte(t, '\a');
		return;
	}
	if (t->wr == t->line)
		t->line_col = t->col;
	if (!(c & TTY_EOF))
		echo(t, c);
	t->buf[t->wr++ % TTY_BUF] = c;
	if (!tty_canon(t) || c & (TTY_EOL | TTY_EOF))
		t->line = t->wr;
}

/* ---- input ---- */

static bool
is_cc(const struct tty *t, int which, uint8_t c)
{
	return c && t->tio.c_cc[which] == c;
}

/* ^C and the like. Returns: the signal for the foreground group, 0: the byte is not one of these. */
static int
input_signal(struct tty *t, uint8_t c)
{
	int sig = is_cc(t, VINTR, c) ? SIGINT : is_cc(t, VQUIT, c) ? SIGQUIT : is_cc(t, VSUSP, c) ? SIGTSTP : 0;

	if (!(t->tio.c_lflag & ISIG) || !sig)
		return 0;
	if (!(t->tio.c_lflag & NOFLSH))
		tty_flush_input(t);
	t->stopped = false;
	echo(t, c);
	return sig;
}

/* ^S, ^Q. Returns: true: the byte was one of these. */
static bool
input_flow(struct tty *t, uint8_t c)
{
	bool was = t->stopped;

	if (!(t->tio.c_iflag & IXON))
		return false;
	if (is_cc(t, VSTOP, c))
		t->stopped = true;
	else if (is_cc(t, VSTART, c) || (was && t->tio.c_iflag & IXANY))
		t->stopped = false;
	return is_cc(t, VSTOP, c) || is_cc(t, VSTART, c);
}

/* Editing keys and ends of lines of canonical mode. */
static void
input_canon(struct tty *t, uint8_t c)
{
	bool ext = t->tio.c_lflag & IEXTEN;

	if (is_cc(t, VERASE, c))
		edit_erase(t);
	else if (is_cc(t, VKILL, c))
		edit_kill(t);
	else if (ext && is_cc(t, VWERASE, c))
		edit_word(t);
	else if (ext && is_cc(t, VREPRINT, c))
		edit_reprint(t);
	else if (is_cc(t, VEOF, c))
		line_add(t, c | TTY_EOF);
	else if (c == '\n' || is_cc(t, VEOL, c) || (ext && is_cc(t, VEOL2, c)))
		line_add(t, c | TTY_EOL);
	else
		line_add(t, c);
}

/* Returns: the byte that the input flags make of c, or -1: none. */
static int
input_map(const struct tty *t, uint8_t c)
{
	tcflag_t i = t->tio.c_iflag;

	if (i & ISTRIP)
		c &= 0x7f;
	if (c == '\r')
		return i & IGNCR ? -1 : i & ICRNL ? '\n' : c;
	return c == '\n' && i & INLCR ? '\r' : c;
}

/* Requires: lock. As tty_input. */
static int
input_byte(struct tty *t, uint8_t ch)
{
	int c, sig;

	if (t->lnext) {
		t->lnext = false;
		line_add(t, ch);
		return 0;
	}
	c = input_map(t, ch);
	if (c < 0)
		return 0;
	sig = input_signal(t, c);
	if (sig || input_flow(t, c))
		return sig;
	if (tty_canon(t) && t->tio.c_lflag & IEXTEN && is_cc(t, VLNEXT, c)) {
		t->lnext = true;
		if (t->tio.c_lflag & ECHO && t->tio.c_lflag & ECHOCTL)
			for (const char *s = "^\b"; *s; s++)
				out_char(t, *s);
	} else if (tty_canon(t)) {
		input_canon(t, c);
	} else {
		line_add(t, c);
	}
	return 0;
}

/* A byte was typed.
 *
 * Requires: any context, lock not held.
 * Does:     maps, edits, echoes, wakes readers and writers.
 * Returns:  a signal that the caller must send to the foreground group, or 0.
 */
int
tty_input(struct tty *t, uint8_t ch)
{
	int sig;

	spin_lock(&t->lock);
	sig = input_byte(t, ch);
	out_flush(t);
	if (t->rd != t->line && !waitq_empty(&t->rq))
		waitq_wake_all(&t->rq);
	if (!t->stopped && !waitq_empty(&t->wq))
		waitq_wake_all(&t->wq);
	spin_unlock(&t->lock);
	return sig;
}

/* Take up to n readable bytes, in canonical mode at most to the end of a line. A ^D right behind n bytes is
 * taken as well: else the next read would find an end of file that nobody typed.
 * Returns: how many; *ended: the line's end (or ^D, which is not a byte) was reached. */
size_t
tty_take(struct tty *t, uint8_t *to, size_t n, bool *ended)
{
	size_t k = 0;

	*ended = false;
	while (k < n && t->rd != t->line && !*ended) {
		uint16_t c = t->buf[t->rd++ % TTY_BUF];

		if (!tty_canon(t))
			c &= 0xff;
		*ended = c & (TTY_EOL | TTY_EOF);
		if (!(c & TTY_EOF))
			to[k++] = c;
	}
	if (k && !*ended && t->rd != t->line && tty_canon(t) && t->buf[t->rd % TTY_BUF] & TTY_EOF) {
		t->rd++;                       /* ^D right behind a full buffer ends this read, not the next */
		*ended = true;
	}
	return k;
}

/* Bytes that can be read now. */
uint32_t
tty_count(const struct tty *t)
{
	uint32_t n = 0;

	if (!tty_canon(t))
		return t->line - t->rd;
	for (uint32_t i = t->rd; i != t->line; i++)
		n += !(t->buf[i % TTY_BUF] & TTY_EOF);
	return n;
}

void
tty_flush_input(struct tty *t)
{
	t->rd = t->line = t->wr;
	t->lnext = false;
}

/* New settings. What was typed so far becomes readable when the mode changes (I2). */
void
tty_set_termios(struct tty *t, const struct termios *tio)
{
	bool was = tty_canon(t);

	t->tio = *tio;
	if (was != tty_canon(t)) {
		t->line = t->wr;
		t->lnext = false;
	}
	if (!(tio->c_iflag & IXON))
		t->stopped = false;
	waitq_wake_all(&t->rq);
	waitq_wake_all(&t->wq);
}
