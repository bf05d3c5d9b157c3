/* observe_trap.c - what lab 3 shows the grader.                                               (lab 3)
 *
 * Idea.       User mode is entered by hand: an address space with a few pages, machine code that the seed
 *             made up, and a hook that jumps back here when the code faults. What the kernel, the handlers and
 *             the program saw is told; labs/03-traps/test_traps.py knows what they had to see.
 */
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/fpu.h"
#include "kern/trap/offsets.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/kern/string.h"

#define UCODE 0x400000ul
#define UDATA 0x500000ul           /* five pages: two of data, a hole, one that is read-only, a hole */
#define UTOP (USER_END - PAGE_SIZE)
#define SPIN 100000

static const char *
on_off(void)
{
	return irq_enabled() ? "on" : "off";
}

static void
irq_set(bool on)
{
	if (on)
		irq_on();
	else
		irq_off();
}

OBSERVE(3, traps_up)
{
	uint64_t least = 1000 + observe_below(1000000), start = clock_ns(), now = start;

	for (int i = 0; i < SPIN && now - start < least; i++)
		now = clock_ns();
	observe("interrupts %s, waited %lu of %lu ns", on_off(), now - start, least);
}

/* ---- the stack is broken ---- */

/* Every call takes a bit of the stack, until the guard page stops it. */
static __attribute__((noinline)) int
dig(volatile int n)
{
	volatile char room[64];

	room[0] = (char)n;
	return n < 0 ? 0 : dig(n + 1) + room[0];
}

OBSERVE(3, stack_overflow)
{
	void *top = kstack_alloc();
	int first = observe_below(1 << 30);

	observe("stack %lx", (uint64_t)top - KSTACK_SIZE);
	asm volatile("movq %0, %%rsp; call *%1" :: "r"(top), "r"(dig), "D"(first) : "memory");
}

/* ---- interrupts ---- */

#define NVEC 3
#define NHANDLER 6
static int vectors[NVEC];
static bool registered[NVEC][NHANDLER];

static void
handler_note(void *arg)
{
	observe("handler %lu interrupts %s in_irq %d", (uint64_t)arg, on_off(), this_cpu->in_irq);
}

/* Interrupt ourselves at a vector. */
static void
fire(int vector)
{
	uint64_t before = irq_count(vector);

	lapic_ipi(lapic_id(), vector);
	irq_on();
	for (int i = 0; i < SPIN && irq_count(vector) == before; i++)
		cpu_relax();
	irq_off();
}

static void
irq_step(int v, uint64_t h)
{
	int err;

	if (observe_below(3) == 0) {
		observe("fire %d", v);
		fire(vectors[v]);
		observe("count %lu in_irq %d", irq_count(vectors[v]), this_cpu->in_irq);
	} else if (registered[v][h]) {
		irq_unregister(vectors[v], handler_note, (void *)h);
		registered[v][h] = false;
		observe("unregister %d %lu", v, h);
	} else {
		err = irq_register(vectors[v], handler_note, (void *)h, "observed");
		registered[v][h] = err == 0;
		observe("register %d %lu: %d", v, h, err);
	}
}

OBSERVE(3, irq_handlers)
{
	irq_off();
	for (int i = 0; i < NVEC; i++)
		vectors[i] = irq_alloc_vector();
	for (int i = 0; i < 6; i++) {
		int vector = i % 2 ? (int)observe_below(400) - 50 : (int)observe_below(VEC_IRQ0);

		if (vector < VEC_IRQ0 || vector > 255)
			observe("vector %d: %d", vector, irq_register(vector, handler_note, NULL, "wrong"));
	}
	for (int i = 0; i < 120; i++) {
		int v = (int)observe_below(NVEC);

		irq_step(v, observe_below(NHANDLER));
	}
}

static void
handler_count(void *arg)
{
	++*(uint64_t *)arg;
}

