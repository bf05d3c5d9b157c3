/* peek.h - look at a child that has ended and leave it to be waited for: waitid of Linux, which our libc lacks. */
#pragma once
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct peek { int signo, error, code, pad, pid, uid, status, more[25]; };

static inline int
peek_child(int pid, struct peek *p)
{
	return syscall(SYS_waitid, 1, pid, p, 4 /* WEXITED */ | 0x01000000 /* WNOWAIT */, NULL);
}
