/* model.c - the oracle: what may be found after a crash.
 *
 * Idea.       Every process works alone in /p<N>, and its operations are numbered. When b is the last one
 *             announced, then
 *
 *                 names     are those after the first k operations, for one k with lo <= k <= b+1: changes
 *                           of names reach the disk in order, each whole or not at all. lo: what fsync,
 *                           sync or O_SYNC have promised by then.
 *                 contents  of a file: each byte is what it was at the file's last returned sync, or what
 *                           an operation since then (b included) has put there, or zero where since then
 *                           the file was cut or has grown. The size lies among those it has had since.
 *
 *             So a file that was synced and not touched since is exact, and nothing that is foreign to a
 *             file ever shows in it. fsync(f) promises f's content and every name operation on f so far;
 *             fdatasync(f) the content; fsync(dir) every name operation in it; sync everything.
 * Interface.  model_add() all records in any order of processes, model_finish(); then for each point
 *             model_announced() as records appear (points only go forward; model_reset() goes back to the
 *             start), and model_check().
 * Invariants. I1 snapshot[k] is the tree after k operations; equal neighbours share it.
 *             I2 an object's base is its content at operation base_at, made by going forward only.
 * Locks.      None.
 */
#include "grade/crash/model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/eclipsefs/host/image.h"

#define MAX_CONTENT (1u << 20)

struct entry {
	const char *path;
	uint64_t hash;
	uint32_t object, mode, nlink;
};

struct snapshot {
	uint64_t hash;
	size_t n;
	struct entry *e;		/* sorted by hash */
};

struct operation {
	struct crash_record r;
	int32_t result;
	bool known;			/* the record after it said how it ended */
	uint32_t object;		/* what its content or sync is about, or 0 */
	uint32_t promise;		/* syncs: names of the first so many operations are promised */
	struct snapshot *after;		/* snapshot[index + 1] */
};

struct object {
	uint32_t mode;
	const char *target;		/* symlinks */
	uint32_t touched;		/* 1 + the last operation on its names */
	uint32_t *ops;			/* indices of those on its content */
	size_t nops;
	uint8_t *base;			/* I2 */
	uint64_t base_size;
	size_t base_ops;		/* how many of ops are in it */
};

struct process {
	struct operation *ops;
	size_t n;
	struct object *objects;		/* from 1 */
	size_t nobjects;
	struct entry *tree;
	size_t ntree;
	struct snapshot *first;		/* snapshot[0] */
	int64_t announced;		/* last operation begun, -1 none */
};

static struct process procs[CRASH_PROCS];

/* ---- small ---- */

