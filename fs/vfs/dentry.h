/* dentry.h - the name cache.                                                                  (lab 7) */
#ifndef FS_VFS_DENTRY_H
#define FS_VFS_DENTRY_H

#include "fs/vfs/vfs.h"

#define DENTRY_INLINE 40     /* names up to this length live in the dentry and can be found without a lock */
#define DENTRY_DEAD 0x80000000u

enum { D_HASHED = 1, D_MOUNTED = 2 };

/* key: I immutable while referenced; a atomic; d dcache_lock, and changes that could mislead a lock-free
 * reader bump the sequence */
struct dentry {
	uint32_t refs;             /* [a] children hold one each; DENTRY_DEAD: on the pool's chain */
	uint32_t hash;             /* [d] of name and parent */
	struct dentry *parent;     /* [d] itself for a root */
	struct inode *inode;       /* [d] referenced; NULL: there is no such name */
	struct dentry *next;       /* [d] hash chain */
	struct super *sb;          /* [I] */
	uint16_t len;              /* [d] */
	uint8_t flags;             /* [d] D_* */
	uint8_t used;              /* [a] looked up since the clock's hand passed */
	char *name;                /* [d] iname, or allocated when longer */
	struct list children, sibling;   /* [d] */
	struct list clock;         /* [d] all hashed dentries, for pruning */
	/* zeros after the name's end, so that whole words can be compared */
	uint64_t iname[DENTRY_INLINE / 8];
};

extern uint32_t dcache_seq;  /* odd: a change is under way */

/* Lock-free readers: begin; look at dentries, inodes, mounts; what was seen counts only if it is still valid
 * at the end. */
static inline uint32_t dentry_read_begin(void) { return __atomic_load_n(&dcache_seq, __ATOMIC_ACQUIRE); }

static inline bool
dentry_read_valid(uint32_t seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(seq & 1) && __atomic_load_n(&dcache_seq, __ATOMIC_RELAXED) == seq;
}

/* A name as the walker compares it: its hash, its length, its first eight bytes padded with zeros. */
struct qname {
	const char *s;             /* eight readable bytes from each byte of it on */
	size_t len;
	uint64_t first;
	uint32_t hash;
};

static inline uint64_t
name_hash_add(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ul;
	return h ^ h >> 32;
}

static inline uint64_t name_word(const char *s) { uint64_t w; __builtin_memcpy(&w, s, sizeof w); return w; }
static inline uint64_t name_mask(size_t n) { return n >= 8 ? ~0ul : (1ul << 8 * n) - 1; }

struct dentry *dentry_peek(const struct dentry *parent, const struct qname *q);
bool dentry_try_get(struct dentry *d);               /* lock-free reader's reference: validate afterwards */
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);                   /* may sleep */
struct dentry *dentry_find(struct dentry *parent, const char *name, size_t len);
/* New name below parent (sb->ns held, name not cached); ip's reference is taken over, also on failure; NULL:
 * negative. */
int  dentry_add(struct dentry *parent, const char *name, size_t len, struct inode *ip, struct dentry **out);
void dentry_set_inode(struct dentry *d, struct inode *ip);       /* negative -> ip (reference taken over) */
void dentry_delete(struct dentry *d);                /* the name is gone from disk; children too */
int  dentry_move(struct dentry *d, struct dentry *ndir, const char *name, size_t len, struct dentry *over);
bool dentry_is_below(struct dentry *d, struct dentry *top);      /* d == top or below; sb->ns held */
/* a cached name of it, referenced; NULL: none. Slow: looks at all */
struct dentry *dentry_of_inode(struct inode *ip);
void dentry_prune_children(struct dentry *d);        /* forget unused names below d */
void dentry_prune_super(struct super *sb);
int  dentry_prune(int n);
uint32_t dentry_count(void);

/* Parents and names stand still in between (path_string). */
void dentry_lock(void);
void dentry_unlock(void);
/* For mount.c: change what the walker sees, under dcache_lock with the sequence odd. */
void dentry_change_begin(void);
void dentry_change_end(void);

#endif
