/* mount.h - the tree of mounts, and paths in it.                                              (lab 7) */
#ifndef FS_VFS_MOUNT_H
#define FS_VFS_MOUNT_H

#include "fs/vfs/dentry.h"
#include "fs/vfs/file.h"

#define NMOUNT 64            /* most mounts at once */
#define MOUNT_DEAD 0x80000000u

/* key: I immutable while mounted; a atomic; m mount_lock and dentry_change */
struct mount {
	uint32_t refs;             /* [a] the table's, its child mounts', and every path on it */
	unsigned long flags;       /* [a] MS_RDONLY, MS_NOSUID, ... of this mount */
	struct super *sb;          /* [I] */
	struct dentry *root;       /* [I] referenced */
	struct mount *parent;      /* [I] referenced; NULL: the root */
	struct dentry *mountpoint; /* [I] referenced; NULL: the root */
	char source[64];           /* [I] as /proc/mounts shows it */
};

extern struct mutex mount_lock;
extern struct path vfs_root;                         /* [I] once the root is mounted */

/* lock-free: validate afterwards */
struct mount *mount_at(const struct mount *parent, const struct dentry *d);
bool mount_try_get(struct mount *m);
void mount_put(struct mount *m);
/* Mount sb (its dentry root) at `at` (NULL: as the root of everything). Referenced mount in *out. -ENOSPC,
 * -ENOMEM, -EBUSY. */
int  mount_attach(const struct path *at, struct super *sb, struct dentry *root, unsigned long flags,
	const char *source, struct mount **out);
int  mount_detach(struct mount *m, bool lazy);       /* -EBUSY, -EINVAL (the root) */
/* referenced; drops m; NULL: first / no more. Table order */
struct mount *mount_next(struct mount *m);
void super_kill(struct super *sb);                   /* sync, forget, unmount: nobody uses it any more */

struct path path_get(const struct path *p);
void path_put(const struct path *p);
void path_enter_mounts(struct path *p);              /* to the top of what is mounted here */
void path_up(struct path *p, const struct path *root);       /* to `..`, not above root */
/* The text of a path, seen from root, in buf; *out inside buf. -ENAMETOOLONG; -ENOENT when its name was
 * removed (text made anyway). */
int  path_string(const struct path *p, const struct path *root, char *buf, size_t n, char **out);

static inline bool
path_equal(const struct path *a, const struct path *b)
{
	return a->mnt == b->mnt && a->dentry == b->dentry;
}

static inline bool path_readonly(const struct path *p) { return (p->mnt->flags | p->mnt->sb->flags) & 1; }

#endif
