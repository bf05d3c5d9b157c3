/* procfs.h - how a file of /proc is described.                                                (lab 10) */
#ifndef FS_PROCFS_PROCFS_H
#define FS_PROCFS_PROCFS_H

#include "fs/procfs/seq.h"
#include "fs/vfs/file.h"

#define PROC_PID "PID"       /* dir of entries that every process has */

/* One entry of /proc. Exactly one of show, link, list is set, none for a plain directory.
 * p: the process, referenced, for entries below PROC_PID; else NULL. All may sleep; 0 or -errno. */
struct proc_entry {
	const char *dir;           /* "", "sys/kernel", PROC_PID */
	const char *name;
	uint32_t mode;             /* type and permission */
	int  (*show)(struct seq *s, struct proc *p);                     /* regular file: its text, as of now */
	long (*link)(struct proc *p, int n, char *buf, size_t size);     /* symlink: its text's length */
	/* symlink: where it leads; NULL: by its text */
	int  (*follow)(struct inode *ip, struct proc *p, int n, struct path *out);
	/* Directory of numbers (fd, task): the next number >= n, -1: none; its members are described by `member`. */
	int  (*list)(struct proc *p, int n);
	const struct proc_entry *member;
	struct proc_entry *next;   /* procfs_register's */
	int index;
};

void procfs_register(struct proc_entry *table, int n);
/* May the current process look into p (its memory, files, root)? 0 or -EACCES. */
int  proc_may_look(struct proc *p);
/* What `what` a /proc inode belongs to, for follow: process (referenced, NULL: gone) and number. */
struct proc *procfs_proc_of(struct inode *ip, int *n);

#endif
