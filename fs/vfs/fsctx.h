/* fsctx.h - a process's root and working directory.                                           (lab 7) */
#ifndef FS_VFS_FSCTX_H
#define FS_VFS_FSCTX_H

#include "fs/vfs/mount.h"

/* key: a atomic; l lock */
struct fsctx {
	struct spinlock lock;      /* RANK(7, 60) */
	uint32_t refs;             /* [a] processes that share it (CLONE_FS) */
	struct path root, cwd;     /* [l] referenced */
};

struct fsctx *fsctx_current(void);                   /* the kernel's own for kernel threads */
struct fsctx *fsctx_of(struct proc *p);              /* NULL: exited */
/* referenced copies; either may be NULL */
void fsctx_paths(struct fsctx *c, struct path *root, struct path *cwd);
void fsctx_set_cwd(struct path *p);                  /* takes over the references */
void fsctx_set_root(struct path *p);
/* Copies of a process's root and cwd for /proc; -ESRCH when it is gone. */
int  fsctx_proc_paths(struct proc *p, struct path *root, struct path *cwd);
/* The root of everything was mounted: kernel threads and processes begun from now on start there. */
void fsctx_init_root(struct path root);

#endif
