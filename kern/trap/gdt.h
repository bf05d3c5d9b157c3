/* gdt.h - segments, and the exception stacks of the TSS.                                    (lab 3) */
#ifndef KERN_TRAP_GDT_H
#define KERN_TRAP_GDT_H

/* Entries of the interrupt stack table: exceptions that cannot trust the stack they meet (SDM vol. 3,
 * 6.14.5). */
enum { IST_DF = 1, IST_NMI = 2, IST_MC = 3 };

void gdt_load(int id);

#endif