/* All the handlers there can be; one goes, another one takes its place. */
OBSERVE(3, irq_full)
{
	static uint64_t count[100];
	int vector = irq_alloc_vector(), other = irq_alloc_vector(), n = 0, err = 0;
	uint64_t sum = 0;

	irq_off();
	while (n < 90 && (err = irq_register(vector, handler_count, &count[n], "many")) == 0)
		n++;
	observe("registered %d then %d", n, err);
	uint64_t gone = observe_below((uint64_t)n + 1) % (uint64_t)n;

	irq_unregister(vector, handler_count, &count[gone]);
	observe("other vector: %d", irq_register(other, handler_count, &count[99], "other"));
	observe("again: %d", irq_register(vector, handler_count, &count[98], "late"));
	fire(vector);
	for (int i = 0; i < n; i++) {
		sum += count[i];
		if (!count[i])
			observe("did not run: %d", i);
	}
	observe("ran %lu late %lu", sum, count[98]);
}

/* ---- timers ---- */

#define NTIMER 8
static struct timer timers[NTIMER];
static struct { int id; int64_t late; } fired[64];
static volatile int nfired;

static void
timer_note(struct timer *t)
{
	if (nfired == 64)
		return;
	fired[nfired].late = (int64_t)(clock_ns() - t->deadline);
	fired[nfired].id = (int)(t - timers);
	nfired++;
}

static void
fired_show(void)
{
	for (int i = 0; i < nfired; i++)
		observe("fired %d late %ld", fired[i].id, fired[i].late);
	nfired = 0;
}

static void
clock_wait(uint64_t until)
{
	irq_on();
	while (clock_ns() < until)
		cpu_relax();
	irq_off();
}

static void
timer_step(uint64_t start)
{
	int t = (int)observe_below(NTIMER);
	uint64_t after = observe_below(8000000);

	if (observe_below(4)) {
		timer_arm(&timers[t], start + after);
		observe("arm %d after %lu", t, after);
	} else {
		observe("cancel %d: %s", t, timer_cancel(&timers[t]) ? "yes" : "no");
	}
}

OBSERVE(3, timers)
{
	for (int i = 0; i < NTIMER; i++)
		timer_init(&timers[i], timer_note);
	for (int round = 0; round < 3; round++) {
		irq_off();
		uint64_t start = clock_ns() + 40000000;

		for (int i = 0; i < 16; i++)
			timer_step(start);
		observe("begin %s", clock_ns() < start ? "in time" : "too late");
		clock_wait(start + 12000000);
		fired_show();
	}
	for (int i = 0; i < NTIMER; i++)
		observe("cancel %d: %s", i, timer_cancel(&timers[i]) ? "yes" : "no");
}

static volatile uint64_t again;

static void
timer_again(struct timer *t)
{
	if (--again > 0)
		timer_arm(t, clock_ns());
}

static void
timer_cancels(struct timer *t)
{
	(void)t;
	observe("cancelled: %s", timer_cancel(&timers[2]) ? "yes" : "no");
}

OBSERVE(3, timer_again)
{
	uint64_t n = 2 + observe_below(30), at;

	timer_init(&timers[0], timer_again);
	timer_init(&timers[1], timer_cancels);
	timer_init(&timers[2], timer_note);
	again = n;
	irq_off();
	timer_arm(&timers[0], clock_ns());
	irq_on();
	for (int i = 0; i < 200000 && again > 0; i++)
		cpu_relax();
	observe("armed itself %lu times, %lu left", n, again);
	irq_off();
	at = clock_ns() + 5000000;
	timer_arm(&timers[2], at + 1 + observe_below(100));
	timer_arm(&timers[1], at);
	clock_wait(at + 5000000);
	fired_show();
	observe("cancel 2: %s", timer_cancel(&timers[2]) ? "yes" : "no");
}

/* ---- registers across an exception ---- */

#define NREG 15                        /* rax rbx rcx rdx rsi rdi rbp r8 ... r15 */

