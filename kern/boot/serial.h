/* serial.h - the first serial port.                                                          (lab 1) */
#ifndef KERN_BOOT_SERIAL_H
#define KERN_BOOT_SERIAL_H

#include <stdbool.h>

#define SERIAL_ISA_IRQ 4
bool serial_enable_rx_irq(void);     /* input raises ISA interrupt 4; false: no port */

#endif
