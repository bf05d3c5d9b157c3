/* vga.c - draws the screen into VGA text memory, 80 x 25.                                      (lab 1)
 *
 * Idea.       Text memory at 0xb8000 is an array of cells; the CRT controller keeps the cursor's position.
 */
#include "kern/boot/bootinfo.h"
#include "kern/boot/cpu.h"
#include "kern/boot/initcall.h"
#include "kern/boot/screen.h"

#define ROWS 25
#define COLS 80
#define CRTC 0x3d4                         /* index port; data follows */
enum { CRTC_CURSOR_START = 0x0a, CRTC_CURSOR_HIGH = 0x0e, CRTC_CURSOR_LOW = 0x0f };

#define TEXT (0xffff888000000000ul + 0xb8000)      /* in the direct map */

static volatile cell_t *const text = (volatile cell_t *)TEXT;

static void
crtc_write(uint8_t index, uint8_t v)
{
	outb(CRTC, index);
	outb(CRTC + 1, v);
}

static void
vga_draw(int row, int col, cell_t c)
{
	text[row * COLS + col] = c;
}

static void
vga_cursor(int row, int col)
{
	int at = row * COLS + col;

	crtc_write(CRTC_CURSOR_HIGH, (uint8_t)(at >> 8));
	crtc_write(CRTC_CURSOR_LOW, (uint8_t)at);
}

static const struct screen_ops vga_ops = { .draw = vga_draw, .cursor = vga_cursor };

/* Text memory that keeps what is written is taken for a display in text mode, unless the loader set up
 * another one. */
static void
vga_init(void)
{
	if (bootinfo.fb.phys != 0)
		return;
	text[0] = 0x0755;
	text[1] = 0x07aa;
	if (text[0] != 0x0755 || text[1] != 0x07aa)
		return;
	for (int i = 0; i < ROWS * COLS; i++)
		text[i] = 0x0720;
	crtc_write(CRTC_CURSOR_START, 13);         /* underline cursor, visible */
	screen_start(&vga_ops, ROWS, COLS);
}

INITCALL(1, vga_init);
