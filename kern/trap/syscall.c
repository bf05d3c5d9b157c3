/* syscall.c - filling the system-call table.                                                 (lab 3)
 *
 * Idea.       syscall_entry.S calls syscall_table[nr]. A call that wants all registers has syscall_with_frame
 *             there, which completes the frame and goes on to syscall_frame_table[nr]. Absent calls have
 *             syscall_none: -ENOSYS.
 * Invariants. I1 every entry of syscall_table can be called.
 * Locks.      None: written at boot.
 */
#include "kern/trap/syscall.h"
#include "kern/boot/print.h"
#include "kern/trap/offsets.h"

/* Make `fn` answer system call `nr`, instead of whoever did before. flags: SYSCALL_FRAME. */
void
syscall_register(int nr, syscall_fn fn, int flags)
{
	assert(nr >= 0 && nr < NSYSCALL);
	if (flags & SYSCALL_FRAME) {
		syscall_frame_table[nr] = fn;
		syscall_table[nr] = syscall_with_frame;
	} else {
		syscall_table[nr] = (void *)fn;
	}
}

bool
syscall_present(int nr)
{
	return nr >= 0 && nr < NSYSCALL && syscall_table[nr] != (void *)syscall_none;
}

/* The full frame lies at the top of the kernel stack, just above syscall_rsp. */
struct trapframe *
syscall_frame(void)
{
	return (struct trapframe *)(this_cpu->syscall_rsp + SYSCALL_SKIP) - 1;
}
