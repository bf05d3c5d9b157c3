/* exec.h - replace a process's program: ELF, #! scripts, the initial stack.                   (lab 4) */
#ifndef KERN_PROC_EXEC_H
#define KERN_PROC_EXEC_H

#include "kern/proc/proc.h"
#include "kern/proc/source.h"

/* How a path becomes a source. Lab 4: the boot archive; lab 7 fills the slot with the VFS and falls back to it. -errno: ENOENT EACCES ... */
void exec_set_open(int (*open)(const char *path, struct source **out));
int  exec_open_archive(const char *path, struct source **out);
/* The work of execve for kernel callers and the system call: argv/envp are packed strings in kernel memory. */
struct exec_args;
long proc_exec(const char *path, struct exec_args *args, struct trapframe *tf);
/* Start pid 1 from the first of init=, /init, /sbin/init, /bin/init, /bin/sh that there is; called once. -errno. */
int  init_start(void);
/* Lab 7+ runs fn before init starts (mount the root), in a thread that may sleep; in registration order. */
void init_register(void (*fn)(void));

#endif