/* Load all registers from regs[], BREAKPOINT, store them there. */
void regs_breakpoint(uint64_t *regs);
asm(".text; .balign 16; .type regs_breakpoint, @function; .global regs_breakpoint; regs_breakpoint:"
	"pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15; pushq %rdi;"
	"movq (%rdi), %rax; movq 8(%rdi), %rbx; movq 16(%rdi), %rcx; movq 24(%rdi), %rdx; movq 32(%rdi), %rsi;"
	"movq 48(%rdi), %rbp; movq 56(%rdi), %r8; movq 64(%rdi), %r9; movq 72(%rdi), %r10; movq 80(%rdi), %r11;"
	"movq 88(%rdi), %r12; movq 96(%rdi), %r13; movq 104(%rdi), %r14; movq 112(%rdi), %r15; movq 40(%rdi), %rdi;"
	"int3;"
	"pushq %rdi; movq 8(%rsp), %rdi;"
	"movq %rax, (%rdi); movq %rbx, 8(%rdi); movq %rcx, 16(%rdi); movq %rdx, 24(%rdi); movq %rsi, 32(%rdi);"
	"movq %rbp, 48(%rdi); movq %r8, 56(%rdi); movq %r9, 64(%rdi); movq %r10, 72(%rdi); movq %r11, 80(%rdi);"
	"movq %r12, 88(%rdi); movq %r13, 96(%rdi); movq %r14, 104(%rdi); movq %r15, 112(%rdi); popq 40(%rdi);"
	"popq %rdi; popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx; ret");

/* The frame's registers in the order of regs[]. */
static void
frame_regs(struct trapframe *tf, uint64_t *r[NREG])
{
	uint64_t *const all[NREG] = { &tf->rax, &tf->rbx, &tf->rcx, &tf->rdx, &tf->rsi, &tf->rdi, &tf->rbp, &tf->r8,
		&tf->r9, &tf->r10, &tf->r11, &tf->r12, &tf->r13, &tf->r14, &tf->r15 };

	memcpy(r, all, sizeof all);
}

static uint32_t change;                /* registers that the handler changes, a bit each */

static bool
breakpoint(struct trapframe *tf)
{
	uint64_t *r[NREG];

	frame_regs(tf, r);
	for (int i = 0; i < NREG; i++) {
		observe("frame %d %lx", i, *r[i]);
		if (change >> i & 1)
			*r[i] = ~*r[i];
	}
	observe("interrupts %s", on_off());
	return true;
}

OBSERVE(3, registers_kept)
{
	uint64_t regs[NREG];
	trap_fn old = trap_register(VEC_BP, breakpoint);

	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < NREG; i++)
			regs[i] = observe_random();
		change = (uint32_t)observe_random();
		irq_set(round % 2);
		regs_breakpoint(regs);
		observe("after: interrupts %s", on_off());
		for (int i = 0; i < NREG; i++)
			observe("after %d %lx", i, regs[i]);
	}
	trap_register(VEC_BP, old);
}

/* ---- user mode by hand ---- */

static struct pagetable tree;
static struct page *code_page, *data[4];       /* data[2]: the read-only one; data[3]: at UTOP */
static struct trapframe stopped;
static uint64_t stopped_cr2;
static void *back[5];
static uint8_t code[256];
static size_t ncode;

static void
emit(const void *bytes, size_t n)
{
	memcpy(code + ncode, bytes, n);
	ncode += n;
}

#define EMIT(...) emit((const uint8_t[]){ __VA_ARGS__ }, sizeof (const uint8_t[]){ __VA_ARGS__ })

/* mov $v, register; numbered as the processor does: rax rcx rdx rbx rsp rbp rsi rdi r8 ... */
static void
emit_load(int reg, uint64_t v)
{
	EMIT((uint8_t)(0x48 | reg >> 3), (uint8_t)(0xb8 | (reg & 7)));
	emit(&v, 8);
}

static void
emit_stop(void)
{
	EMIT(0x0f, 0x0b);                      /* ud2 */
}

static void
user_setup(void)
{
	static const uint64_t at[4] = { UDATA, UDATA + PAGE_SIZE, UDATA + 3 * PAGE_SIZE, UTOP };

	pt_init(&tree);
	code_page = page_alloc_zero(PG_ANON);
	pt_map(&tree, UCODE, page_phys(code_page), PTE_U);
	for (int i = 0; i < 4; i++) {
		data[i] = page_alloc_zero(PG_ANON);
		pt_map(&tree, at[i], page_phys(data[i]), PTE_U | PTE_NX | (i == 2 ? 0 : PTE_W));
	}
	pt_load(&tree);
	ncode = 0;
}

static void
user_stop(struct trapframe *tf, uint64_t cr2)
{
	stopped = *tf;
	stopped_cr2 = cr2;
	__builtin_longjmp(back, 1);
}

