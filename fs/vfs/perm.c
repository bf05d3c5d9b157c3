/* perm.c - who may do what with a file.                                                       (lab 7)
 *
 * Idea.       Nine mode bits: owner, group, others; root passes all but "execute a file that nobody may
 *             execute".
 * Interface.  inode_permission, path_permission, cred_* of namei.h.
 * Locks.      None: credentials change only by the process's own threads.
 */
#include "fs/vfs/namei.h"
#include "lib/abi/errno.h"

uint32_t
cred_uid(void)
{
	struct proc *p = current_proc();
	return p ? p->cred.euid : 0;
}

uint32_t
cred_gid(void)
{
	struct proc *p = current_proc();
	return p ? p->cred.egid : 0;
}

bool
cred_is_root(void)
{
	return cred_uid() == 0;
}

bool
cred_owns(const struct inode *ip)
{
	uint32_t uid = cred_uid();
	return uid == 0 || uid == ip->uid;
}

bool
cred_in_group(uint32_t gid, bool real)
{
	struct proc *p = current_proc();

	if (!p || gid == (real ? p->cred.gid : p->cred.egid))
		return true;
	for (uint32_t i = 0; i < p->cred.ngroups; i++)
		if (p->cred.groups[i] == gid)
			return true;
	return false;
}

/* May the current process do everything in mask (MAY_*) with ip? Kernel threads may. Returns 0 or -EACCES. */
int
inode_permission(const struct inode *ip, int mask)
{
	struct proc *p = current_proc();
	uint32_t mode = ip->mode, want = mask & 7;

	if (!p)
		return 0;
	uint32_t uid = mask & MAY_AS_REAL ? p->cred.uid : p->cred.euid;
	if (uid == 0)
		return want & MAY_EXEC && !S_ISDIR(mode) && !(mode & 0111) ? -EACCES : 0;
	if (uid == ip->uid)
		mode >>= 6;
	else if (cred_in_group(ip->gid, mask & MAY_AS_REAL))
		mode >>= 3;
	return (mode & want) == want ? 0 : -EACCES;
}

/* The same for a file reached by a path: writing to files and directories of a read-only mount is -EROFS. */
int
path_permission(const struct path *p, int mask)
{
	const struct inode *ip = p->dentry->inode;

	if (mask & MAY_WRITE && path_readonly(p) && (S_ISREG(ip->mode) || S_ISDIR(ip->mode) || S_ISLNK(ip->mode)))
		return -EROFS;
	return inode_permission(ip, mask);
}
