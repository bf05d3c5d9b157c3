/* namei.h - from names to paths.                                                              (lab 7) */
#ifndef FS_VFS_NAMEI_H
#define FS_VFS_NAMEI_H

#include "fs/vfs/mount.h"

/* Who asks: the current process by its effective or (access(2)) its real ids. */
enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4, MAY_AS_REAL = 8 };
int  inode_permission(const struct inode *ip, int mask);         /* 0, -EACCES */
int  path_permission(const struct path *p, int mask);            /* also -EROFS */
bool cred_owns(const struct inode *ip);                          /* owner or root: chmod, utimes */
bool cred_is_root(void);
uint32_t cred_uid(void);
uint32_t cred_gid(void);
bool cred_in_group(uint32_t gid, bool real);

enum {
	WALK_FOLLOW = 1,           /* a symlink at the end is followed */
	WALK_DIRECTORY = 2,        /* the end must be a directory */
	WALK_PARENT = 4,           /* stop before the last component */
	WALK_EMPTY = 8,            /* "" means dirfd itself (AT_EMPTY_PATH) */
};

enum last_kind { LAST_NAME, LAST_DOT, LAST_DOTDOT, LAST_ROOT };

/* A walk under way; the fields after `root` are the walker's, the last ones the result of WALK_PARENT. */
struct walk {
	struct path path;          /* where we are; referenced */
	struct path root;          /* referenced */
	const char *rest;          /* text still to walk */
	char *text;                /* allocated: rest after a symlink; NULL: the caller's name */
	int links;                 /* symlinks followed so far */
	unsigned how;

	const char *last;          /* last component, not NUL-terminated */
	size_t len;
	enum last_kind kind;
	bool slash;                /* slashes after it: must be a directory */
};

/* nothing to end when it fails */
int  walk_begin(struct walk *w, int dirfd, const char *name, unsigned how);
int  walk_run(struct walk *w);
/* continue with what the symlink says; walk_run again */
int  walk_link(struct walk *w, struct dentry *link);
void walk_end(struct walk *w);

/* Whole walks. name: kernel text, followed by seven bytes that can be read. *out referenced. */
int  path_lookup(int dirfd, const char *name, unsigned how, struct path *out);
/* Without locks and references: true when everything was cached; *out counts only if dentry_read_valid(seq).
 */
bool path_peek(int dirfd, const char *name, unsigned how, struct path *out);
/* The dentry of a name in a directory, from cache or disk; may be negative. sb->ns held / not held. */
int  name_lookup_locked(struct dentry *dir, const char *name, size_t len, struct dentry **out);
int  name_lookup(struct dentry *dir, const char *name, size_t len, struct dentry **out);

/* A path argument of a system call: short ones live in the struct. name_put also when name_get failed. */
#define NAME_SMALL 120
struct name {
	char *s;
	char small[NAME_SMALL + 8];              /* the walker reads whole words */
};
int  name_get(struct name *n, uint64_t upath);       /* -EFAULT, -ENAMETOOLONG, -ENOMEM */
void name_put(struct name *n);
/* name_get and path_lookup in one. */
int  path_lookup_user(int dirfd, uint64_t upath, unsigned how, struct path *out);

#endif