/* Run user code from the frame until it faults; how it stood then is in `stopped`. */
static __attribute__((noinline)) void
user_run(const struct trapframe *start)
{
	void *volatile stack = kstack_alloc();
	volatile uint64_t kstack = this_cpu->syscall_rsp + SYSCALL_SKIP;
	struct trapframe *tf = (struct trapframe *)stack - 1;

	memcpy(page_virt(code_page), code, ncode);
	trap_set_user_fault_hook(user_stop);
	*tf = *start;
	if (__builtin_setjmp(back) == 0) {
		irq_off();
		trap_set_kstack((uint64_t)stack);
		trap_return(tf);
	}
	irq_off();
	trap_set_kstack(kstack);
	irq_on();
	kstack_free(stack);
}

/* The same from the beginning of the code. */
static void
user_start(void)
{
	struct trapframe tf;

	memset(&tf, 0, sizeof tf);
	tf.rip = UCODE;
	tf.rsp = UDATA + 2 * PAGE_SIZE;
	user_run(&tf);
}

/* ---- faults of user code ---- */

enum { UD2, DIVIDE, INT3, READ_HOLE, WRITE_READONLY, READ_KERNEL, RUN_DATA, NONCANONICAL, WRITE_TEXT, HALT, OUTPUT,
	NFAULT };

static void
emit_fault(int kind)
{
	static const uint64_t addr[NFAULT] = { [READ_HOLE] = UDATA + 2 * PAGE_SIZE, [RUN_DATA] = UDATA,
		[WRITE_READONLY] = UDATA + 3 * PAGE_SIZE, [READ_KERNEL] = KERNBASE + 0x100000,
		[NONCANONICAL] = 0x800000000000ul, [WRITE_TEXT] = UCODE };

	emit_load(0, addr[kind] + observe_below(4000));
	switch (kind) {
	case UD2: emit_stop(); break;
	case DIVIDE: EMIT(0x31, 0xc9, 0xf7, 0xf1); break;                  /* xor %ecx, %ecx; div %ecx */
	case INT3: EMIT(0xcc); break;
	case READ_HOLE: case READ_KERNEL: case NONCANONICAL: EMIT(0x8a, 0x08); break;    /* mov (%rax), %cl */
	case WRITE_READONLY: case WRITE_TEXT: EMIT(0x88, 0x08); break;     /* mov %cl, (%rax) */
	case RUN_DATA: EMIT(0xff, 0xe0); break;                            /* jmp *%rax */
	case HALT: EMIT(0xf4); break;
	case OUTPUT: EMIT(0xe6, 0xf4); break;                              /* out %al, $0xf4 */
	}
}

OBSERVE(3, user_faults)
{
	user_setup();
	for (int i = 0; i < 2 * NFAULT; i++) {
		memset(code, 0x90, sizeof code);       /* nop */
		ncode = observe_below(20);
		emit_fault(i % NFAULT);
		user_start();
		observe("vector %lu error %lx rip +%lx cr2 %lx cs %lx", stopped.vector, stopped.error, stopped.rip - UCODE,
			stopped.vector == VEC_PF ? stopped_cr2 : 0, stopped.cs);
	}
}

/* ---- who is asked, and what is kept ---- */

static bool
fault_asked(struct trapframe *tf)
{
	uint32_t v;

	observe("asked: from %s mode, interrupts %s", trap_from_user(tf) ? "user" : "kernel", on_off());
	copyin_nofault(&v, UDATA + 4 * PAGE_SIZE, 4);           /* faults: CR2 is another now */
	return false;
}

OBSERVE(3, exception_rules)
{
	trap_fn old = trap_register(VEC_PF, fault_asked);
	uint32_t v;

	user_setup();
	for (int i = 0; i < 6; i++) {
		uint64_t hole = UDATA + 2 * PAGE_SIZE + observe_below(4000);

		ncode = 0;
		emit_load(0, hole);
		EMIT(0x8a, 0x08);
		user_start();
		observe("vector %lu cr2 %lx", stopped.vector, stopped_cr2);
		irq_set(i % 2);
		observe("copyin %d", copyin(&v, hole, 4));
		observe("nofault %lu", copyin_nofault(&v, hole, 4));
		observe("interrupts %s", on_off());
	}
	trap_register(VEC_PF, old);
}

/* ---- the last report. arg: where the bad address is ---- */

