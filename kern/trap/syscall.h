/* syscall.h - the system-call table, filled from below upwards.                             (lab 3)
 *
 * Fast path (syscall_entry.S): SYSCALL switches to the thread's kernel stack, saves only what C does not
 * (rcx, r11, rsp and the argument registers the ABI promises to keep), calls the handler, and goes back by
 * SYSRET. A handler that needs all registers (fork, execve, sigreturn, ...) is registered with SYSCALL_FRAME
 * and finds a full struct trapframe via syscall_frame(); it may change it, and returns by IRET; its result
 * still lands in rax.  After a call with work pending (need_resched, signals) the entry builds the full frame
 * too and runs the user_return hooks.
 */
#ifndef KERN_TRAP_SYSCALL_H
#define KERN_TRAP_SYSCALL_H

#include "kern/trap/trap.h"
#include "lib/abi/sysno.h"

#define NSYSCALL 512

typedef long (*syscall_fn)(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

enum { SYSCALL_FRAME = 1 };
/* Later labs may replace an earlier lab's handler: the last registration wins. Unregistered numbers return
 * -ENOSYS. */
void syscall_register(int nr, syscall_fn fn, int flags);
/* Written so that registering reads as a table: SYSCALL_REG(read, sys_read) uses the number SYS_read of
 * lib/abi/sysno.h. */
#define SYSCALL_REG(name, fn) syscall_register(SYS_##name, (syscall_fn)(void (*)(void))(fn), 0)
#define SYSCALL_REG_FRAME(name, fn) syscall_register(SYS_##name, (syscall_fn)(void (*)(void))(fn), SYSCALL_FRAME)

bool syscall_present(int nr);                    /* for the generated table and /proc */
/* The current system call's full frame: only inside a SYSCALL_FRAME handler or a user_return hook. */
struct trapframe *syscall_frame(void);
/* Two words of syscall_entry.S: what SYSCALL jumps to, and the tables it calls through. */
extern char syscall_entry[], syscall_none[], syscall_with_frame[];
extern void *syscall_table[NSYSCALL];
extern syscall_fn syscall_frame_table[NSYSCALL];
/* Return values that never reach user mode, as Linux numbers them: lab 11 turns them into restart or -EINTR.
 * Without lab 11 the entry turns them into -EINTR. */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

#endif
