/* offsets.h - the numbers assembly needs; offsets.c proves each of them.                    (lab 3) */
#ifndef KERN_TRAP_OFFSETS_H
#define KERN_TRAP_OFFSETS_H

/* struct cpu (kern/boot/cpu.h) */
#define CPU_SELF        0
#define CPU_SYSCALL_RSP 16
#define CPU_USER_RSP    24
#define CPU_WORK        32

/* struct trapframe (kern/trap/trap.h) */
#define TF_VECTOR 0
#define TF_R15    8
#define TF_R14    16
#define TF_R13    24
#define TF_R12    32
#define TF_RBP    40
#define TF_RBX    48
#define TF_R11    56
#define TF_RCX    64
#define TF_RAX    72
#define TF_R10    80
#define TF_R9     88
#define TF_R8     96
#define TF_RDX    104
#define TF_RSI    112
#define TF_RDI    120
#define TF_ERROR  128
#define TF_RIP    136
#define TF_CS     144
#define TF_RFLAGS 152
#define TF_RSP    160
#define TF_SS     168
#define TF_SIZE   176

/* SYSCALL starts this far below the top of the kernel stack: see syscall_entry.S */
#define SYSCALL_SKIP 16

/* enums of trap.h, and NSYSCALL of syscall.h */
#define ASM_SEL_UDATA   0x1b
#define ASM_SEL_UCODE   0x23
#define ASM_VEC_SYSCALL 0x100
#define ASM_NSYSCALL    512
#define ASM_ENOSYS      38

#endif
