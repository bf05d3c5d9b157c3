/* oom.h - when a fault finds no memory.                                                        (lab 5) */
#ifndef KERN_VM_OOM_H
#define KERN_VM_OOM_H

#include <stdbool.h>

/* Ends the process that holds the most, if it holds a good part of the machine, and waits a moment. True: try again;
 * false: it is the caller itself, or nobody stands out and the caller has tried often enough. May sleep. */
bool oom_relieve(int tries);

#endif
