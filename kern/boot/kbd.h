/* kbd.h - PS/2 keyboard.                                                                     (lab 1)
 * Contracts are above the functions in kbd.c. */
#ifndef KERN_BOOT_KBD_H
#define KERN_BOOT_KBD_H

#include <stdbool.h>
#include <stdint.h>

#define KBD_ISA_IRQ 1

int  kbd_getc(void);                       /* next byte typed, or -1; polled */
bool kbd_enable_irq(void);                 /* keys raise ISA interrupt 1; false: no keyboard */
int  kbd_decode(uint8_t scancode, char out[4]);

#endif