OBSERVE(3, fault_report)
{
	const char *where = observe_arg();
	uint64_t addr = UDATA + 2 * PAGE_SIZE + observe_below(512) * 8;

	if (strcmp(where, "far") == 0)
		addr = ((addr & 0x7f8) + 8) << 35 | observe_below(1 << 20) * 8;
	if (strcmp(where, "null") == 0)
		addr = 8 * observe_below(500);
	if (strcmp(where, "device") == 0)
		addr = KDYN_END - (1 + observe_below(1000)) * 4096;
	user_setup();
	irq_off();
	observe("address %lx", addr);
	observe("read %lx", *(volatile uint64_t *)addr);
}

/* ---- copies ---- */

static uint8_t buf[8192 + 64];

static uint32_t
hash(const uint8_t *p, size_t n)
{
	uint32_t h = 2166136261u;              /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static uint64_t
random_place(void)
{
	static const uint64_t bad[] = { 0, USER_END - 5, USER_END, -8ul, 1ul << 63, KERNBASE + 0x100000, DIRECTMAP };

	if (observe_below(8) == 0)
		return bad[observe_below(7)];
	if (observe_below(2)) {
		uint64_t edge = UDATA + (1 + observe_below(5)) * PAGE_SIZE;

		return edge - observe_below(40);
	}
	return UDATA + observe_below(5 * PAGE_SIZE);
}

/* Copy operation `op`. Returns: bytes not copied; all or none, where that is not told. */
static size_t
copy_do(int op, uint64_t at, size_t n, size_t most)
{
	switch (op) {
	case 0:
		return copyin(buf, at, n) < 0 ? most : 0;
	case 1:
		return copyout(at, buf, n) < 0 ? most : 0;
	case 2:
		return copyin_partial(buf, at, n);
	case 3:
		return copyout_partial(at, buf, n);
	case 4:
		return copyin_nofault(buf, at, n);
	default:
		return copyout_nofault(at, buf, n);
	}
}

static void
copy_step(int i)
{
	uint64_t at = random_place(), size = observe_below(10);
	size_t n = size == 0 ? -1ul - observe_below(100) : size < 7 ? observe_below(60) : observe_below(8192);
	size_t most = n < 8192 ? n : 8192, left;
	int op = (int)observe_below(n > 8192 ? 2 : 6);

	for (size_t k = 0; k < sizeof buf; k++)
		buf[k] = (uint8_t)((size_t)i + 3 * k);
	left = copy_do(op, at, n, most);
	observe("copy %d at %lx size %lx: left %lu hash %x", op, at, n, left,
		op % 2 || left > most ? 0 : hash(buf, most - left));
}

OBSERVE(3, user_copies)
{
	trap_fn old = trap_register(VEC_PF, NULL);

	user_setup();
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < PAGE_SIZE; k++)
			((uint8_t *)page_virt(data[i]))[k] = (uint8_t)(17 * i + 5 * k);
	for (int i = 0; i < 250; i++)
		copy_step(i);
	for (int i = 0; i < 4; i++)
		observe("page %d at %lx", i, page_phys(data[i]));
	trap_register(VEC_PF, old);
}

static struct page *mended[2];
static int asked;

/* Demand paging in its simplest form: the holes between the pages are filled when somebody falls into them. */
static bool
fault_mend(struct trapframe *tf)
{
	uint64_t va = PAGE_DOWN(read_cr2()), i = va == UDATA + 2 * PAGE_SIZE ? 0 : 1;

	(void)tf;
	asked++;
	if ((va != UDATA + 2 * PAGE_SIZE && va != UDATA + 4 * PAGE_SIZE) || mended[i])
		return false;
	mended[i] = page_alloc_zero(PG_ANON);
	return pt_map(&tree, va, page_phys(mended[i]), PTE_U | PTE_W | PTE_NX) == 0;
}

