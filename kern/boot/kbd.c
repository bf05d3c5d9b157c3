/* kbd.c - PS/2 keyboard: scan codes of set 1 to the bytes a terminal would send.               (lab 1)
 *
 * Idea.       The keyboard says "key 0x1e down", "key 0x1e up" (top bit). We keep the shift keys' state
 *             and look the rest up in two tables. Arrow keys become escape sequences, as on a serial
 *             terminal, so readers need not care.
 * Interface.  kbd_getc for the screen consoles.
 * Locks.      The callers': print.c reads all consoles under its flag.
 */
#include "kern/boot/kbd.h"
#include "kern/boot/cpu.h"
#include "kern/boot/initcall.h"
#include "lib/kern/string.h"

enum { DATA = 0x60, STATUS = 0x64, COMMAND = 0x64 };              /* i8042 ports */
enum { ST_OUT = 0x01, ST_IN = 0x02, ST_MOUSE = 0x20 };
enum { CMD_READ_CONFIG = 0x20, CMD_WRITE_CONFIG = 0x60 };
enum { CONFIG_IRQ1 = 0x01, CONFIG_OFF = 0x10, CONFIG_SET1 = 0x40 };
#define TRIES 10000                        /* the controller answers within microseconds, or is not there */

enum {
	KEY_UP = 0x80, KEY_EXTENDED = 0xe0,
	KEY_CTRL = 0x1d, KEY_LSHIFT = 0x2a, KEY_RSHIFT = 0x36, KEY_ALT = 0x38, KEY_CAPS = 0x3a
};

/* By scan code, 0x00 .. 0x39, US layout. */
static const char plain[] = "\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

/* Keys sent after KEY_EXTENDED (and the keypad's without): what xterm sends. */
static const struct { uint8_t code; char text[5]; } cursor_keys[] = {
	{ 0x48, "\033[A" }, { 0x50, "\033[B" }, { 0x4d, "\033[C" }, { 0x4b, "\033[D" },
	{ 0x47, "\033[H" }, { 0x4f, "\033[F" }, { 0x49, "\033[5~" }, { 0x51, "\033[6~" },
	{ 0x52, "\033[2~" }, { 0x53, "\033[3~" },
};

static bool present;
static bool shift, ctrl, alt, caps, extended;
static char queue[8];                      /* decoded, not yet read */
static int qhead, qlen;

static bool
modifier(uint8_t code, bool down)
{
	switch (code) {
	case KEY_LSHIFT:
	case KEY_RSHIFT:
		shift = down;
		return true;
	case KEY_CTRL:
		ctrl = down;
		return true;
	case KEY_ALT:
		alt = down;
		return true;
	case KEY_CAPS:
		caps ^= down;
		return true;
	}
	return false;
}

static int
cursor_key(uint8_t code, char *out)
{
	for (unsigned i = 0; i < sizeof cursor_keys / sizeof cursor_keys[0]; i++)
		if (cursor_keys[i].code == code) {
			int n = (int)strlen(cursor_keys[i].text);

			memcpy(out, cursor_keys[i].text, (size_t)n);
			return n;
		}
	return 0;
}

/* Take one byte from the keyboard into account. Returns: how many bytes it typed (0 to 4), in out. */
int
kbd_decode(uint8_t sc, char out[4])
{
	uint8_t code = sc & ~KEY_UP;
	bool ext = extended;
	int n = 0;
	char c;

	extended = sc == KEY_EXTENDED;
	if (extended || modifier(code, !(sc & KEY_UP)) || sc & KEY_UP)
		return 0;
	if (ext && code == 0x35)                   /* keypad slash */
		c = '/';
	else if (ext && code == 0x1c)              /* keypad enter */
		c = '\r';
	else if (ext || code >= sizeof plain - 1)
		return cursor_key(code, out);
	else
		c = shift ? shifted[code] : plain[code];
	if (c == 0)
		return 0;
	if (caps && ((c | 32) >= 'a' && (c | 32) <= 'z'))
		c ^= 32;
	if (ctrl && c >= '@' && c < 127)
		c &= 31;
	else if (ctrl && c == ' ')
		c = 0;
	if (alt)
		out[n++] = '\033';
	out[n++] = c;
	return n;
}

int
kbd_getc(void)
{
	uint8_t st;

	while (qlen == 0) {
		if (!present || !((st = inb(STATUS)) & ST_OUT))
			return -1;
		uint8_t sc = inb(DATA);

		qhead = 0;
		if (!(st & ST_MOUSE))
			qlen = kbd_decode(sc, queue);
	}
	qlen--;
	return (uint8_t)queue[qhead++];
}

/* Wait until (status & mask) == want. Returns: false when that does not happen. */
static bool
wait_status(uint8_t mask, uint8_t want)
{
	for (int i = 0; i < TRIES; i++)
		if ((inb(STATUS) & mask) == want)
			return true;
	return false;
}

static bool
config_set(bool irq)
{
	uint8_t v;

	if (!wait_status(ST_IN, 0))
		return false;
	outb(COMMAND, CMD_READ_CONFIG);
	if (!wait_status(ST_OUT, ST_OUT))
		return false;
	v = (inb(DATA) | CONFIG_SET1) & ~(CONFIG_OFF | CONFIG_IRQ1);
	outb(COMMAND, CMD_WRITE_CONFIG);
	if (!wait_status(ST_IN, 0))
		return false;
	outb(DATA, v | (irq ? CONFIG_IRQ1 : 0));
	return wait_status(ST_IN, 0);
}

bool
kbd_enable_irq(void)
{
	return present && config_set(true);
}

static void
kbd_init(void)
{
	if (inb(STATUS) == 0xff)                   /* no controller */
		return;
	for (int i = 0; i < 32 && inb(STATUS) & ST_OUT; i++)
		inb(DATA);                         /* what was typed before is not for us */
	present = config_set(false);
}

INITCALL(1, kbd_init);
