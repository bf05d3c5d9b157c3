/* conin.h - console input: bytes of any console, by interrupt where there is one.             (lab 4)
 *
 * Lab 4 reads lines from here (syscon.c); lab 7's tty takes the bytes over with conin_set_hook.
 */
#ifndef KERN_PROC_CONIN_H
#define KERN_PROC_CONIN_H

#include <stddef.h>
#include <stdint.h>

/* From now on every input byte goes to fn, in interrupt or thread context, interrupts off, no lock held.
 * Bytes that were typed before and not read come first, at once. */
void conin_set_hook(void (*fn)(uint8_t ch));
/* The next byte; sleeps until there is one. -ERESTARTSYS when interrupted. Only without a hook. */
int  conin_wait(void);

#endif
