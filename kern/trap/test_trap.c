/* test_trap.c - lab 3 tested: exceptions, user copies, timers, user mode.                    (lab 3)
 *
 * Idea.       Without processes, user mode is entered by hand: an address space with one code and one data
 *             page, a frame on a spare kernel stack, and a hook that jumps back here (longjmp) when the user
 *             code faults on purpose.
 */
#include "kern/boot/initcall.h"
#include "kern/boot/ktest.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/fpu.h"
#include "kern/trap/offsets.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define UCODE 0x400000ul
#define UDATA 0x500000ul
#define UHOLE 0x600000ul
#define SYS_TEST 500           /* a number Linux does not use */

enum { CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, CR0_WP = 1 << 16 };

/* ---- exceptions ---- */

static int breakpoints;

static bool
breakpoint(struct trapframe *tf)
{
	breakpoints++;
	tf->rax = 42;
	return !trap_from_user(tf);
}

KTEST(3, trap_breakpoint)
{
	trap_fn old = trap_register(VEC_BP, breakpoint);
	uint64_t a = 1, b = 7;

	breakpoints = 0;
	asm volatile("int3" : "+a"(a), "+b"(b) :: "memory");
	CHECK_EQ(breakpoints, 1);
	CHECK_EQ(a, 42);                         /* changed in the frame */
	CHECK_EQ(b, 7);
	trap_register(VEC_BP, old);
}

static int interrupts;

static void
count_interrupt(void *arg)
{
	(*(int *)arg)++;
	if (irq_enabled() || !this_cpu->in_irq)
		interrupts = -100;
}

KTEST(3, trap_irq_self)
{
	int vector = irq_alloc_vector(), n = 0;
	uint64_t before = irq_count(vector);

	interrupts = 0;
	CHECK_EQ(irq_register(VEC_PF, count_interrupt, NULL, "test"), -EINVAL);
	CHECK_EQ(irq_register(vector, count_interrupt, &interrupts, "test"), 0);
	CHECK_EQ(irq_register(vector, count_interrupt, &n, "test2"), 0);
	CHECK(strcmp(irq_name(vector), "test") == 0);
	for (int i = 1; i <= 3; i++) {
		bool on = irq_save();

		lapic_ipi(lapic_id(), vector);
		irq_on();
		for (int k = 0; k < 1000000 && *(volatile int *)&n < i; k++)
			cpu_relax();
		irq_restore(on);
	}
	irq_unregister(vector, count_interrupt, &interrupts);
	irq_unregister(vector, count_interrupt, &n);
	CHECK_EQ(interrupts, 3);
	CHECK_EQ(n, 3);
	CHECK_EQ(irq_count(vector) - before, 3);
	CHECK(irq_name(vector) == NULL);
}

/* ---- time ---- */

static struct timer t1, t2, t3;
static int fired[4], nfired;

static void
timer_note(struct timer *t)
{
	fired[nfired++ & 3] = t == &t1 ? 1 : t == &t2 ? 2 : 3;
}

KTEST(3, clock_timers)
{
	uint64_t start = clock_ns(), end = start + NSEC;

	nfired = 0;
	timer_init(&t1, timer_note);
	timer_init(&t2, timer_note);
	timer_init(&t3, timer_note);
	irq_off();                               /* a slow host must not let the first ones fire too soon */
	timer_arm(&t2, start + 2000000);
	timer_arm(&t3, start + 3000000);
	timer_arm(&t1, start + 9000000);
	timer_arm(&t1, start + 1000000);         /* replaces */
	CHECK(timer_cancel(&t3));
	CHECK(!timer_cancel(&t3));
	timer_arm(&t3, start + 2500000);
	irq_on();
	while (*(volatile int *)&nfired < 3 && clock_ns() < end)
		cpu_relax();
	CHECK_EQ(nfired, 3);
	CHECK(fired[0] == 1 && fired[1] == 2 && fired[2] == 3);
	CHECK(clock_ns() >= start + 2500000);
	CHECK(!timer_cancel(&t1));
}

