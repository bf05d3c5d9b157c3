/* signal.h - signal numbers, sigaction, siginfo, and the frame that a handler runs on.
 *
 * Idea.       What the kernel pushes for a handler, and rt_sigreturn pops, lowest address first:
 *                 return address (sa_restorer) | struct ucontext | struct siginfo | ... fpstate (64-aligned)
 *             The handler is entered with rsp at the return address, so rsp % 16 == 8 as after a call;
 *             rdi = signal, rsi = &siginfo, rdx = &ucontext.  uc_mcontext.fpstate points to the FXSAVE area.
 * Invariants. I1 sigset_t: bit N-1 stands for signal N.  I2 SIGKILL and SIGSTOP are never blocked or caught.
 */
#pragma once
#include "lib/abi/types.h"

#define SIGHUP          1
#define SIGINT          2
#define SIGQUIT         3
#define SIGILL          4
#define SIGTRAP         5
#define SIGABRT         6
#define SIGIOT          6
#define SIGBUS          7
#define SIGFPE          8
#define SIGKILL         9
#define SIGUSR1         10
#define SIGSEGV         11
#define SIGUSR2         12
#define SIGPIPE         13
#define SIGALRM         14
#define SIGTERM         15
#define SIGSTKFLT       16
#define SIGCHLD         17
#define SIGCONT         18
#define SIGSTOP         19
#define SIGTSTP         20
#define SIGTTIN         21
#define SIGTTOU         22
#define SIGURG          23
#define SIGXCPU         24
#define SIGXFSZ         25
#define SIGVTALRM       26
#define SIGPROF         27
#define SIGWINCH        28
#define SIGIO           29
#define SIGPOLL         29
#define SIGPWR          30
#define SIGSYS          31
#define SIGRTMIN        32              /* as the kernel counts */
#define SIGRTMAX        64
#define _NSIG           64

#define SA_NOCLDSTOP    0x00000001ul
#define SA_NOCLDWAIT    0x00000002ul
#define SA_SIGINFO      0x00000004ul
#define SA_UNSUPPORTED  0x00000400ul
#define SA_EXPOSE_TAGBITS 0x00000800ul
#define SA_RESTORER     0x04000000ul
#define SA_ONSTACK      0x08000000ul
#define SA_RESTART      0x10000000ul
#define SA_NODEFER      0x40000000ul
#define SA_RESETHAND    0x80000000ul

#define SIG_BLOCK       0
#define SIG_UNBLOCK     1
#define SIG_SETMASK     2

#define SS_ONSTACK      1
#define SS_DISABLE      2
#define SS_AUTODISARM   (1u << 31)
#define MINSIGSTKSZ     2048
#define SIGSTKSZ        8192

#define SI_USER         0               /* si_code: who sent it */
#define SI_KERNEL       0x80
#define SI_QUEUE        (-1)
#define SI_TIMER        (-2)
#define SI_TKILL        (-6)
#define ILL_ILLOPC      1
#define ILL_ILLOPN      2
#define ILL_PRVOPC      5
#define FPE_INTDIV      1
#define FPE_INTOVF      2
#define FPE_FLTDIV      3
#define FPE_FLTOVF      4
#define FPE_FLTUND      5
#define FPE_FLTRES      6
#define FPE_FLTINV      7
#define SEGV_MAPERR     1
#define SEGV_ACCERR     2
#define BUS_ADRALN      1
#define BUS_ADRERR      2
#define BUS_OBJERR      3
#define TRAP_BRKPT      1
#define TRAP_TRACE      2
#define CLD_EXITED      1
#define CLD_KILLED      2
#define CLD_DUMPED      3
#define CLD_TRAPPED     4
#define CLD_STOPPED     5
#define CLD_CONTINUED   6

typedef uint64_t sigset_t;

union sigval {
	int sival_int;
	void *sival_ptr;
};

/* 128 bytes; which of the union counts depends on si_signo and si_code. */
typedef struct siginfo {
	int32_t si_signo;
	int32_t si_errno;
	int32_t si_code;
	int32_t si_pad0;
	union {
		struct {                /* kill, SIGCHLD */
			pid_t si_pid;
			uid_t si_uid;
			union {
				int32_t si_status;      /* SIGCHLD: exit code or signal */
				union sigval si_value;  /* rt_sigqueueinfo */
			};
			clock_t si_utime;
			clock_t si_stime;
		};
		void *si_addr;          /* SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP */
		struct {                /* timer_create */
			int32_t si_timerid;
			int32_t si_overrun;
		};
		int8_t si_pad1[112];
	};
} siginfo_t;

typedef void (*sighandler_t)(int);
#define SIG_DFL ((sighandler_t)0)
#define SIG_IGN ((sighandler_t)1)
#define SIG_ERR ((sighandler_t)-1)

/* As rt_sigaction takes it; x86-64 refuses a handler without SA_RESTORER when it is to return. */
struct sigaction {
	union {
		sighandler_t sa_handler;
		void (*sa_sigaction)(int, siginfo_t *, void *);
	};
	uint64_t sa_flags;
	void (*sa_restorer)(void);
	sigset_t sa_mask;
};

typedef struct sigaltstack {
	void *ss_sp;
	int32_t ss_flags;
	size_t ss_size;
} stack_t;

/* The 512 bytes of FXSAVE (Intel SDM vol. 1, table 10-2). */
struct fpstate {
	uint16_t cwd;
	uint16_t swd;
	uint16_t twd;
	uint16_t fop;
	uint64_t rip;
	uint64_t rdp;
	uint32_t mxcsr;
	uint32_t mxcr_mask;
	uint32_t st_space[32];
	uint32_t xmm_space[64];
	uint32_t reserved[12];
	uint32_t sw_reserved[12];       /* first word 0: no XSAVE area behind it */
};

struct sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
	uint64_t eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	struct fpstate *fpstate;        /* NULL: no FPU state */
	uint64_t reserved1[8];
};

#define UC_FP_XSTATE            0x1
#define UC_SIGCONTEXT_SS        0x2
#define UC_STRICT_RESTORE_SS    0x4

typedef struct ucontext {
	uint64_t uc_flags;
	struct ucontext *uc_link;
	stack_t uc_stack;
	struct sigcontext uc_mcontext;
	sigset_t uc_sigmask;
} ucontext_t;

/* What lies at rsp when a handler starts. */
struct rt_sigframe {
	void (*pretcode)(void);         /* sa_restorer */
	struct ucontext uc;
	struct siginfo info;
};
