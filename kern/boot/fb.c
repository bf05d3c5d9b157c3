/* fb.c - draws the screen into a framebuffer, where the firmware gives no text mode (UEFI).    (lab 1)
 *
 * Idea.       A character is 8 x 16 pixels of 32 bits. The font is made from a font file of the build machine
 *             (lib/host/mkfont.py): one byte per row, top bit left; an empty font leaves the screen dark.
 */
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/screen.h"

#define GW 8
#define GH 16

extern const uint8_t font8x16[128][GH];            /* generated */
extern const uint32_t font_nglyphs;

static int cur_row = -1, cur_col;
static uint32_t palette[16];
static cell_t grid[SCREEN_CELLS];          /* to draw the cell again when the cursor leaves it */
static int cols;

static uint32_t *
pixel_row(int y)
{
	return (uint32_t *)(0xffff888000000000ul + bootinfo.fb.phys + (uint64_t)y * bootinfo.fb.pitch);
}

/* Draw a cell; `mark`: with the cursor's underline. */
static void
glyph(int row, int col, cell_t c, bool mark)
{
	const uint8_t *bits = font8x16[c & 0x7f];
	uint32_t fg = palette[c >> 8 & 15], bg = palette[c >> 12];

	for (int y = 0; y < GH; y++) {
		uint32_t *p = pixel_row(row * GH + y) + col * GW;
		uint8_t b = mark && y >= GH - 2 ? 0xff : bits[y];

		for (int x = 0; x < GW; x++)
			p[x] = b & 0x80 >> x ? fg : bg;
	}
}

static void
fb_draw(int row, int col, cell_t c)
{
	grid[row * cols + col] = c;
	glyph(row, col, c, false);
}

static void
fb_cursor(int row, int col)
{
	if (cur_row >= 0)
		glyph(cur_row, cur_col, grid[cur_row * cols + cur_col], false);
	cur_row = row;
	cur_col = col;
	glyph(row, col, grid[row * cols + col], true);
}

static const struct screen_ops fb_ops = { .draw = fb_draw, .cursor = fb_cursor };

/* The 16 colours of VGA: bits blue, green, red, bright. */
static void
palette_init(const struct framebuffer *f)
{
	for (int i = 0; i < 16; i++) {
		uint32_t on = i & 8 ? 0xff : 0xaa, off = i & 8 ? 0x55 : 0;

		palette[i] = (i & 4 ? on : off) << f->red_pos | (i & 2 ? on : off) << f->green_pos
			| (i & 1 ? on : off) << f->blue_pos;
	}
}

static void
fb_init(void)
{
	const struct framebuffer *f = &bootinfo.fb;

	if (f->phys == 0 || font_nglyphs == 0)
		return;
	if (f->phys >= BOOT_MAPPED || (uint64_t)f->pitch * f->height > BOOT_MAPPED - f->phys) {
		klog(LOG_WARN, "fb: framebuffer at %#lx is out of reach\n", f->phys);
		return;
	}
	palette_init(f);
	for (uint32_t y = 0; y < f->height; y++)
		for (uint32_t x = 0; x < f->width; x++)
			pixel_row((int)y)[x] = palette[0];
	cols = (int)(f->width / GW < 240 ? f->width / GW : 240);
	screen_start(&fb_ops, (int)(f->height / GH), cols);
}

INITCALL(1, fb_init);
