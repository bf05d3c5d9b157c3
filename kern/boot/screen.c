/* screen.c - a small ANSI terminal (ECMA-48): text, cursor movement, erasing, colours.          (lab 1)
 *
 * Idea.       Bytes change a grid of cells in memory; at the end of each write the cells that differ from
 *             what is shown are drawn. So scrolling costs nothing but memory moves, however slow the
 *             display is.
 * Interface.  screen_start by the driver that found a display.
 * Invariants. I1 0 <= row < rows, 0 <= col <= cols; col == cols means: wrap before the next character.
 *             I2 shown[] is what the display shows.
 * Locks.      Console flag (print.c).
 */
#include "kern/boot/screen.h"
#include "kern/boot/kbd.h"
#include "lib/kern/string.h"

#define NPARAM 8
#define BLANK (cell_t)(0x0700 | ' ')

static const struct screen_ops *ops;
static int rows, cols, row, col;
static cell_t cells[SCREEN_CELLS], shown[SCREEN_CELLS];
static bool bright, reverse;
static uint8_t fg = 7, bg = 0;

static enum { TEXT, ESCAPE, CSI } state;
static int param[NPARAM], nparam;

static const uint8_t ansi_to_vga[8] = { 0, 4, 2, 6, 1, 5, 3, 7 };

static cell_t
cell_make(char ch)
{
	uint8_t f = fg | (bright ? 8 : 0);

	return (cell_t)((uint8_t)ch | (reverse ? f << 12 | bg << 8 : bg << 12 | f << 8));
}

static void
blank(int from, int to)
{
	for (int i = from; i < to; i++)
		cells[i] = (cell_t)(bg << 12 | BLANK);
}

static void
line_feed(void)
{
	if (++row < rows)
		return;
	row = rows - 1;
	memmove(cells, cells + cols, sizeof(cell_t) * (size_t)(cols * row));
	blank(cols * row, cols * rows);
}

static void
text_put(char ch)
{
	if (col == cols) {
		col = 0;
		line_feed();
	}
	cells[row * cols + col++] = cell_make(ch);
}

static void
control(char ch)
{
	switch (ch) {
	case '\n':                                /* the kernel's lines end so; a tty's \r\n does no harm */
		line_feed();
		/* fall through */
	case '\r':
		col = 0;
		break;
	case '\b':
		col -= col > 0;
		break;
	case '\t':
		col = (col | 7) + 1 < cols ? (col | 7) + 1 : cols - 1;
		break;
	case '\033':
		state = ESCAPE;
		break;
	}
}

static void
colour(int p)
{
	if (p == 0) {
		bright = reverse = false;
		fg = 7;
		bg = 0;
	} else if (p == 1 || p == 22) {
		bright = p == 1;
	} else if (p == 7 || p == 27) {
		reverse = p == 7;
	} else if (p >= 30 && p <= 37) {
		fg = ansi_to_vga[p - 30];
	} else if (p >= 90 && p <= 97) {
		fg = ansi_to_vga[p - 90] | 8;
	} else if (p >= 40 && p <= 47) {
		bg = ansi_to_vga[p - 40];
	} else if (p == 39) {
		fg = 7;
	} else if (p == 49) {
		bg = 0;
	}
}

static void
cursor_to(int r, int c)
{
	row = r < 0 ? 0 : r >= rows ? rows - 1 : r;
	col = c < 0 ? 0 : c >= cols ? cols - 1 : c;
}

/* Carry out ESC [ params final (ECMA-48, 8.3): A B C D G d H f move the cursor, J and K erase, m chooses
 * colours; what is unknown does nothing. A number that is missing is 0 in param[]. */
static void
csi(char final)
{
	int n = param[0] > 0 ? param[0] : 1, at = row * cols + (col < cols ? col : cols - 1);

	switch (final) {
	case 'A': cursor_to(row - n, col); break;
	case 'B': cursor_to(row + n, col); break;
	case 'C': cursor_to(row, col + n); break;
	case 'D': cursor_to(row, col - n); break;
	case 'G': cursor_to(row, n - 1); break;
	case 'd': cursor_to(n - 1, col); break;
	case 'H':
	case 'f': cursor_to(n - 1, (param[1] > 0 ? param[1] : 1) - 1); break;
	case 'J':
		blank(param[0] == 0 ? at : 0, param[0] == 1 ? at + 1 : rows * cols);
		break;
	case 'K':
		blank(param[0] == 0 ? at : row * cols, param[0] == 1 ? at + 1 : (row + 1) * cols);
		break;
	case 'm':
		for (int i = 0; i <= nparam; i++)
			colour(param[i]);
		break;
	}
}

static void
escape_put(char ch)
{
	if (state == ESCAPE) {
		state = ch == '[' ? CSI : TEXT;
		memset(param, 0, sizeof param);
		nparam = 0;
	} else if (ch >= '0' && ch <= '9') {
		if (param[nparam] < 10000)
			param[nparam] = param[nparam] * 10 + ch - '0';
	} else if (ch == ';') {
		nparam += nparam < NPARAM - 1;
	} else if (ch >= '@') {
		state = TEXT;
		csi(ch);
	}
}

static void
flush(void)
{
	for (int i = 0; i < rows * cols; i++)
		if (shown[i] != cells[i]) {
			shown[i] = cells[i];
			ops->draw(i / cols, i % cols, cells[i]);
		}
	ops->cursor(row, col < cols ? col : cols - 1);
}

static void
screen_put(struct console *c, const char *s, size_t n)
{
	(void)c;
	for (size_t i = 0; i < n; i++) {
		if (state != TEXT)
			escape_put(s[i]);
		else if ((uint8_t)s[i] < ' ')
			control(s[i]);
		else if ((uint8_t)s[i] < 127)
			text_put(s[i]);
		else if ((uint8_t)s[i] >= 0xc0)        /* first byte of a UTF-8 sequence: one mark for all of it */
			text_put('?');
	}
	flush();
}

static int
screen_get(struct console *c)
{
	(void)c;
	return kbd_getc();
}

static struct console screen_console = { .name = "tty0", .put = screen_put, .get = screen_get };

void
screen_start(const struct screen_ops *o, int r, int c)
{
	if (ops || r < 1 || c < 1)
		return;
	if (r * c > SCREEN_CELLS)
		r = SCREEN_CELLS / c;
	ops = o;
	rows = r;
	cols = c;
	blank(0, rows * cols);
	console_register(&screen_console);
	flush();
}

bool
screen_size(int *r, int *c)
{
	*r = rows;
	*c = cols;
	return ops != NULL;
}