OBSERVE(3, copy_mended)
{
	trap_fn old = trap_register(VEC_PF, fault_mend);
	uint64_t before = 1 + observe_below(3000), n = before + 1 + observe_below(3000);
	uint64_t at = UDATA + 2 * PAGE_SIZE - before;

	user_setup();
	for (size_t k = 0; k < sizeof buf; k++)
		buf[k] = (uint8_t)(1 + k % 255);
	size_t left = copyout_nofault(at, buf, n);

	observe("nofault: left %lu, asked %d", left, asked);
	int err = copyout(at, buf, n);

	observe("copyout: %d, asked %d", err, asked);
	observe("before %lu size %lu: hash %x %x", before, n,
		hash((uint8_t *)page_virt(data[1]) + PAGE_SIZE - before, before),
		mended[0] ? hash(page_virt(mended[0]), n - before) : 0);
	err = store_user32(UDATA + 4 * PAGE_SIZE + 8, 4711);
	observe("store: %d, asked %d, there %u", err, asked, mended[1] ? ((uint32_t *)page_virt(mended[1]))[2] : 0);
	err = copyout(UDATA + 3 * PAGE_SIZE - 8, buf, 16);
	observe("read-only: %d", err);
	trap_register(VEC_PF, old);
}

/* ---- strings ---- */

/* A string somewhere, whose NUL, if it has one, is where the seed says. */
static void
string_step(void)
{
	bool high = observe_below(2);
	uint64_t top = high ? USER_END : UDATA + 2 * PAGE_SIZE, far = observe_below(3);

	far = 1 + observe_below(far ? 40 : 4000);
	uint64_t nul = observe_below(far + 10), n = 1 + observe_below(far + 10);
	uint8_t *start = (uint8_t *)page_virt(data[high ? 3 : 1]) + PAGE_SIZE - far;

	memset(start, 'a' + (int)observe_below(26), far);
	if (nul < far)
		start[nul] = 0;
	memset(buf, '#', sizeof buf);
	long r = copyinstr((char *)buf, top - far, n);

	observe("string at %lx nul %lu size %lu: %ld %s hash %x", top - far, nul, n, r,
		buf[n] == '#' ? "within" : "beyond", r >= 0 && r < 5000 ? hash(buf, (size_t)r + 1) : 0);
}

OBSERVE(3, user_strings)
{
	static const uint64_t bad[] = { 0, UDATA + 2 * PAGE_SIZE, USER_END, USER_END + 1, -1ul, 1ul << 63,
		KERNBASE + 0x100000, DIRECTMAP };
	trap_fn old = trap_register(VEC_PF, NULL);

	user_setup();
	for (int i = 0; i < 200; i++)
		string_step();
	for (int i = 0; i < 8; i++)
		observe("bad %lx: %ld", bad[i], copyinstr((char *)buf, bad[i], 1 + observe_below(100)));
	trap_register(VEC_PF, old);
}

/* ---- system calls ---- */

#define NSYS 6
static uint64_t results[2 * NSYS];

/* Twice six handlers, of which the second six want the frame. */
static long
call_note(int which, const uint64_t a[6])
{
	observe("handler %d: %lx %lx %lx %lx %lx %lx interrupts %s", which, a[0], a[1], a[2], a[3], a[4], a[5],
		on_off());
	if (which >= NSYS) {
		struct trapframe *tf = syscall_frame();

		observe("frame: number %ld rdi %lx rsi %lx rdx %lx r10 %lx r8 %lx r9 %lx", tf->error, tf->rdi, tf->rsi,
			tf->rdx, tf->r10, tf->r8, tf->r9);
		tf->rbx = a[0] ^ a[5];
		tf->r8 = ~a[4];
	}
	return (long)results[which];
}

#define CALL(k) static long call##k(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) \
	{ return call_note(k, (const uint64_t[]){ a, b, c, d, e, f }); }
CALL(0) CALL(1) CALL(2) CALL(3) CALL(4) CALL(5) CALL(6) CALL(7) CALL(8) CALL(9) CALL(10) CALL(11)
static const syscall_fn calls[2 * NSYS] = { call0, call1, call2, call3, call4, call5, call6, call7, call8, call9,
	call10, call11 };

/* The program: SYSCALL with these registers. */
static void
call_make(uint64_t nr)
{
	static const int order[8] = { 7, 6, 2, 10, 8, 9, 3, 12 };      /* rdi rsi rdx r10 r8 r9 rbx r12 */

	ncode = 0;
	emit_load(0, nr);
	for (int i = 0; i < 8; i++)
		emit_load(order[i], observe_random());
	EMIT(0x0f, 0x05);
	emit_stop();
	user_start();
	observe("back: rax %lx rbx %lx r8 %lx r12 %lx rdi %lx", stopped.rax, stopped.rbx, stopped.r8, stopped.r12,
		stopped.rdi);
}

