/* test_tty.c - the line discipline, typed at and listened to.                                 (lab 7) */
#include "fs/vfs/tty.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "lib/abi/signal.h"
#include "lib/kern/string.h"

/* A terminal whose screen is a string. */
struct fake {
	struct tty t;
	char screen[512];
	size_t n;
};

static void
fake_put(struct tty *t, const char *s, size_t n)
{
	struct fake *f = container_of(t, struct fake, t);

	for (; n && f->n < sizeof f->screen - 1; n--)
		f->screen[f->n++] = *s++;
	f->screen[f->n] = 0;
}

static struct fake *
fake_new(void)
{
	struct fake *f = kzalloc(sizeof *f);

	CHECK(f != NULL);
	if (f)
		tty_init(&f->t, fake_put);
	return f;
}

/* Type a string; returns the last signal. */
static int
type(struct fake *f, const char *s)
{
	int sig = 0;

	f->n = 0;
	f->screen[0] = 0;
	for (; *s; s++)
		sig |= tty_input(&f->t, *s);
	return sig;
}

/* What a read of n bytes gets: -1 would wait. */
static int
take(struct fake *f, char *to, size_t n)
{
	bool ended;
	int k = -1;

	spin_lock(&f->t.lock);
	if (f->t.rd != f->t.line)
		k = tty_take(&f->t, (uint8_t *)to, n, &ended);
	spin_unlock(&f->t.lock);
	to[k < 0 ? 0 : k] = 0;
	return k;
}

static bool
reads(struct fake *f, const char *want)
{
	char got[128];
	int k = take(f, got, sizeof got - 1);

	return k == (int)strlen(want) && memcmp(got, want, k) == 0;
}

static bool
shows(struct fake *f, const char *want)
{
	return strcmp(f->screen, want) == 0;
}

KTEST(7, tty_lines)
{
	struct fake *f = fake_new();
	char c[8];

	if (!f)
		return;
	type(f, "ab");
	CHECK(take(f, c, 4) == -1);            /* no line yet */
	CHECK(shows(f, "ab"));
	type(f, "c\rnext\n");
	CHECK(shows(f, "c\r\nnext\r\n"));
	CHECK(reads(f, "abc\n"));              /* a read ends with its line */
	CHECK(take(f, c, 2) == 2 && strcmp(c, "ne") == 0);
	CHECK(reads(f, "xt\n"));
	CHECK(take(f, c, 4) == -1);
	kfree(f);
}

KTEST(7, tty_eof)
{
	struct fake *f = fake_new();
	char c[8];

	if (!f)
		return;
	type(f, "\4");
	CHECK_EQ(take(f, c, 4), 0);
	type(f, "ab\4cd\4");
	CHECK(shows(f, "abcd"));               /* ^D is not shown */
	CHECK(take(f, c, 2) == 2);             /* exactly up to ^D: it is used up with them */
	CHECK(reads(f, "cd"));
	CHECK(take(f, c, 4) == -1);
	kfree(f);
}

KTEST(7, tty_editing)
{
	struct fake *f = fake_new();

	if (!f)
		return;
	type(f, "abx\177\n");
	CHECK(shows(f, "abx\b \b\r\n"));
	CHECK(reads(f, "ab\n"));
	type(f, "\177\177a\n");                /* nothing to take back */
	CHECK(reads(f, "a\n"));
	type(f, "one two  \27" "2\n");         /* ^W */
	CHECK(reads(f, "one 2\n"));
	type(f, "gone\25kept\n");              /* ^U */
	CHECK(reads(f, "kept\n"));
	type(f, "\1\177z\n");                  /* ^A is two columns wide */
	CHECK(shows(f, "^A\b \b\b \bz\r\n"));
	CHECK(reads(f, "z\n"));
	type(f, "a\t\177b\n");                 /* the tab went from column 1 to 8 */
	CHECK(shows(f, "a\t\b \b\b \b\b \b\b \b\b \b\b \b\b \bb\r\n"));
	CHECK(reads(f, "ab\n"));
	type(f, "a\26\3b\26\n\n");             /* ^V takes the next byte as it is */
	CHECK(reads(f, "a\3b\n\n"));
	f->t.tio.c_iflag |= IUTF8;
	type(f, "\303\244\303\266\177\n");     /* two letters of two bytes each */
	CHECK(reads(f, "\303\244\n"));
	kfree(f);
}

