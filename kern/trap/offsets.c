/* offsets.c - proof that offsets.h tells assembly the truth. No code.                       (lab 3) */
#include "kern/trap/offsets.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"

#define PROVE(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #offset)

PROVE(cpu, self, CPU_SELF);
PROVE(cpu, syscall_rsp, CPU_SYSCALL_RSP);
PROVE(cpu, user_rsp, CPU_USER_RSP);
PROVE(cpu, work, CPU_WORK);
PROVE(cpu, need_resched, CPU_WORK);

PROVE(trapframe, r15, TF_R15);
PROVE(trapframe, r14, TF_R14);
PROVE(trapframe, r13, TF_R13);
PROVE(trapframe, r12, TF_R12);
PROVE(trapframe, rbp, TF_RBP);
PROVE(trapframe, rbx, TF_RBX);
PROVE(trapframe, r11, TF_R11);
PROVE(trapframe, rcx, TF_RCX);
PROVE(trapframe, rax, TF_RAX);
PROVE(trapframe, r10, TF_R10);
PROVE(trapframe, r9, TF_R9);
PROVE(trapframe, r8, TF_R8);
PROVE(trapframe, rdx, TF_RDX);
PROVE(trapframe, rsi, TF_RSI);
PROVE(trapframe, rdi, TF_RDI);
PROVE(trapframe, vector, TF_VECTOR);
PROVE(trapframe, error, TF_ERROR);
PROVE(trapframe, rip, TF_RIP);
PROVE(trapframe, cs, TF_CS);
PROVE(trapframe, rflags, TF_RFLAGS);
PROVE(trapframe, rsp, TF_RSP);
PROVE(trapframe, ss, TF_SS);
_Static_assert(sizeof(struct trapframe) == TF_SIZE && TF_SIZE % 16 == 0, "calls need an aligned stack");

_Static_assert(SEL_UDATA == ASM_SEL_UDATA && SEL_UCODE == ASM_SEL_UCODE, "selectors");
_Static_assert(VEC_SYSCALL == ASM_VEC_SYSCALL && NSYSCALL == ASM_NSYSCALL && ENOSYS == ASM_ENOSYS, "numbers");