uint64_t
model_hash(const void *p, size_t n)
{
	const uint8_t *s = p;
	uint64_t h = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < n; i++)
		h = (h ^ s[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* One object's part of the hash of a tree: all its names, and what it is. */
static uint64_t
object_hash(uint64_t names, uint32_t mode, uint32_t nlink, const void *target, size_t n)
{
	uint64_t text = S_ISLNK(mode) ? model_hash(target, n) : 0;
	return mix(names ^ mix((mode & S_IFMT) * 0x9e3779b97f4a7c15ull + nlink) ^ text);
}

static void __attribute__((format(printf, 3, 4)))
explain(char *why, size_t room, const char *fmt, ...)
{
	size_t used = strlen(why);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why + used, room - used, fmt, ap);
	va_end(ap);
}

static const char *const op_names[] = { "begin", "create", "write", "write O_SYNC", "truncate", "fsync",
	"fdatasync", "sync", "mkdir", "rmdir", "unlink", "rename", "link", "symlink", "chmod", "other", "end" };

/* ---- the tree while operations are gone through ---- */

static struct entry *
tree_find(struct process *p, const char *path)
{
	for (size_t i = 0; i < p->ntree; i++)
		if (strcmp(p->tree[i].path, path) == 0)
			return &p->tree[i];
	return NULL;
}

static void
tree_add(struct process *p, const char *path, uint32_t object)
{
	p->tree = xgrow(p->tree, (p->ntree + 1) * sizeof(*p->tree));
	p->tree[p->ntree++] = (struct entry){ .path = path, .object = object,
		.hash = model_hash(path, strlen(path)) };
}

static void
tree_remove(struct process *p, struct entry *e)
{
	*e = p->tree[--p->ntree];
}

static uint32_t
object_new(struct process *p, uint32_t mode, const char *target)
{
	p->objects = xgrow(p->objects, (p->nobjects + 2) * sizeof(*p->objects));
	p->objects[++p->nobjects] = (struct object){ .mode = mode, .target = target };
	return (uint32_t)p->nobjects;
}

/* An operation on a name: the object, the one that loses the name and the directory are touched. */
static void
touch(struct process *p, uint32_t index, const char *path, uint32_t object)
{
	char parent[CRASH_PATH];
	strcpy(parent, path);
	char *slash = strrchr(parent, '/');
	if (object)
		p->objects[object].touched = index + 1;
	if (!slash)
		return;
	*slash = 0;
	struct entry *e = tree_find(p, parent);
	if (e)
		p->objects[e->object].touched = index + 1;
}

static void
tree_rename(struct process *p, uint32_t index, const char *from, const char *to)
{
	struct entry *e = tree_find(p, from), *old = tree_find(p, to);
	if (!e || e == old || (old && old->object == e->object))
		return;
	touch(p, index, from, e->object);
	touch(p, index, to, old ? old->object : 0);
	if (old)
		tree_remove(p, old);
	size_t n = strlen(from);
	for (size_t i = 0; i < p->ntree; i++) {
		struct entry *c = &p->tree[i];
		if (strncmp(c->path, from, n) != 0 || (c->path[n] != 0 && c->path[n] != '/'))
			continue;
		char *path = xalloc(strlen(to) + strlen(c->path) - n + 1);
		strcat(strcpy(path, to), c->path + n);
		c->path = path;
		c->hash = model_hash(path, strlen(path));
	}
}

static void
content_op(struct process *p, uint32_t object, uint32_t index)
{
	struct object *o = &p->objects[object];
	if (o->nops && o->ops[o->nops - 1] == index)
		return;
	if ((o->nops & (o->nops - 1)) == 0)
		o->ops = xgrow(o->ops, (o->nops ? 2 * o->nops : 1) * sizeof(*o->ops));
	o->ops[o->nops++] = index;
}

/* ---- snapshots ---- */

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static void
links_count(struct process *p)
{
	for (size_t i = 0; i < p->ntree; i++) {
		struct entry *e = &p->tree[i];
		size_t len = strlen(e->path);
		e->mode = p->objects[e->object].mode;
		e->nlink = S_ISDIR(e->mode) ? 2 : 0;
		for (size_t j = 0; j < p->ntree; j++) {
			const struct entry *c = &p->tree[j];
			if (!S_ISDIR(e->mode))
				e->nlink += c->object == e->object;
			else if (S_ISDIR(p->objects[c->object].mode) && strncmp(c->path, e->path, len) == 0 && c->path[len] == '/')
				e->nlink += strchr(c->path + len + 1, '/') == NULL;
		}
	}
}

static struct snapshot *
snapshot_take(struct process *p)
{
	struct snapshot *s = xalloc(sizeof(*s));
	links_count(p);
	s->n = p->ntree;
	s->e = xalloc(s->n * sizeof(*s->e));
	memcpy(s->e, p->tree, s->n * sizeof(*s->e));
	if (s->n)
		qsort(s->e, s->n, sizeof(*s->e), entry_compare);
	for (size_t i = 0; i < s->n; i++) {
		const char *target = p->objects[s->e[i].object].target;
		uint64_t names = 0;
		bool first = true;
		for (size_t j = 0; j < s->n; j++) {
			if (s->e[j].object != s->e[i].object)
				continue;
			first &= j >= i;
			names += mix(s->e[j].hash);
		}
		if (first)
			s->hash += object_hash(names, s->e[i].mode, s->e[i].nlink, target, target ? strlen(target) : 0);
	}
	return s;
}

/* ---- one operation ---- */

static void
name_op_apply(struct process *p, uint32_t index)
{
	struct crash_record *r = &p->ops[index].r;
	struct entry *e;
	uint32_t o;
	switch (r->op) {
	case CRASH_CREATE:
	case CRASH_MKDIR:
		o = object_new(p, r->op == CRASH_MKDIR ? S_IFDIR | 0755 : S_IFREG | 0644, NULL);
		tree_add(p, r->path, o);
		touch(p, index, r->path, o);
		break;
	case CRASH_SYMLINK:
		o = object_new(p, S_IFLNK | 0777, r->path);
		tree_add(p, r->path2, o);
		touch(p, index, r->path2, o);
		break;
	case CRASH_UNLINK:
	case CRASH_RMDIR:
		if ((e = tree_find(p, r->path)) != NULL) {
			touch(p, index, r->path, e->object);
			tree_remove(p, e);
		}
		break;
	case CRASH_LINK:
		if ((e = tree_find(p, r->path)) != NULL) {
			o = e->object;
			tree_add(p, r->path2, o);
			touch(p, index, r->path2, o);
		}
		break;
	case CRASH_RENAME:
		tree_rename(p, index, r->path, r->path2);
		break;
	case CRASH_CHMOD:
		if ((e = tree_find(p, r->path)) != NULL) {
			content_op(p, e->object, index);
			p->objects[e->object].touched = index + 1;
		}
		break;
	}
}

/* It failed because the disk did: what it should have done to a content may have been done, in part. */
static bool
maybe(const struct operation *op)
{
	bool content = op->r.op == CRASH_WRITE || op->r.op == CRASH_WRITE_SYNC || op->r.op == CRASH_TRUNCATE;
	return op->result == -EIO && content;
}

/* Bytes that a write has written, or may have. */
static uint64_t
written(const struct operation *op)
{
	return op->result < 0 ? op->r.len : (uint64_t)op->result;
}

/* Go through operation `index`; `last`: the tree before it. */
static void
op_apply(struct process *p, uint32_t index, struct snapshot *last)
{
	struct operation *op = &p->ops[index];
	uint32_t kind = op->r.op;
	op->after = last;
	if (op->result < 0 && !maybe(op))
		return;
	if (kind == CRASH_SYNC) {
		op->promise = index;
		for (size_t i = 0; i < p->ntree; i++)
			content_op(p, p->tree[i].object, index);
	} else if (kind >= CRASH_WRITE && kind <= CRASH_FDATASYNC) {
		struct entry *e = tree_find(p, op->r.path);
		if (!e)
			return;
		op->object = e->object;
		content_op(p, e->object, index);
		if ((kind == CRASH_FSYNC || kind == CRASH_WRITE_SYNC) && op->result >= 0)
			op->promise = p->objects[e->object].touched;
	} else if (kind >= CRASH_CREATE && kind <= CRASH_CHMOD) {
		name_op_apply(p, index);
		op->after = snapshot_take(p);
	}
}

/* ---- building ---- */

/* Take a record of the recording. */
void
model_add(const struct crash_record *r)
{
	if (r->magic != CRASH_MAGIC || r->proc >= CRASH_PROCS)
		return;
	struct process *p = &procs[r->proc];
	if (r->index != p->n)
		return;
	if ((p->n & (p->n - 1)) == 0)
		p->ops = xgrow(p->ops, (p->n ? 2 * p->n : 1) * sizeof(*p->ops));
	p->ops[p->n] = (struct operation){ .r = *r };
	if (p->n > 0) {
		p->ops[p->n - 1].result = r->result;
		p->ops[p->n - 1].known = true;
	}
	p->n++;
}

/* All records are there: make the snapshots. False: the recording is not whole. */
bool
model_finish(char *why, size_t n)
{
	size_t any = 0;
	for (uint32_t i = 0; i < CRASH_PROCS; i++) {
		struct process *p = &procs[i];
		any += p->n;
		if (p->n && p->ops[p->n - 1].r.op != CRASH_END) {
			explain(why, n, "the records of process %u do not reach the end", i);
			return false;
		}
		struct snapshot *s = p->first = snapshot_take(p);
		for (uint32_t k = 0; k < p->n; k++) {
			op_apply(p, k, s);
			s = p->ops[k].after;
		}
	}
	if (!any)
		explain(why, n, "no records");
	model_reset();
	return any > 0;
}

void
model_reset(void)
{
	for (uint32_t i = 0; i < CRASH_PROCS; i++) {
		struct process *p = &procs[i];
		p->announced = -1;
		for (uint32_t o = 1; o <= p->nobjects; o++)
			p->objects[o].base_ops = p->objects[o].base_size = 0;
	}
}

void
model_announced(uint32_t proc, uint32_t index)
{
	if (proc < CRASH_PROCS && (int64_t)index > procs[proc].announced)
		procs[proc].announced = index;
}

/* ---- contents ---- */

static bool
is_sync(const struct operation *op)
{
	uint32_t kind = op->r.op;
	return op->result >= 0 &&
	    (kind == CRASH_FSYNC || kind == CRASH_FDATASYNC || kind == CRASH_SYNC || kind == CRASH_WRITE_SYNC);
}

static void
base_size_set(struct object *o, uint64_t size)
{
	if (size > o->base_size)
		memset(o->base + o->base_size, 0, size - o->base_size);
	o->base_size = size;
}

static void
base_apply(struct object *o, uint32_t proc, const struct operation *op)
{
	uint64_t end = op->r.off + written(op);
	if (!o->base)
		o->base = xalloc(MAX_CONTENT);
	if (op->r.op == CRASH_TRUNCATE && op->r.off <= MAX_CONTENT)
		base_size_set(o, op->r.off);
	if ((op->r.op != CRASH_WRITE && op->r.op != CRASH_WRITE_SYNC) || end > MAX_CONTENT)
		return;
	if (end > o->base_size)
		base_size_set(o, end);
	for (uint64_t x = op->r.off; x < end; x++)
		o->base[x] = crash_byte(crash_id(proc, op->r.index), x);
}

/* Bring the base of `o` to its last sync that has returned. Returns how many of its operations follow and
 * have begun. */
static size_t
base_advance(struct process *p, uint32_t proc, struct object *o)
{
	size_t upto = o->base_ops, begun = o->base_ops;
	for (; begun < o->nops && o->ops[begun] <= p->announced; begun++)
		if (is_sync(&p->ops[o->ops[begun]]) && o->ops[begun] < p->announced)
			upto = begun + 1;
	for (; o->base_ops < upto; o->base_ops++)
		base_apply(o, proc, &p->ops[o->ops[o->base_ops]]);
	return begun - upto;
}

/* Whether byte x may be `byte`, given `later` operations after the base. */
static bool
byte_ok(const struct process *p, uint32_t proc, const struct object *o, size_t later, uint64_t x,
    uint8_t byte)
{
	bool zero = x >= o->base_size;
	if (!zero && o->base[x] == byte)
		return true;
	for (size_t i = o->base_ops; i < o->base_ops + later; i++) {
		const struct operation *op = &p->ops[o->ops[i]];
		if (op->r.op == CRASH_TRUNCATE)
			zero |= op->r.off <= x;
		else if ((op->r.op == CRASH_WRITE || op->r.op == CRASH_WRITE_SYNC) && x >= op->r.off
		    && x - op->r.off < written(op) && crash_byte(crash_id(proc, op->r.index), x) == byte)
			return true;
	}
	return zero && byte == 0;
}

static void
sizes_allowed(const struct process *p, const struct object *o, size_t later, uint64_t *min, uint64_t *max)
{
	uint64_t size = *min = *max = o->base_size;
	for (size_t i = o->base_ops; i < o->base_ops + later; i++) {
		const struct operation *op = &p->ops[o->ops[i]];
		uint64_t end = op->r.off + written(op);
		if (op->r.op == CRASH_TRUNCATE)
			size = op->r.off;
		else if (op->r.op == CRASH_WRITE || op->r.op == CRASH_WRITE_SYNC)
			size = end > size ? end : size;
		*min = size < *min ? size : *min;
		*max = size > *max ? size : *max;
	}
}

/* Permissions: as at the last fsync or sync that has returned, or as set since. */
static bool
mode_ok(const struct process *p, const struct object *o, uint32_t mode)
{
	uint32_t now = o->mode & 07777;
	bool good = now == (mode & 07777);
	for (size_t i = 0; i < o->nops && o->ops[i] <= p->announced; i++) {
		const struct operation *op = &p->ops[o->ops[i]];
		if (op->r.op == CRASH_CHMOD && op->result >= 0)
			now = (uint32_t)op->r.off & 07777, good |= now == (mode & 07777);
		else if (is_sync(op) && op->r.op != CRASH_FDATASYNC && o->ops[i] < p->announced)
			good = now == (mode & 07777);
	}
	return good;
}

/* Say whose byte x and its neighbours are, if some operation has written them. */
static void
origin_explain(const struct process *p, uint32_t proc, const struct found *f, uint64_t x, char *why,
    size_t room)
{
	for (uint32_t k = 0; k < p->n; k++) {
		uint64_t n = 0;
		while (n < 8 && x + n < f->size && f->data[x + n] == crash_byte(crash_id(proc, k), x + n))
			n++;
		if (n == 8 || (n > 1 && x + n == f->size))
			explain(why, room, "  it is what operation %u (%s /%s at %llu, %llu bytes, result %d) wrote\n", k,
			    op_names[p->ops[k].r.op], p->ops[k].r.path, (unsigned long long)p->ops[k].r.off,
			    (unsigned long long)p->ops[k].r.len, p->ops[k].result);
	}
}

static bool
content_ok(struct process *p, uint32_t proc, uint32_t object, const struct found *f, char *why, size_t room)
{
	struct object *o = &p->objects[object];
	uint64_t min, max;
	if (!o->base)
		o->base = xalloc(MAX_CONTENT);
	size_t later = base_advance(p, proc, o);
	sizes_allowed(p, o, later, &min, &max);
	if (!mode_ok(p, o, f->mode)) {
		explain(why, room, "/%s: mode %o\n", f->path, f->mode);
		return false;
	}
	const char *since = o->base_ops ? op_names[p->ops[o->ops[o->base_ops - 1]].r.op] : "none";
	uint32_t at = o->base_ops ? o->ops[o->base_ops - 1] : 0;
	if (f->size < min || f->size > max) {
		explain(why, room,
		    "/%s: size %llu, should be %llu..%llu (last sync: %s, operation %u; %zu begun since)\n", f->path,
		    (unsigned long long)f->size, (unsigned long long)min, (unsigned long long)max, since, at, later);
		return false;
	}
	uint64_t same = f->size < o->base_size ? f->size : o->base_size;
	if (memcmp(f->data, o->base, same) == 0 && f->size == same)
		return true;
	for (uint64_t x = 0; x < f->size; x++) {
		if (byte_ok(p, proc, o, later, x, f->data[x]))
			continue;
		explain(why, room, "/%s: byte %llu of %llu is 0x%02x: nothing written there "
		    "(last sync: %s, operation %u: size %llu; %zu begun since)\n", f->path, (unsigned long long)x,
		    (unsigned long long)f->size, f->data[x], since, at, (unsigned long long)o->base_size, later);
		origin_explain(p, proc, f, x, why, room);
		return false;
	}
	return true;
}

/* ---- names ---- */

static struct snapshot *
snapshot_at(struct process *p, uint32_t k)
{
	return k == 0 ? p->first : p->ops[k - 1].after;
}

static uint64_t
found_hash(const struct found *f, size_t n)
{
	uint64_t h = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t names = 0;
		bool first = true;
		if (!S_ISDIR(f[i].mode) && f[i].nlink > 1) {
			for (size_t j = 0; j < n; j++) {
				if (f[j].ino != f[i].ino)
					continue;
				first &= j >= i;
				names += mix(f[j].hash);
			}
		} else {
			names = mix(f[i].hash);
		}
		if (first)
			h += object_hash(names, f[i].mode, f[i].nlink, f[i].data, f[i].size);
	}
	return h;
}