KTEST(3, clock_monotonic)
{
	uint64_t last = clock_ns(), wall = clock_wall_ns();

	for (int i = 0; i < 20000; i++) {
		uint64_t now = clock_ns();

		if (now < last)
			CHECK(now >= last);
		last = now;
	}
	CHECK(wall > 1700000000ul * NSEC || wall < NSEC * 1000);     /* 2023 or later, or a machine without CMOS clock */
	clock_wall_set(1000 * NSEC);
	CHECK(clock_wall_ns() - 1000 * NSEC < NSEC);
	clock_wall_set(wall + (clock_ns() - last));
}

/* ---- protections ---- */

KTEST(3, trap_protections)
{
	uint32_t id[4];

	cpuid(7, 0, id);
	CHECK(!(id[1] & 1 << 7) || read_cr4() & CR4_SMEP);
	CHECK(!(id[1] & 1 << 20) || read_cr4() & CR4_SMAP);
	CHECK(read_cr0() & CR0_WP);
}

/* ---- user mode by hand ---- */

static struct pagetable upt;
static struct page *ucode, *udata;
static uint64_t saved_root, saved_kstack;
static user_fault_fn saved_hook;
static void *back[5];
static struct trapframe last;
static uint64_t last_cr2;
static trap_fn saved_pf;

/* Page tables with a code page (read, execute) and a data page (read, write); loaded. */
static void
user_setup(const void *code, size_t n)
{
	CHECK_EQ(pt_init(&upt), 0);
	ucode = page_alloc_zero(PG_ANON);
	udata = page_alloc_zero(PG_ANON);
	memcpy(page_virt(ucode), code, n);
	CHECK_EQ(pt_map(&upt, UCODE, page_phys(ucode), PTE_U), 0);
	CHECK_EQ(pt_map(&upt, UDATA, page_phys(udata), PTE_U | PTE_W | PTE_NX), 0);
	irq_off();
	clock_slice(0);
	saved_root = read_cr3();
	saved_pf = trap_register(VEC_PF, NULL);
	pt_load(&upt);
	irq_on();
}

static void
user_teardown(void)
{
	struct pagetable old = { .root = saved_root };

	irq_off();
	pt_load(&old);
	trap_register(VEC_PF, saved_pf);
	irq_on();
	pt_destroy(&upt);
	page_unref(ucode);
	page_unref(udata);
}

static void
user_stopped(struct trapframe *tf, uint64_t cr2)
{
	last = *tf;
	last_cr2 = cr2;
	__builtin_longjmp(back, 1);
}

/* Run user code at UCODE until it faults; the frame is then in `last`. */
static __attribute__((noinline)) void
user_run(void)
{
	void *volatile stack = kstack_alloc();
	struct trapframe *tf = (struct trapframe *)stack - 1;

	saved_hook = trap_set_user_fault_hook(user_stopped);
	saved_kstack = this_cpu->syscall_rsp + SYSCALL_SKIP;
	memset(tf, 0, sizeof *tf);
	tf->rip = UCODE;
	tf->rsp = UDATA + PAGE_SIZE;
	tf->rbx = 0xb0b;
	if (__builtin_setjmp(back) == 0) {
		irq_off();
		trap_set_kstack((uint64_t)stack);
		trap_return(tf);
	}
	irq_off();
	trap_set_kstack(saved_kstack);
	irq_on();
	trap_set_user_fault_hook(saved_hook);
	kstack_free(stack);
}

KTEST(3, user_fault)
{
	static const uint8_t code[] = { 0x0f, 0x0b };                   /* ud2 */

	user_setup(code, sizeof code);
	user_run();
	CHECK_EQ(last.vector, VEC_UD);
	CHECK_EQ(last.rip, UCODE);
	CHECK_EQ(last.rbx, 0xb0b);
	CHECK_EQ(last.cs, SEL_UCODE);
	CHECK(last.rflags & RFLAGS_IF);
	user_teardown();
}

