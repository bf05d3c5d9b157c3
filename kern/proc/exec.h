/* exec.h - replace a process's program: ELF, #! scripts, the initial stack.                   (lab 4) */
#ifndef KERN_PROC_EXEC_H
#define KERN_PROC_EXEC_H

#include "kern/proc/proc.h"
#include "kern/proc/source.h"

/* How a path becomes a source. Lab 4: the boot archive; lab 7 fills the slot with the VFS and falls back to
 * it. -errno: ENOENT EACCES ... */
void exec_set_open(int (*open)(const char *path, struct source **out));
int  exec_open_archive(const char *path, struct source **out);
/* argv and then envp as packed strings in kernel memory, each ending in NUL. */
struct exec_args {
	char *buf;                 /* kmalloc'ed */
	size_t len, cap;           /* bytes used, allocated */
	size_t arg_len;            /* of them argv's */
	int argc, envc;
};
/* -E2BIG, -ENOMEM; all of argv before envp */
int  exec_args_add(struct exec_args *a, const char *s, bool env);
void exec_args_free(struct exec_args *a);
/* execve of the current process: 0 and *tf describes the new program's start, or -errno and nothing has
 * changed. */
long proc_exec(const char *path, struct exec_args *args, struct trapframe *tf);
/* elf.c: map one program into an address space that nobody uses yet. */
struct elf_image {
	/* in user memory; base: difference between file and memory addresses */
	uint64_t entry, base, phdr, brk;
	uint16_t phnum;
	char interp[256];          /* PT_INTERP, "" without */
};
/* -ENOEXEC, -ENOMEM, -EIO */
int  elf_load(struct aspace *as, struct source *src, uint64_t dyn_base, struct elf_image *out);
int  exec_first(const char *path, struct exec_args *args);           /* make pid 1 of it: 0 or -errno */
/* Start pid 1 from the first of init=, /init, /sbin/init, /bin/init, /bin/sh that there is; called once.
 * -errno. */
int  init_start(void);
/* Lab 7+ runs fn before init starts (mount the root), in a thread that may sleep; in registration order. */
void init_register(void (*fn)(void));

#endif
