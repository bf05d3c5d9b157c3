/* smp.h - more than one CPU. Nothing above needs to include this: lab 13 fills slots of labs 1 to 4. (lab 13)
 * Contracts are above the functions in ipi.c. */
#ifndef KERN_SMP_SMP_H
#define KERN_SMP_SMP_H

#include "kern/boot/cpu.h"

void ipi_init(void);                             /* fill the slots */
void tlb_join(void);                             /* a new CPU, just online: forget and answer all there was before */

#endif