static void
call_step(const int *nr)
{
	static const uint64_t bad[] = { NSYSCALL, NSYSCALL + 1, 1ul << 31, 1ul << 32, -1ul, 1ul << 63 };
	int k = (int)observe_below(NSYS), which = (int)observe_below(2 * NSYS);
	uint64_t number = (uint64_t)nr[k];

	if (observe_below(3) == 0) {
		syscall_register(nr[k], calls[which], which >= NSYS ? SYSCALL_FRAME : 0);
		observe("register %d with %d", nr[k], which);
		return;
	}
	if (observe_below(6) == 0)
		number = bad[observe_below(6)];
	observe("call %lx", number);
	call_make(number);
}

OBSERVE(3, syscall_numbers)
{
	int nr[NSYS];

	for (int i = 0; i < NSYS; i++)
		nr[i] = 400 + i * 18 + (int)observe_below(18);
	for (int i = 0; i < 2 * NSYS; i++)
		results[i] = observe_random() >> 8;
	user_setup();
	for (int i = 0; i < 90; i++)
		call_step(nr);
	for (int i = 0; i < NSYS; i++)
		observe("present %d: %s", nr[i], syscall_present(nr[i]) ? "yes" : "no");
}

/* ---- the way back ---- */

static void
frame_show(const char *what, const struct trapframe *tf)
{
	observe("%s rip %lx cs %lx rflags %lx rsp %lx ss %lx rax %lx rbx %lx", what, tf->rip, tf->cs, tf->rflags,
		tf->rsp, tf->ss, tf->rax, tf->rbx);
}

static void
mend_one(int i)
{
	struct trapframe tf;

	for (size_t k = 0; k < sizeof tf / 8; k++)
		((uint64_t *)&tf)[k] = observe_random();
	tf.vector = i % 2 ? VEC_SYSCALL : VEC_GP;
	if (i % 3 == 0)
		tf.rip = USER_END - 2 + observe_below(4);
	if (i % 3 == 1)
		tf.rip = observe_below(USER_END);
	frame_show("before", &tf);
	irq_on();
	trap_user_return(&tf);
	observe("interrupts %s", on_off());
	irq_on();
	frame_show("after", &tf);
}

/* Frames as a debugger or a signal handler might leave them; then some for real. */
OBSERVE(3, frame_mended)
{
	struct trapframe tf;

	for (int i = 0; i < 30; i++)
		mend_one(i);
	user_setup();
	emit_stop();
	for (int i = 0; i < 6; i++) {
		memset(&tf, 0, sizeof tf);
		tf.rip = i % 2 ? UCODE : 1ul << (47 + observe_below(17));
		tf.rflags = observe_random() & ~0x100ul;        /* no single step */
		tf.cs = observe_below(1 << 16);
		tf.ss = observe_below(1 << 16);
		user_run(&tf);
		observe("ran: vector %lu rip %lx", stopped.vector, stopped.rip);
	}
}

static int hook_runs, more_work;

static void
hook(struct trapframe *tf)
{
	hook_runs++;
	observe("hook: rax %ld interrupts %s work %d", (long)tf->rax, on_off(), this_cpu->thread_work ? 1 : 0);
	if (more_work-- > 0)
		cpu_set_thread_work(true);
}

static long
call_work(uint64_t result)
{
	cpu_set_thread_work(true);
	return (long)result;
}

OBSERVE(3, return_work)
{
	static const int64_t results_of[] = { 0, 5, -4, -512, -513, -514, -515, -516, -517, -14 };

	user_setup();
	syscall_register(450, (syscall_fn)(void (*)(void))call_work, 0);
	user_return_register(hook);
	for (int i = 0; i < 12; i++) {
		int64_t result = results_of[observe_below(10)];

		more_work = (int)observe_below(4);
		hook_runs = 0;
		ncode = 0;
		emit_load(0, 450);
		emit_load(7, (uint64_t)result);
		EMIT(0x0f, 0x05);
		emit_stop();
		observe("call returns %ld, more work %d", result, more_work);
		user_start();
		observe("back: rax %ld, hooks %d", (long)stopped.rax, hook_runs);
	}
}

/* ---- the FPU ---- */

