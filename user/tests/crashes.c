/* crashes.c - instructions and addresses that a program may not use, and the signal each ends in.   (lab 4) */
#include <stdint.h>
#include "say.h"

static char data[64] __attribute__((aligned(64))) = { (char)0xc3 };
static char *volatile low = (char *)8;          /* volatile: the compiler must not see through it */

static void write_text(void) { *(volatile char *)(uintptr_t)(void *)write_text = 1; }
static void write_kernel(void) { *(volatile char *)0xffff888000001000ull = 1; }
static void read_noncanonical(void) { (void)*(volatile char *)0x8000000000000000ull; }
static void write_low(void) { *low = 1; }
static void exec_data(void) { ((void (*)(void))(uintptr_t)data)(); }
static void exec_kernel(void) { ((void (*)(void))0xffffffff80100000ull)(); }
static void exec_noncanonical(void) { ((void (*)(void))0x8000000000000000ull)(); }
static void undefined(void) { __asm__ volatile("ud2"); }
static void halt(void) { __asm__ volatile("hlt"); }
static void disable(void) { __asm__ volatile("cli"); }
static void port(void) { __asm__ volatile("outb %%al, $0x80" : : "a"(0)); }
static void breakpoint(void) { __asm__ volatile("int3"); }
static void load_cr3(void) { __asm__ volatile("mov %0, %%cr3" : : "r"(0ul)); }
static void swap_gs(void) { __asm__ volatile("swapgs"); }
static void write_msr(void) { __asm__ volatile("wrmsr" : : "a"(0), "c"(0xc0000102), "d"(0)); }
static void sysret(void) { __asm__ volatile("sysretq" : : "c"(0ul)); }
static void iret(void) { __asm__ volatile("push $0; push $0; push $0; push $8; push $0; iretq"); }
static void bad_interrupt(void) { __asm__ volatile("int $0x21"); }
static void fault_vector(void) { __asm__ volatile("int $14"); }
static void bad_selector(void) { __asm__ volatile("mov %0, %%ss" : : "r"(0)); }
static void kernel_selector(void) { __asm__ volatile("mov %0, %%ds" : : "r"(8)); }
static void no_stack(void) { __asm__ volatile("mov $0, %%rsp; push %%rax" : : : "memory"); }
static void kernel_stack(void) { __asm__ volatile("mov $0xffffffff80200000, %%rsp; push %%rax" : : : "memory"); }
static void trap_flag(void) { __asm__ volatile("pushf; orq $0x100, (%%rsp); popf; nop; nop" : : : "memory"); }
static void nested_task(void) { __asm__ volatile("pushf; orq $0x4000, (%%rsp); popf" : : : "memory"); }
static void direction(void) { __asm__ volatile("std"); (void)getppid(); __asm__ volatile("cld"); }

int
main(void)
{
	in_child("write text", write_text);
	in_child("write kernel", write_kernel);
	in_child("read non-canonical", read_noncanonical);
	in_child("write low", write_low);
	in_child("exec data", exec_data);
	in_child("exec kernel", exec_kernel);
	in_child("exec non-canonical", exec_noncanonical);
	in_child("undefined", undefined);
	in_child("hlt", halt);
	in_child("cli", disable);
	in_child("out", port);
	in_child("int3", breakpoint);
	in_child("mov cr3", load_cr3);
	in_child("swapgs", swap_gs);
	in_child("wrmsr", write_msr);
	in_child("sysret", sysret);
	in_child("iret to nowhere", iret);
	in_child("int 0x21", bad_interrupt);
	in_child("int 14", fault_vector);
	in_child("null ss", bad_selector);
	in_child("kernel ds", kernel_selector);
	in_child("null stack", no_stack);
	in_child("kernel stack", kernel_stack);
	in_child("trap flag", trap_flag);
	in_child("nested task", nested_task);
	in_child("direction flag", direction);
	say("alive\n");
	return 0;
}
