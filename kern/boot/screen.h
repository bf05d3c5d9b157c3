/* screen.h - a terminal on a grid of character cells; VGA text and framebuffer draw the cells.  (lab 1)
 *
 * Implementer's contract: draw() shows one cell, cursor() moves the mark; called under the console flag,
 * must not lock. */
#ifndef KERN_BOOT_SCREEN_H
#define KERN_BOOT_SCREEN_H

#include <stdint.h>
#include "kern/boot/print.h"

#define SCREEN_CELLS 19200                 /* most cells a screen may have: 240 columns, 80 rows */

/* A cell as VGA text memory has it: character, foreground << 8, background << 12. */
typedef uint16_t cell_t;

struct screen_ops {
	void (*draw)(int row, int col, cell_t c);
	void (*cursor)(int row, int col);
};

/* Make a rows x cols screen the console "tty0". There is one screen. */
void screen_start(const struct screen_ops *ops, int rows, int cols);
bool screen_size(int *rows, int *cols);    /* false: no screen */

#endif
