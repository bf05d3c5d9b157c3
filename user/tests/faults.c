/* faults.c - each way a program can break itself, and the status its parent sees.           (lab 4) */
#include <stdint.h>
#include <sys/wait.h>
#include "show.h"

static volatile uint64_t zero;
static char data[64] = { (char)0xc3 };
static const char constant[] = "constant";

static void read_null(void) { (void)*(volatile char *)zero; }
static void write_null(void) { *(volatile char *)zero = 1; }
static void read_kernel(void) { (void)*(volatile char *)0xffffffff80100000; }
static void read_direct_map(void) { (void)*(volatile char *)0xffff888000100000; }
static void write_text(void) { *(volatile char *)(uintptr_t)read_null = 1; }
static void write_constant(void) { *(volatile char *)(uintptr_t)constant = 1; }
static void execute_data(void) { ((void (*)(void))(uintptr_t)data)(); }
static void jump_null(void) { ((void (*)(void))zero)(); }
static void jump_kernel(void) { ((void (*)(void))0xffffffff80100000)(); }
static void noncanonical(void) { (void)*(volatile char *)0x8000000000000000; }
static void undefined(void) { asm volatile("ud2"); }
static void divide(void) { zero = 1 / zero; }
static void halt(void) { asm volatile("hlt"); }
static void port(void) { asm volatile("outb %%al, $0x80" :: "a"(0)); }
static void interrupts(void) { asm volatile("cli"); }
static void control(void) { uint64_t v; asm volatile("movq %%cr3, %0" : "=r"(v)); }
static void soft_interrupt(void) { asm volatile("int $0x21"); }
static void bad_segment(void) { asm volatile("movw %%ax, %%ds" :: "a"(0x1230)); }

static void
bad_stack(void)
{
	asm volatile("movq $8, %rsp; pushq $1");
}

static void
run(const char *name, void (*fn)(void))
{
	int status = 0, pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fn();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("%s: status %#x\n", name, status & 0xff7f);      /* without the core-dump bit */
}

#define RUN(fn) run(#fn, fn)

int
main(void)
{
	RUN(read_null);
	RUN(write_null);
	RUN(read_kernel);
	RUN(read_direct_map);
	RUN(write_text);
	RUN(write_constant);
	RUN(execute_data);
	RUN(jump_null);
	RUN(jump_kernel);
	RUN(noncanonical);
	RUN(undefined);
	RUN(divide);
	RUN(halt);
	RUN(port);
	RUN(interrupts);
	RUN(control);
	RUN(soft_interrupt);
	RUN(bad_segment);
	RUN(bad_stack);
	printf("the parent is well\n");
	return 0;
}
