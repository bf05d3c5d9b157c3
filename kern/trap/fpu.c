/* fpu.c - the FPU and SSE registers belong to whoever used them last.                        (lab 3)
 *
 * Idea.       Most threads touch no FPU register between two switches, so nothing is restored at a switch:
 *             CR0.TS makes the first FPU instruction trap (#NM), and only then the registers are loaded.
 *             Saved they are at the switch away, so that a thread may go on on another CPU; if it comes back
 *             to this one and nobody else used the registers meanwhile, they are still good.
 * Interface.  fpu.h.
 * Invariants. I1 the registers hold f's state if this_cpu->fpu_loaded == f and f->cpu == this CPU; user code
 *                may use them only then (fpu_on, CR0.TS clear).
 *             I2 while fpu_on is false, f->area is as new as the registers.
 * Locks.      None: interrupts off; f is the current thread's.
 */
#include "kern/trap/fpu.h"
#include "kern/boot/print.h"
#include "kern/trap/trap.h"
#include "lib/kern/string.h"

#define CR0_TS (1u << 3)
#define FXSAVE_FCW 0           /* offsets in the FXSAVE image (SDM vol. 1, table 10-2) */
#define FXSAVE_MXCSR 24
#define FXSAVE_MXCSR_MASK 28

static uint8_t fresh_area[512] __attribute__((aligned(16)));     /* [I] after the first fpu_init_cpu */
static uint32_t mxcsr_mask;                                      /* [I] bits of MXCSR that may be set */

static inline void fxsave(uint8_t *area) { asm volatile("fxsave64 (%0)" :: "r"(area) : "memory"); }
static inline void fxrstor(const uint8_t *area) { asm volatile("fxrstor64 (%0)" :: "r"(area) : "memory"); }

static void
fpu_enable(void)
{
	asm volatile("clts");
	this_cpu->fpu_on = true;
}

static void
fpu_disable(void)
{
	if (this_cpu->fpu_on)
		write_cr0(read_cr0() | CR0_TS);
	this_cpu->fpu_on = false;
}

static void
area_fresh(uint8_t *area)
{
	uint16_t fcw = 0x37f;
	uint32_t mxcsr = 0x1f80;

	memset(area, 0, 512);
	memcpy(area + FXSAVE_FCW, &fcw, sizeof fcw);
	memcpy(area + FXSAVE_MXCSR, &mxcsr, sizeof mxcsr);
}

/* #NM: the current thread wants its registers now. */
static bool
fpu_trap(struct trapframe *tf)
{
	struct fpu *f = this_cpu->fpu;

	if (!trap_from_user(tf) || !f)
		return false;                    /* kernel code must not use the FPU */
	irq_off();
	fpu_enable();
	if (this_cpu->fpu_loaded != f || f->cpu != this_cpu->id)
		fxrstor(f->used ? f->area : fresh_area);
	f->used = true;
	f->cpu = this_cpu->id;
	this_cpu->fpu_loaded = f;
	return true;
}

/* Turn lazy switching on for the calling CPU. Requires: CR4.OSFXSR set. */
void
fpu_init_cpu(void)
{
	uint8_t area[512] __attribute__((aligned(16)));

	asm volatile("clts; fninit");
	if (!mxcsr_mask) {
		memset(area, 0, sizeof area);
		fxsave(area);
		memcpy(&mxcsr_mask, area + FXSAVE_MXCSR_MASK, sizeof mxcsr_mask);
		if (!mxcsr_mask)
			mxcsr_mask = 0xffbf;     /* SDM vol. 1, 11.6.6 */
		area_fresh(fresh_area);
		trap_register(VEC_NM, fpu_trap);
	}
	this_cpu->fpu_on = true;
	fpu_disable();
}

/* The registers of this CPU no longer count as f's. Interrupts off. */
static void
fpu_forget(struct fpu *f)
{
	f->cpu = -1;
	if (this_cpu->fpu_loaded == f) {
		this_cpu->fpu_loaded = NULL;
		fpu_disable();
	}
}

void
fpu_fresh(struct fpu *f)
{
	bool on = irq_save();

	area_fresh(f->area);
	f->used = false;
	fpu_forget(f);
	irq_restore(on);
}

void
fpu_switch(struct fpu *prev, struct fpu *next)
{
	if (this_cpu->fpu_on) {
		if (prev && this_cpu->fpu_loaded == prev)
			fxsave(prev->area);
		fpu_disable();
	}
	this_cpu->fpu = next;
}

void
fpu_sync(struct fpu *f)
{
	bool on = irq_save();

	if (!f->used)
		area_fresh(f->area);
	else if (this_cpu->fpu_on && this_cpu->fpu_loaded == f)
		fxsave(f->area);
	irq_restore(on);
}

/* The area may hold whatever a program wrote into its signal frame: clear the bits that would fault in
 * FXRSTOR. */
void
fpu_reload(struct fpu *f)
{
	bool on = irq_save();
	uint32_t mxcsr;

	memcpy(&mxcsr, f->area + FXSAVE_MXCSR, sizeof mxcsr);
	mxcsr &= mxcsr_mask;
	memcpy(f->area + FXSAVE_MXCSR, &mxcsr, sizeof mxcsr);
	f->used = true;
	fpu_forget(f);
	irq_restore(on);
}

void
fpu_drop(struct fpu *f)
{
	bool on = irq_save();

	fpu_forget(f);
	irq_restore(on);
}