#define NFPU 3
#define FPU_STOP (8 * 4 + 3)           /* where in the program the first part stops, and the second begins */
#define FPU_STORE (FPU_STOP + 2)
static struct fpu fpus[NFPU] __attribute__((aligned(16)));

/* Loads eight XMM registers and MXCSR from memory, stops, stores them beside, stops. rsi: where. */
static void
fpu_program(void)
{
	ncode = 0;
	for (int i = 0; i < 8; i++)
		EMIT(0x0f, 0x10, (uint8_t)(0x46 | i << 3), (uint8_t)(16 * i - 128));    /* movups 16i-128(%rsi), %xmm(i) */
	EMIT(0x0f, 0xae, 0x16);                                         /* ldmxcsr (%rsi) */
	emit_stop();
	for (int i = 0; i < 8; i++)
		EMIT(0x0f, 0x11, (uint8_t)(0x86 | i << 3), (uint8_t)(16 * i), 1, 0, 0);  /* movups %xmm(i), 256+16i(%rsi) */
	EMIT(0x0f, 0xae, 0x9e, 0x80, 0x01, 0, 0);                       /* stmxcsr 384(%rsi) */
	emit_stop();
}

static uint8_t *
fpu_memory(int k)
{
	return (uint8_t *)page_virt(data[0]) + 1024 * k + 256;
}

/* "Thread" k goes on, at `at` in the program. */
static void
fpu_run(int k, uint64_t at)
{
	static int current = -1;
	struct trapframe tf;

	irq_off();
	fpu_switch(current < 0 ? NULL : &fpus[current], &fpus[k]);
	current = k;
	irq_on();
	memset(&tf, 0, sizeof tf);
	tf.rip = UCODE + at;
	tf.rsi = UDATA + 1024 * (uint64_t)k + 256;
	tf.rsp = UDATA + 2 * PAGE_SIZE;
	user_run(&tf);
	if (stopped.vector != VEC_UD)
		observe("stopped by vector %lu at +%lu", stopped.vector, stopped.rip - UCODE);
}

static void
fpu_show(int k)
{
	uint64_t v[16];
	uint32_t mxcsr;

	memcpy(v, fpu_memory(k) + 256, sizeof v);
	memcpy(&mxcsr, fpu_memory(k) + 384, 4);
	for (int i = 0; i < 8; i++)
		observe("thread %d xmm%d %lx %lx", k, i, v[2 * i], v[2 * i + 1]);
	observe("thread %d mxcsr %x", k, mxcsr);
}

static void
fpu_load(int k)
{
	uint32_t mxcsr = 0x1f80 | (uint32_t)observe_below(4) << 13;

	for (int j = 0; j < 16; j++) {
		uint64_t v = observe_random();

		memcpy(fpu_memory(k) - 128 + 8 * j, &v, 8);
	}
	memcpy(fpu_memory(k), &mxcsr, 4);
	observe("load %d", k);
	fpu_run(k, 0);
}

OBSERVE(3, fpu_state)
{
	user_setup();
	fpu_program();
	for (int k = 0; k < NFPU; k++)
		fpu_fresh(&fpus[k]);
	fpu_load(0);
	for (int i = 0; i < 40; i++) {
		int k = i < NFPU ? 1 - i % 2 : (int)observe_below(NFPU);

		if (i >= NFPU && observe_below(2)) {
			fpu_load(k);
		} else {
			fpu_run(k, FPU_STORE);
			fpu_show(k);
		}
	}
}

/* Who does not touch the FPU does not get it; the kernel never does. */
OBSERVE(3, fpu_lazy)
{
	user_setup();
	fpu_program();
	fpu_fresh(&fpus[0]);
	fpu_fresh(&fpus[1]);
	for (int i = 0; i < 8; i++) {
		bool touch = observe_below(2);
		struct fpu *f = &fpus[i % 2];

		fpu_run(i % 2, touch ? FPU_STORE : FPU_STOP);
		observe("thread %d touches %d: on %d used %d loaded %d", i % 2, touch, this_cpu->fpu_on, f->used,
			this_cpu->fpu_loaded == f);
	}
	fpu_switch(&fpus[1], NULL);
	observe("kernel");
	asm volatile("pxor %xmm0, %xmm0");
	observe("went on");
}
