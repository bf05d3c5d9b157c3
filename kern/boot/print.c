/* print.c - from printf to the consoles, by way of a log that remembers.                     (lab 1)
 *
 * Idea.       Consoles are a list of byte sinks. A log line goes into a ring of LOGSZ bytes and, when its
 *             level is important enough, to every console. A console that registers late is first given
 *             what the ring holds, so that lines from before it are not lost.
 * Interface.  klog/kprintf and klog_read; cons_text; cons_write and cons_getc for raw bytes (lab 7's tty).
 * Invariants. I1 the ring holds the last min(logged, LOGSZ) bytes, the newest at logged - 1.
 * Locks.      One bare flag instead of a spinlock: panic must be able to break it, and spinlocks report
 *             through here. It is taken with interrupts off, so its holder finishes; the drivers' put
 *             functions lock nothing.
 */
#include "kern/boot/print.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/cpu.h"
#include "kern/boot/initcall.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define LOGSZ 16384
#define LINESZ 256            /* a log call's text is handed over in pieces of this size */

static uint32_t cons_locked;              /* [a] the bare flag */
static struct console *consoles;          /* guarded by cons_locked, as all below */
static char ring[LOGSZ];
static uint64_t logged;                   /* I1 */
static int loglevel = LOG_INFO;           /* [I] after print_init */

static bool
cons_lock(void)
{
	bool on = irq_save();

	while (__atomic_exchange_n(&cons_locked, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	return on;
}

static void
cons_unlock(bool on)
{
	__atomic_store_n(&cons_locked, 0, __ATOMIC_RELEASE);
	irq_restore(on);
}

/* For panic only: whoever held the flag was stopped in the middle. */
void
cons_break_lock(void)
{
	__atomic_store_n(&cons_locked, 0, __ATOMIC_RELEASE);
}

/* Requires: cons_locked. */
static void
cons_put(const char *s, size_t n)
{
	for (struct console *c = consoles; c; c = c->next)
		if (c->on && c->put)
			c->put(c, s, n);
}

/* As cons_put, for text whose lines end in \n: terminals want \r\n. Requires: cons_locked. */
static void
cons_put_text(const char *s, size_t n)
{
	for (size_t i = 0, from = 0; i < n; i = from) {
		while (i < n && s[i] != '\n')
			i++;
		cons_put(s + from, i - from);
		from = i;
		if (i < n) {
			cons_put("\r\n", 2);
			from++;
		}
	}
}

/* Write text to every chosen console, as cons_write but with line ends made fit for terminals. */
void
cons_text(const char *s, size_t n)
{
	bool on = cons_lock();

	cons_put_text(s, n);
	cons_unlock(on);
}

/* Write raw bytes to every chosen console. Whole calls do not mix. May be called from any context. */
void
cons_write(const char *s, size_t n)
{
	bool on = cons_lock();

	cons_put(s, n);
	cons_unlock(on);
}

/* The next input byte of any chosen console, or -1 when none is waiting. Never waits. */
int
cons_getc(void)
{
	bool on = cons_lock();
	int ch = -1;

	for (struct console *c = consoles; c && ch < 0; c = c->next)
		if (c->on && c->get)
			ch = c->get(c);
	cons_unlock(on);
	return ch;
}

/* Add a console; it becomes active if `console=` names it or there is no such word, and catches up with
 * the log. */
void
console_register(struct console *c)
{
	bool on = cons_lock();
	uint64_t start = logged > LOGSZ ? logged - LOGSZ : 0;
	struct console **p = &consoles;

	c->on = cmdline_get("console", NULL, 0) < 0 || cmdline_has("console", c->name);
	while (*p)
		p = &(*p)->next;
	*p = c;
	for (uint64_t i = start; i < logged && c->on && c->put; i++) {
		if (ring[i % LOGSZ] == '\n')
			c->put(c, "\r", 1);
		c->put(c, &ring[i % LOGSZ], 1);
	}
	cons_unlock(on);
}

/* ---- the log ---- */

struct line {
	char buf[LINESZ];
	size_t n;
	bool show;
};

/* Requires: cons_locked. */
static void
line_flush(struct line *l)
{
	for (size_t i = 0; i < l->n; i++)
		ring[logged++ % LOGSZ] = l->buf[i];
	if (l->show)
		cons_put_text(l->buf, l->n);
	l->n = 0;
}

static void
line_put(void *arg, char ch)
{
	struct line *l = arg;

	l->buf[l->n++] = ch;
	if (l->n == LINESZ)
		line_flush(l);
}

/* Log a formatted text: always into the ring, to the consoles if level <= loglevel=. From any context. */
void
kvlog(enum loglevel level, const char *fmt, va_list ap)
{
	struct line l = { .n = 0, .show = (int)level <= loglevel };
	bool on = cons_lock();

	fmt_write(line_put, &l, fmt, ap);
	line_flush(&l);
	cons_unlock(on);
}

void
klog(enum loglevel level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kvlog(level, fmt, ap);
	va_end(ap);
}

/* Copy the newest bytes of the log, oldest first, into buf. Returns: how many, <= n. */
size_t
klog_read(char *buf, size_t n)
{
	bool on = cons_lock();
	size_t have = logged < LOGSZ ? logged : LOGSZ;
	uint64_t start;

	n = n < have ? n : have;
	start = logged - n;
	for (size_t i = 0; i < n; i++)
		buf[i] = ring[(start + i) % LOGSZ];
	cons_unlock(on);
	return n;
}

static void
print_init(void)
{
	char v[4];

	if (cmdline_get("loglevel", v, sizeof v) > 0 && v[0] >= '0' && v[0] <= '9')
		loglevel = v[0] - '0';
	if (bootinfo.cmdline_cut)
		klog(LOG_WARN, "boot: command line longer than %d bytes: cut\n", BOOT_CMDLINE - 1);
	if (bootinfo.map_guessed)
		klog(LOG_WARN, "boot: no memory map from the loader (qemu -append of more than 4 KiB?): guessed\n");
	if (bootinfo.nmem == BOOT_NRANGE)
		klog(LOG_WARN, "boot: more than %d memory ranges: the rest is not used\n", BOOT_NRANGE - 1);
}

INITCALL(1, print_init);
