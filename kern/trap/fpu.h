/* fpu.h - x87/SSE state of user threads: FXSAVE areas, loaded lazily.                       (lab 3)
 * CR0.TS set when the loaded registers are not the current thread's; #NM swaps. Kernel code never uses SSE. */
#ifndef KERN_TRAP_FPU_H
#define KERN_TRAP_FPU_H

#include <stdbool.h>
#include <stdint.h>

/* FXSAVE image (SDM vol. 1, 10.5.1); MXCSR 0x1f80 and FCW 0x37f when fresh. */
struct fpu {
	uint8_t area[512];
	bool used;                 /* area or registers hold something; else the fresh state counts */
	int cpu;                   /* CPU whose registers hold it newer than area, -1 none */
} __attribute__((aligned(16)));

void fpu_init_cpu(void);
void fpu_fresh(struct fpu *f);                   /* new program */
void fpu_switch(struct fpu *prev, struct fpu *next);   /* at thread switch, irqs off; NULL: kernel thread. Saves prev if it used it since (so a thread may move CPU) */
void fpu_sync(struct fpu *f);                    /* current thread's registers into area (fork, signal frames) */
void fpu_reload(struct fpu *f);                  /* area was rewritten (sigreturn): use it from now on */
void fpu_drop(struct fpu *f);                    /* thread ends */
#endif
