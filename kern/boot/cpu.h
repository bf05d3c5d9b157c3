/* cpu.h - the lowest header: one CPU's private data, and the instructions C cannot say.     (lab 1)
 *
 * Idea.       Each CPU owns a struct cpu; its GS base points there, so `this_cpu->x` is one instruction
 *             with a %gs prefix.  Upper layers appear only as opaque pointers.
 * Interface.  this_cpu, cpus[], ncpus; irq_save/irq_restore; inline wrappers named after their instruction.
 * Invariants. I1 this_cpu->thread is always safe to read: it names the thread that asks, wherever it runs.
 *             I2 every other field of this_cpu is stable only while interrupts are off.
 */
#ifndef KERN_BOOT_CPU_H
#define KERN_BOOT_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NCPU 8               /* most CPUs this kernel runs on */
#define NHELD 16             /* most spinlocks one CPU holds at once */

struct spinlock;
struct thread;
struct aspace;
struct fpu;

/* key: I immutable once the CPU runs; c this CPU only, interrupts off */
struct cpu {
	struct cpu *self;          /* [I] this struct: lets C turn %gs:0 into a pointer */
	struct thread *thread;     /* [c] I1; NULL until lab 4 runs threads */
	uint64_t syscall_rsp;      /* [c] kernel stack top for the SYSCALL entry (kern/trap/syscall_entry.S) */
	uint64_t user_rsp;         /* [c] scratch: user stack pointer during the first steps of SYSCALL */
	union {
		volatile uint32_t work;                /* any of the two below: one compare on the way to user mode */
		struct {
			volatile bool need_resched;    /* [a] switch threads; cleared by who switches (lab 4) */
			volatile bool thread_work;     /* [a] current thread has signals or the like: see kern/trap/trap.h */
		};
	};
	int id;                    /* [I] 0.. in start order; index in cpus[] */
	uint32_t apic_id;          /* [I] what the local APIC calls this CPU */

	int irq_depth;             /* [c] nested irq_save by spinlocks */
	bool irq_was_on;           /* [c] interrupt flag before the outermost one */
	int nheld;                 /* [c] spinlocks held, in order of acquisition */
	struct spinlock *held[NHELD];

	uint32_t mutex_rank;       /* [c] lab 4: smallest rank of the current thread's mutexes, UINT32_MAX: none */
	int in_irq;                /* [c] depth of interrupt handlers running */
	bool nofault;              /* [c] lab 3: a page fault in a user copy fails at once */
	volatile bool online;      /* runs and takes IPIs */
	struct thread *idle;       /* [I] lab 4: runs when nothing else can */
	struct thread *prev;       /* [c] lab 4: thread just switched away from */
	volatile uint64_t pt_root; /* [c] tree in CR3: stored by pt_load before it loads, so that lab 13 knows whom to tell */
	struct aspace *aspace;     /* [c] lab 4: address space loaded in CR3, or NULL for the kernel's */
	void *trap;                /* [I] lab 3: this CPU's GDT, TSS, IST stacks */
	void *sched;               /* [I] lab 4: this CPU's run queue */
	void *timers;              /* [I] lab 3: this CPU's timer list */
	struct fpu *fpu;           /* [c] lab 3: FPU area of the current thread, NULL for kernel threads */
	struct fpu *fpu_loaded;    /* [c] lab 3: whose state the FPU registers hold */
	bool fpu_on;               /* [c] lab 3: CR0.TS is clear, user code may use them */
};

#define this_cpu ((struct cpu __seg_gs *)0)

extern struct cpu cpus[NCPU];
extern int ncpus;            /* CPUs running now; 1 until lab 13 */

void cpu_init_boot(void);
void cpu_set_self(struct cpu *c);    /* GS base of the calling CPU, self and id: on every CPU, first thing */

static inline struct cpu *
cpu_self(void)
{
	return this_cpu->self;
}

/* ---- instructions ---- */

#define RFLAGS_IF (1u << 9)

static inline uint64_t
read_rflags(void)
{
	uint64_t f;
	asm volatile("pushfq; popq %0" : "=r"(f));
	return f;
}

static inline bool
irq_enabled(void)
{
	return read_rflags() & RFLAGS_IF;
}

static inline void irq_on(void) { asm volatile("sti" ::: "memory"); }
static inline void irq_off(void) { asm volatile("cli" ::: "memory"); }

/* Turn interrupts off and tell whether they were on; pair with irq_restore. */
static inline bool
irq_save(void)
{
	bool on = irq_enabled();
	irq_off();
	return on;
}

static inline void
irq_restore(bool on)
{
	if (on)
		irq_on();
}

static inline void cpu_relax(void) { asm volatile("pause" ::: "memory"); }
/* Wait for an interrupt; enters with interrupts off, and `sti; hlt` leaves no gap between the two. */
static inline void cpu_idle(void) { asm volatile("sti; hlt" ::: "memory"); }

static inline uint8_t inb(uint16_t p) { uint8_t v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline uint16_t inw(uint16_t p) { uint16_t v; asm volatile("inw %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline uint32_t inl(uint16_t p) { uint32_t v; asm volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline void outb(uint16_t p, uint8_t v) { asm volatile("outb %0, %1" :: "a"(v), "Nd"(p)); }
static inline void outw(uint16_t p, uint16_t v) { asm volatile("outw %0, %1" :: "a"(v), "Nd"(p)); }
static inline void outl(uint16_t p, uint32_t v) { asm volatile("outl %0, %1" :: "a"(v), "Nd"(p)); }

static inline uint64_t
rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void
wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" :: "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t
rdtsc(void)
{
	uint32_t lo, hi;
	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void
cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

static inline uint64_t read_cr0(void) { uint64_t v; asm volatile("movq %%cr0, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr2(void) { uint64_t v; asm volatile("movq %%cr2, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr3(void) { uint64_t v; asm volatile("movq %%cr3, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr4(void) { uint64_t v; asm volatile("movq %%cr4, %0" : "=r"(v)); return v; }
static inline void write_cr0(uint64_t v) { asm volatile("movq %0, %%cr0" :: "r"(v) : "memory"); }
static inline void write_cr3(uint64_t v) { asm volatile("movq %0, %%cr3" :: "r"(v) : "memory"); }
static inline void write_cr4(uint64_t v) { asm volatile("movq %0, %%cr4" :: "r"(v) : "memory"); }
static inline void invlpg(uint64_t va) { asm volatile("invlpg (%0)" :: "r"(va) : "memory"); }

#endif