static const struct entry *
snapshot_find(const struct snapshot *s, uint64_t hash)
{
	struct entry key = { .hash = hash };
	return s->n ? bsearch(&key, s->e, s->n, sizeof(key), entry_compare) : NULL;
}

/* Say how the names differ from a tree. */
static void
names_explain(const struct snapshot *s, const struct found *f, size_t n, char *why, size_t room)
{
	unsigned said = 0;
	for (size_t i = 0; i < n && said < 8; i++) {
		const struct entry *e = snapshot_find(s, f[i].hash);
		if (!e)
			explain(why, room, "  there: /%s\n", f[i].path), said++;
		else if ((e->mode ^ f[i].mode) & S_IFMT || e->nlink != f[i].nlink)
			explain(why, room, "  other: /%s mode %o (%o), links %u (%u)\n", f[i].path, f[i].mode, e->mode, f[i].nlink,
			    e->nlink), said++;
	}
	for (size_t i = 0; i < s->n && said < 8; i++) {
		bool there = false;
		for (size_t j = 0; j < n; j++)
			there |= f[j].hash == s->e[i].hash;
		if (!there)
			explain(why, room, "  lacks: /%s\n", s->e[i].path), said++;
	}
}

static bool
contents_ok(struct process *p, uint32_t proc, const struct snapshot *s, const struct found *f, size_t n,
    char *why, size_t room)
{
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = snapshot_find(s, f[i].hash);
		if (e && S_ISREG(f[i].mode) && !content_ok(p, proc, e->object, &f[i], why, room))
			return false;
	}
	return true;
}