KTEST(3, user_page_faults)
{
	static const uint8_t kernel_read[] = { 0x48, 0xc7, 0xc0, 0, 0, 0x10, 0x80, 0x8a, 0x00 };   /* mov $KERNBASE+1M, %rax; mov (%rax), %al */
	static const uint8_t text_write[] = { 0xc6, 0x05, 0xf9, 0xff, 0xff, 0xff, 0x01 };          /* movb $1, own first byte */
	static const uint8_t data_run[] = { 0xff, 0xe4 };                                          /* jmp *%rsp */
	static const uint8_t noncanonical[] = { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0x00 };

	user_setup(kernel_read, sizeof kernel_read);
	user_run();
	CHECK_EQ(last.vector, VEC_PF);
	CHECK_EQ(last_cr2, KERNBASE + 0x100000);
	CHECK_EQ(last.error, PF_P | PF_U);
	memcpy(page_virt(ucode), text_write, sizeof text_write);
	user_run();
	CHECK_EQ(last.vector, VEC_PF);
	CHECK_EQ(last.error, PF_P | PF_W | PF_U);
	memcpy(page_virt(ucode), data_run, sizeof data_run);
	user_run();
	CHECK_EQ(last.vector, VEC_PF);
	CHECK_EQ(last_cr2, UDATA + PAGE_SIZE);
	memcpy(page_virt(ucode), noncanonical, sizeof noncanonical);
	user_run();
	CHECK_EQ(last.vector, VEC_GP);
	user_teardown();
}

static uint64_t args[6];
static bool was_irq_on;

static long
sys_test(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	uint64_t got[6] = { a0, a1, a2, a3, a4, a5 };

	memcpy(args, got, sizeof args);
	was_irq_on = irq_enabled();
	return 0x1234567890;
}

static long
sys_test_frame(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	struct trapframe *tf = syscall_frame();

	sys_test(a0, a1, a2, a3, a4, a5);
	tf->rbx += a0;
	return tf->error;
}

/* mov $nr, %eax; six arguments 1..6; syscall; ud2 */
static uint8_t syscall_code[] = {
	0xb8, 0, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0xbe, 2, 0, 0, 0, 0xba, 3, 0, 0, 0, 0x41, 0xba, 4, 0, 0, 0, 0x41, 0xb8, 5, 0, 0, 0,
	0x41, 0xb9, 6, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b,
};

static void
run_syscall(uint32_t nr)
{
	memcpy(syscall_code + 1, &nr, 4);
	memcpy(page_virt(ucode), syscall_code, sizeof syscall_code);
	memset(args, 0, sizeof args);
	user_run();
	CHECK_EQ(last.vector, VEC_UD);
	CHECK_EQ(last.rip, UCODE + sizeof syscall_code - 2);
	CHECK_EQ(last.rsp, UDATA + PAGE_SIZE);
	CHECK(last.rdi == 1 && last.rsi == 2 && last.rdx == 3 && last.r10 == 4 && last.r8 == 5 && last.r9 == 6);
}

KTEST(3, syscall_fast)
{
	user_setup(syscall_code, sizeof syscall_code);
	CHECK(!syscall_present(SYS_TEST));
	run_syscall(SYS_TEST);
	CHECK_EQ(last.rax, -ENOSYS);
	run_syscall(1 << 30);
	CHECK_EQ(last.rax, -ENOSYS);
	run_syscall(-1);
	CHECK_EQ(last.rax, -ENOSYS);
	syscall_register(SYS_TEST, sys_test, 0);
	CHECK(syscall_present(SYS_TEST));
	run_syscall(SYS_TEST);
	CHECK_EQ(last.rax, 0x1234567890);
	CHECK_EQ(last.rcx, last.rip);            /* SYSRET's marks: the fast road was taken */
	CHECK_EQ(last.rbx, 0xb0b);
	CHECK(was_irq_on);
	for (uint64_t i = 0; i < 6; i++)
		CHECK_EQ(args[i], i + 1);
	syscall_register(SYS_TEST, (syscall_fn)(void *)syscall_none, 0);
	user_teardown();
}

KTEST(3, syscall_frame)
{
	user_setup(syscall_code, sizeof syscall_code);
	syscall_register(SYS_TEST, sys_test_frame, SYSCALL_FRAME);
	run_syscall(SYS_TEST);
	CHECK_EQ(last.rax, SYS_TEST);
	CHECK_EQ(last.rbx, 0xb0b + 1);
	for (uint64_t i = 0; i < 6; i++)
		CHECK_EQ(args[i], i + 1);
	syscall_register(SYS_TEST, (syscall_fn)(void *)syscall_none, 0);
	user_teardown();
}

static int hook_runs;
static bool hook_counts;

static void
count_return(struct trapframe *tf)
{
	if (hook_counts && trap_from_user(tf))
		hook_runs++;
}

