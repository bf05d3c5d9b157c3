/* fd.h - inside descriptor tables; file.h has fd_get, fd_install, fd_close.                   (lab 7) */
#ifndef FS_VFS_FD_H
#define FS_VFS_FD_H

#include "fs/vfs/file.h"

struct fdtable;

/* identity of the owner of byte-range locks; NULL: none */
struct fdtable *fdtable_current(void);
int  fd_dup(int fd, int min, bool cloexec);          /* fcntl F_DUPFD: new descriptor or -errno */
int  fd_dup_to(int fd, int to, bool cloexec);        /* dup2, dup3: `to` or -errno */
int  fd_get_cloexec(int fd);                         /* 0, 1, -EBADF */
int  fd_set_cloexec(int fd, bool on);
void fd_close_range(unsigned lo, unsigned hi, bool only_cloexec);
/* Called for the first process, which nobody gave descriptors: opens what it starts with. */
void fd_set_first(void (*fn)(void));
/* For /proc: the referenced file behind p's descriptor, NULL if none; the next used descriptor >= fd, -1 if
 * none. */
struct file *fd_get_of(struct proc *p, int fd);
int  fd_next_of(struct proc *p, int fd);

#endif
