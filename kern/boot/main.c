/* main.c - kmain: the order of the syllabus, executed.                                        (lab 1)
 *
 * Idea.       Every layer hangs its init function into the initcall table; kmain runs the table in lab
 *             order. The highest layer that knows what to do with a CPU (lab 4's scheduler) registers as
 *             main; without one, the kernel tests itself if asked to, or says what it cannot do yet.
 */
#include "kern/boot/bootinfo.h"
#include "kern/boot/cpu.h"
#include "kern/boot/initcall.h"
#include "kern/boot/ktest.h"
#include "kern/boot/labinfo.h"
#include "kern/boot/observe.h"
#include "kern/boot/print.h"

extern const initcall_fn initcall_start[], initcall_end[];      /* kernel.lds */

static void (*main_fn)(void);

void
main_register(void (*fn)(void))
{
	main_fn = fn;
}

void
labinfo_print(void)
{
	const char *sep = "Eclipse: labs ";

	for (int i = 0, j; i < nlabinfo; i = j) {         /* runs of present labs: "1-4" */
		for (j = i; j < nlabinfo && labinfo[j].present && labinfo[j].num - labinfo[i].num == j - i; j++)
			;
		if (j == i) {
			j++;
			continue;
		}
		kprintf(j - i == 1 ? "%s%d" : "%s%d-%d", sep, labinfo[i].num, labinfo[j - 1].num);
		sep = ", ";
	}
	kprintf("\n");
	for (int i = 0; i < nlabinfo; i++)
		kprintf("  %-5s %2d %s: %s\n", labinfo[i].present ? "has" : "lacks", labinfo[i].num, labinfo[i].title,
			labinfo[i].what);
}

_Noreturn void kmain(uint32_t magic, uint64_t info_phys);

/* Called by boot.S on the boot stack, interrupts off. */
_Noreturn void
kmain(uint32_t magic, uint64_t info_phys)
{
	cpu_init_boot();
	bootinfo_init(magic, info_phys);
	for (const initcall_fn *fn = initcall_start; fn < initcall_end; fn++)
		(*fn)();
	if (main_fn)
		main_fn();
	if (observe_wanted())
		observe_run_and_exit();
	if (ktest_wanted())
		ktest_run_and_exit();
	labinfo_print();
	kprintf("nothing left to do: halted\n");
	for (;;)
		asm volatile("cli; hlt");
}