static void
test_init(void)
{
	user_return_register(count_return);
}
INITCALL(3, test_init);

static long
sys_test_work(void)
{
	cpu_set_thread_work(true);
	return -ERESTARTSYS;
}

KTEST(3, syscall_work)
{
	user_setup(syscall_code, sizeof syscall_code);
	syscall_register(SYS_TEST, (syscall_fn)(void *)sys_test_work, 0);
	hook_runs = 0;
	hook_counts = true;
	run_syscall(SYS_TEST);
	hook_counts = false;
	CHECK(hook_runs >= 1);
	CHECK_EQ(last.rax, -EINTR);
	CHECK_EQ(last.rbx, 0xb0b);
	syscall_register(SYS_TEST, (syscall_fn)(void *)syscall_none, 0);
	user_teardown();
}

/* A hostile frame: the way back mends it, and the bad address faults in user mode. */
KTEST(3, user_frame_mended)
{
	struct trapframe tf;

	memset(&tf, 0xff, sizeof tf);
	tf.vector = VEC_SYSCALL;
	irq_off();
	trap_user_return(&tf);
	irq_on();
	CHECK_EQ(tf.cs, SEL_UCODE);
	CHECK_EQ(tf.ss, SEL_UDATA);
	CHECK_EQ(tf.rip, USER_END);
	CHECK_EQ(tf.rflags & 0x3000, 0);         /* no I/O privilege */
}

/* ---- user copies ---- */

KTEST(3, usercopy)
{
	static const uint8_t nothing[] = { 0x0f, 0x0b };
	char buf[64], *data;
	uint64_t edge = UDATA + PAGE_SIZE;
	uint32_t v = 0;

	user_setup(nothing, sizeof nothing);
	data = page_virt(udata);
	CHECK_EQ(copyout(UDATA + 3, "hello, world", 13), 0);
	CHECK(strcmp(data + 3, "hello, world") == 0);
	CHECK_EQ(copyin(buf, UDATA + 3, 13), 0);
	CHECK(strcmp(buf, "hello, world") == 0);
	CHECK_EQ(copyout(UCODE, "x", 1), -EFAULT);                      /* read-only */
	CHECK_EQ(copyin(buf, UHOLE, 8), -EFAULT);
	CHECK_EQ(copyin(buf, 0, 1), -EFAULT);
	CHECK_EQ(copyin(buf, KERNBASE + 0x100000, 8), -EFAULT);
	CHECK_EQ(copyin(buf, USER_END - 4, 8), -EFAULT);
	CHECK_EQ(copyin(buf, -8ul, 16), -EFAULT);
	CHECK_EQ(copyin(buf, UDATA, -1ul), -EFAULT);
	CHECK_EQ(copyin(buf, 0x8000000000000000, 8), -EFAULT);
	CHECK_EQ(copyin(buf, UHOLE, 0), 0);
	for (size_t n = 0; n < 20; n++) {                               /* exact to the byte */
		CHECK_EQ(copyin_partial(buf, edge - n, 20), 20 - n);
		CHECK_EQ(copyout_partial(edge - n, buf, 20), 20 - n);
	}
	CHECK_EQ(copyin_nofault(buf, edge - 5, 20), 15);
	CHECK_EQ(copyout_nofault(UDATA, buf, 20), 0);
	CHECK_EQ(store_user32(UDATA + 8, 77), 0);
	CHECK_EQ(fetch_user32(&v, UDATA + 8), 0);
	CHECK_EQ(v, 77);
	CHECK_EQ(fetch_user32(&v, UHOLE), -EFAULT);
	CHECK_EQ(store_user32(UHOLE, 1), -EFAULT);
	CHECK_EQ(user_zero(UDATA + 1, 100), 0);
	CHECK(data[100] == 0 && data[1] == 0);
	CHECK_EQ(user_zero(edge - 9, 10), -EFAULT);
	user_teardown();
}