static uint32_t
promised(const struct process *p)
{
	uint32_t lo = 0;
	for (int64_t i = 0; i < p->announced; i++)
		if (p->ops[i].result >= 0 && p->ops[i].promise > lo)
			lo = p->ops[i].promise;
	return lo;
}

/* Everything found below /p<proc>. */
static bool
process_check(uint32_t proc, const struct found *f, size_t n, char *why, size_t room)
{
	struct process *p = &procs[proc];
	uint32_t lo = promised(p), hi = (uint32_t)(p->announced + 1);
	uint64_t hash = found_hash(f, n);
	struct snapshot *last = NULL;
	bool names = false;
	char first[512] = "";
	for (uint32_t k = lo; k <= hi; k++) {
		struct snapshot *s = snapshot_at(p, k);
		if (s == last || s->hash != hash)
			continue;
		last = s;
		names = true;
		char more[512] = "";
		if (contents_ok(p, proc, s, f, n, more, sizeof(more)))
			return true;
		if (!first[0])
			strcpy(first, more);
	}
	if (names) {
		explain(why, room, "%s", first);
		return false;
	}
	explain(why, room, "/p%u: its names are not those after any of operations %u..%u.", proc, lo, hi);
	for (uint32_t k = 0; k < p->n; k++) {
		if (snapshot_at(p, k)->hash != hash)
			continue;
		explain(why, room, " They are those after %u: a promise was broken.\n", k);
		return false;
	}
	explain(why, room, " Against the tree after %u:\n", lo);
	names_explain(snapshot_at(p, lo), f, n, why, room);
	return false;
}

/* Compare what was found on the disk (all names, none of them twice) with what is allowed now. */
bool
model_check(const struct found *found, size_t n, char *why, size_t room)
{
	struct found *part = xalloc(n * sizeof(*part));
	bool good = true;
	size_t seen = 0;
	for (uint32_t proc = 0; proc < CRASH_PROCS && good; proc++) {
		char top[8];
		size_t len = (size_t)snprintf(top, sizeof(top), "p%u", proc), m = 0;
		for (size_t i = 0; i < n; i++)
			if (strncmp(found[i].path, top, len) == 0 && (found[i].path[len] == 0 || found[i].path[len] == '/'))
				part[m++] = found[i];
		seen += m;
		if (procs[proc].n || m)
			good = process_check(proc, part, m, why, room);
	}
	if (good && seen != n) {
		explain(why, room, "there are names that nobody has made\n");
		good = false;
	}
	free(part);
	return good;
}