KTEST(7, tty_signals)
{
	struct fake *f = fake_new();
	char c[8];

	if (!f)
		return;
	CHECK_EQ(type(f, "half\3"), SIGINT);
	CHECK(shows(f, "half^C"));
	CHECK(take(f, c, 4) == -1);            /* the line is gone */
	CHECK_EQ(type(f, "\32"), SIGTSTP);
	CHECK_EQ(type(f, "\34"), SIGQUIT);
	f->t.tio.c_lflag &= ~ISIG;
	CHECK_EQ(type(f, "\3\n"), 0);
	CHECK(reads(f, "\3\n"));
	f->t.tio.c_cc[VINTR] = 0;              /* no key */
	f->t.tio.c_lflag |= ISIG;
	CHECK_EQ(tty_input(&f->t, 0), 0);
	kfree(f);
}

KTEST(7, tty_raw)
{
	struct fake *f = fake_new();
	struct termios raw;

	if (!f)
		return;
	type(f, "pend");
	raw = f->t.tio;
	raw.c_lflag &= ~(ICANON | ECHO | ISIG | IEXTEN);
	raw.c_iflag &= ~(ICRNL | IXON);
	spin_lock(&f->t.lock);
	tty_set_termios(&f->t, &raw);
	spin_unlock(&f->t.lock);
	CHECK(reads(f, "pend"));               /* what was typed is not lost */
	CHECK_EQ(type(f, "\3\r\177\4x"), 0);
	CHECK(shows(f, ""));
	CHECK(reads(f, "\3\r\177\4x"));
	kfree(f);
}

KTEST(7, tty_output_flags)
{
	struct fake *f = fake_new();

	if (!f)
		return;
	spin_lock(&f->t.lock);
	tty_output(&f->t, "a\nb\tc", 5);
	CHECK(shows(f, "a\r\nb\tc"));
	CHECK_EQ(f->t.col, 9);
	f->n = 0;
	f->t.tio.c_oflag |= XTABS;
	tty_output(&f->t, "\rb\tc", 4);
	CHECK(shows(f, "\rb       c"));
	f->n = 0;
	f->t.tio.c_oflag = 0;
	tty_output(&f->t, "\n\t", 2);
	CHECK(shows(f, "\n\t"));
	spin_unlock(&f->t.lock);
	kfree(f);
}

/* More than fits is dropped; a newline still fits, so the line can always be ended. */
KTEST(7, tty_full)
{
	struct fake *f = fake_new();
	char *big = kmalloc(TTY_BUF + 1);
	bool ended;

	if (!f || !big)
		return;
	for (int i = 0; i < TTY_BUF + 100; i++)
		tty_input(&f->t, 'x');
	tty_input(&f->t, '\n');
	spin_lock(&f->t.lock);
	CHECK_EQ(tty_count(&f->t), TTY_BUF);
	CHECK_EQ(tty_take(&f->t, (uint8_t *)big, TTY_BUF + 1, &ended), TTY_BUF);
	CHECK(ended && big[TTY_BUF - 1] == '\n');
	spin_unlock(&f->t.lock);
	kfree(f);
	kfree(big);
}

KTEST(7, tty_flow)
{
	struct fake *f = fake_new();

	if (!f)
		return;
	type(f, "\23");
	CHECK(f->t.stopped);
	type(f, "\21");
	CHECK(!f->t.stopped);
	CHECK(shows(f, ""));
	type(f, "\23\3");
	CHECK(!f->t.stopped);                  /* ^C lets output go on */
	kfree(f);
}