KTEST(3, usercopy_str)
{
	static const uint8_t nothing[] = { 0x0f, 0x0b };
	char buf[64], *data;
	uint64_t edge = UDATA + PAGE_SIZE;

	user_setup(nothing, sizeof nothing);
	data = page_virt(udata);
	memset(data, 'a', PAGE_SIZE);
	for (long n = 0; n < 20; n++) {
		data[n] = 0;
		CHECK_EQ(copyinstr(buf, UDATA, sizeof buf), n);
		CHECK_EQ(strlen(buf), n);
		CHECK_EQ(copyinstr(buf, UDATA, n + 1), n);
		CHECK_EQ(copyinstr(buf, UDATA, n), -ENAMETOOLONG);
		data[n] = 'a';
		data[PAGE_SIZE - 1] = 0;
		CHECK_EQ(copyinstr(buf, edge - 1 - n, sizeof buf), n);
		data[PAGE_SIZE - 1] = 'a';
		CHECK_EQ(copyinstr(buf, edge - n, sizeof buf), -EFAULT);
	}
	CHECK_EQ(copyinstr(buf, UHOLE, sizeof buf), -EFAULT);
	CHECK_EQ(copyinstr(buf, USER_END, sizeof buf), -EFAULT);
	CHECK_EQ(copyinstr(buf, KERNBASE + 0x100000, sizeof buf), -EFAULT);
	CHECK_EQ(copyinstr(buf, -1ul, sizeof buf), -EFAULT);
	user_teardown();
}

/* ---- FPU ---- */

/* movq %rbx, %xmm0; syscall; movq %xmm0, %rcx; ud2 */
static const uint8_t fpu_code[] = {
	0x66, 0x48, 0x0f, 0x6e, 0xc3, 0xb8, SYS_TEST & 255, SYS_TEST >> 8, 0, 0, 0x0f, 0x05, 0x66, 0x48, 0x0f, 0x7e, 0xc1, 0x0f, 0x0b,
};
static struct fpu fpu_a, fpu_b;

/* As if another thread ran meanwhile and used the FPU. */
static long
sys_test_switch(void)
{
	bool on = irq_save();

	fpu_switch(&fpu_a, &fpu_b);
	asm volatile("clts; pxor %xmm0, %xmm0");
	this_cpu->fpu_on = true;
	fpu_b.used = true;
	fpu_b.cpu = this_cpu->id;
	this_cpu->fpu_loaded = &fpu_b;
	fpu_switch(&fpu_b, &fpu_a);
	irq_restore(on);
	return 0;
}

KTEST(3, fpu_lazy)
{
	struct fpu *mine = this_cpu->fpu;
	uint64_t xmm0;

	user_setup(fpu_code, sizeof fpu_code);
	syscall_register(SYS_TEST, (syscall_fn)(void *)sys_test_switch, 0);
	fpu_fresh(&fpu_a);
	fpu_fresh(&fpu_b);
	irq_off();
	fpu_switch(mine, &fpu_a);
	irq_on();
	user_run();
	CHECK_EQ(last.vector, VEC_UD);
	CHECK_EQ(last.rcx, 0xb0b);
	fpu_sync(&fpu_a);
	memcpy(&xmm0, fpu_a.area + 160, 8);      /* SDM vol. 1, table 10-2 */
	CHECK_EQ(xmm0, 0xb0b);
	irq_off();
	fpu_switch(&fpu_a, mine);
	irq_on();
	fpu_drop(&fpu_a);
	fpu_drop(&fpu_b);
	syscall_register(SYS_TEST, (syscall_fn)(void *)syscall_none, 0);
	user_teardown();
}

/* ---- tests that end the machine: run by name, the harness looks at the last words and the exit status ---- */

KTEST_MANUAL(3, poweroff)
{
	machine_poweroff();
}

KTEST_MANUAL(3, reboot)
{
	machine_reboot();
}

KTEST_MANUAL(3, kernel_fault)
{
	volatile int *volatile nowhere = (volatile int *)0x10;

	*nowhere = 1;
}

KTEST_MANUAL(3, kernel_text_write)
{
	*(volatile char *)syscall_entry = 0;
}

/* Every call pushes 64 bytes, until the guard page stops it. */
static __attribute__((noinline)) int
recurse(volatile int n)
{
	volatile char room[64];

	room[0] = (char)n;
	return n < 0 ? 0 : recurse(n + 1) + room[0];
}

KTEST_MANUAL(3, kernel_stack_overflow)
{
	asm volatile("movq %0, %%rsp; xorl %%edi, %%edi; call *%1" :: "r"(kstack_alloc()), "r"(recurse) : "memory");
}
