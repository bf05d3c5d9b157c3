/* eclipsefs.c - look into an EclipseFS image (2.0 and 3.0) from the host: ls, cat, stat, extract.
 *
 * Idea.       A path is walked as the kernel would, links included, inside the image. Extraction goes
 *             through directory file descriptors and never follows a link on the host, so no image can
 *             write outside the destination.
 * Interface.  eclipsefs ls|cat|stat|extract [options] IMAGE [PATH]
 * Invariants. I1 extraction writes below the destination only. I2 each directory is extracted once,
 *             whatever links to it.
 * Locks.      None.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/eclipsefs/host/port.h"
#include "fs/eclipsefs/host/view.h"

#define DEPTH_MAX  1024			/* components of a path while it is walked, and of a tree */
#define FOLLOW_MAX 40
#define CHUNK      (256u * EFS_BLOCK)

struct options {
	uint64_t offset;
	bool long_list, recursive, show_inode;
	const char *dest;
};

static int failures;

static void
trouble(const char *what, int err)
{
	complain("%s: %s", what, err == -EBADMSG ? "damaged" : strerror(-err));
	failures++;
}

/* ---- walking a path ------------------------------------------------------------------------------- */

struct walk {
	struct view *v;
	struct node stack[DEPTH_MAX];	/* stack[0] is the root; the way to where we are */
	int depth;
	int follows;
};

static int walk_path(struct walk *w, const char *path, bool follow_last);

/* One component. `follow`: go through a symlink found there. */
static int
walk_step(struct walk *w, const char *name, size_t len, bool follow)
{
	struct node *here = &w->stack[w->depth], *next = here + 1;
	struct entry *list;
	size_t count, i;
	if ((here->mode & EFS_IFMT) != EFS_IFDIR)
		return -ENOTDIR;
	if (len == 0 || (len == 1 && name[0] == '.'))
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		w->depth -= w->depth > 0;
		return 0;
	}
	if (w->depth + 1 >= DEPTH_MAX)
		return -ENAMETOOLONG;
	int err = view_entries(w->v, here, &list, &count);
	for (i = 0; i < count; i++)
		if (strlen(list[i].name) == len && memcmp(list[i].name, name, len) == 0)
			break;
	if (i == count)
		err = err ? err : -ENOENT;
	else
		err = view_node(w->v, list[i].ino, next);
	free(list);
	if (err)
		return err;
	if ((next->mode & EFS_IFMT) != EFS_IFLNK || !follow) {
		w->depth++;
		return 0;
	}
	char target[EFS_LINK_MAX + 1];
	if (++w->follows > FOLLOW_MAX)
		return -ELOOP;
	size_t n = (size_t)next->size;
	err = view_read(w->v, next, 0, target, n);
	if (err)
		return err;
	target[n] = 0;
	return walk_path(w, target, true);
}

/* Walk on from where `w` stands. */
static int
walk_path(struct walk *w, const char *path, bool follow_last)
{
	if (*path == '/')
		w->depth = 0;
	while (*path) {
		path += strspn(path, "/");
		size_t len = strcspn(path, "/");
		bool last = path[len + strspn(path + len, "/")] == 0;
		int err = walk_step(w, path, len, !last || follow_last || path[len] == '/');
		if (err)
			return err;
		path += len;
	}
	return 0;
}

static int
path_find(struct view *v, const char *path, bool follow_last, struct node *out)
{
	struct walk *w = xalloc(sizeof(*w));
	w->v = v;
	int err = view_node(v, EFS_ROOT_INO, &w->stack[0]);
	if (err == 0)
		err = walk_path(w, path, follow_last);
	if (err == 0)
		*out = w->stack[w->depth];
	free(w);
	return err;
}

/* ---- ls, stat, cat -------------------------------------------------------------------------------- */

static void
mode_text(uint32_t mode, char out[11])
{
	static const char types[] = "?pc?d?b?-?l?s???", rwx[] = "rwxrwxrwx";
	out[0] = types[mode >> 12 & 15];
	for (int i = 0; i < 9; i++)
		out[i + 1] = mode >> (8 - i) & 1 ? rwx[i] : '-';
	if (mode & 04000)
		out[3] = mode & 0100 ? 's' : 'S';
	if (mode & 02000)
		out[6] = mode & 0010 ? 's' : 'S';
	if (mode & 01000)
		out[9] = mode & 0001 ? 't' : 'T';
	out[10] = 0;
}

static void
time_text(int64_t t, char out[32])
{
	time_t when = (time_t)t;
	struct tm tm;
	if (!gmtime_r(&when, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(out, 32, "%lld", (long long)t);
}

static void
target_print(struct view *v, const struct node *n)
{
	char target[EFS_LINK_MAX];
	if ((n->mode & EFS_IFMT) == EFS_IFLNK && view_read(v, n, 0, target, (size_t)n->size) == 0)
		printf(" -> %.*s", (int)n->size, target);
}

static void
entry_print(struct view *v, const struct options *o, const struct node *n, const char *name)
{
	if (o->show_inode)
		printf("%7u ", n->ino);
	if (o->long_list) {
		char mode[11], when[32];
		mode_text(n->mode, mode);
		time_text(n->mtime, when);
		printf("%s %3u %5u %5u ", mode, n->nlink, n->uid, n->gid);
		if (n->rdev)
			printf("%5u, %4u ", linux_major(n->rdev), linux_minor(n->rdev));
		else
			printf("%11llu ", (unsigned long long)n->size);
		printf("%s ", when);
	}
	fputs(name, stdout);
	if (o->long_list)
		target_print(v, n);
	putchar('\n');
}

static void
list_directory(struct view *v, const struct options *o, const struct node *dir, const char *path, uint8_t *seen,
    int depth)
{
	struct entry *list;
	size_t count;
	if (seen[dir->ino / 8] >> dir->ino % 8 & 1 || depth > DEPTH_MAX) {
		trouble(path, -ELOOP);
		return;
	}
	seen[dir->ino / 8] |= (uint8_t)(1 << dir->ino % 8);
	int err = view_entries(v, dir, &list, &count);
	if (err)
		trouble(path, err);
	if (o->recursive)
		printf("%s%s:\n", depth ? "\n" : "", path);
	for (int pass = 0; pass < 1 + o->recursive; pass++) {
		for (size_t i = 0; i < count; i++) {
			struct node n;
			bool stat_needed = o->long_list || o->show_inode || pass;
			err = stat_needed ? view_node(v, list[i].ino, &n) : 0;
			if (err && pass == 0)
				trouble(list[i].name, err);
			if (pass == 0 && stat_needed && !err)
				entry_print(v, o, &n, list[i].name);
			else if (pass == 0)
				puts(list[i].name);
			if (pass == 0 || err || (n.mode & EFS_IFMT) != EFS_IFDIR)
				continue;
			size_t len = strlen(path) + strlen(list[i].name) + 2;
			char *sub = xalloc(len);
			snprintf(sub, len, "%s%s%s", path, strcmp(path, "/") ? "/" : "", list[i].name);
			list_directory(v, o, &n, sub, seen, depth + 1);
			free(sub);
		}
	}
	free(list);
}

static void
command_ls(struct view *v, const struct options *o, const char *path)
{
	struct node n;
	int err = path_find(v, path, !o->long_list, &n);
	if (err) {
		trouble(path, err);
	} else if ((n.mode & EFS_IFMT) != EFS_IFDIR) {
		entry_print(v, o, &n, path);
	} else {
		uint8_t *seen = xalloc(view_inodes(v) / 8 + 1);
		list_directory(v, o, &n, path, seen, 0);
		free(seen);
	}
}

/* Copy a file's content to `fd`; holes and all-zero blocks become holes where `sparse`. Returns 0 or
 * -errno. */
static int
content_copy(struct view *v, const struct node *n, int fd, bool sparse)
{
	static uint8_t buf[CHUNK], zero[EFS_BLOCK];
	for (uint64_t at = 0; at < n->size;) {
		size_t len = n->size - at < CHUNK ? (size_t)(n->size - at) : CHUNK;
		uint64_t hole = 0;
		int err = sparse ? view_hole(v, n, at, &hole) : 0;
		if (!err && hole) {
			at += hole < n->size - at ? hole : n->size - at;
			continue;
		}
		if (!err)
			err = view_read(v, n, at, buf, len);
		if (err)
			return err;
		for (size_t i = 0; i < len;) {
			size_t part = len - i < EFS_BLOCK ? len - i : EFS_BLOCK;
			bool skip = sparse && memcmp(buf + i, zero, part) == 0;
			if (!sparse)
				part = len - i;
			ssize_t put = (ssize_t)part;
			if (!skip)
				put = sparse ? pwrite(fd, buf + i, part, (off_t)(at + i)) : write(fd, buf + i, part);
			if (put < 0)
				return -errno;
			i += (size_t)put;
		}
		at += len;
	}
	return sparse && ftruncate(fd, (off_t)n->size) != 0 ? -errno : 0;
}

static void
command_cat(struct view *v, const char *path)
{
	struct node n;
	int err = path_find(v, path, true, &n);
	if (err == 0 && (n.mode & EFS_IFMT) == EFS_IFDIR)
		err = -EISDIR;
	fflush(stdout);
	if (err == 0)
		err = content_copy(v, &n, STDOUT_FILENO, false);
	if (err)
		trouble(path, err);
}

static void
stat_filesystem(struct view *v)
{
	printf("version: %u.%u\noffset: %llu\ninodes: %u\n", v->version >> 16, v->version & 0xffff,
	    (unsigned long long)v->im.offset, view_inodes(v));
	if (v->version == EFS_VERSION_2) {
		printf("table entry: %u bytes\n", v->v2.entry_size);
		return;
	}
	const struct efs_super *sb = &v->sb;
	printf("label: %.32s\nuuid: ", (const char *)sb->label);
	for (int i = 0; i < 16; i++)
		printf("%02x%s", sb->uuid[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
	printf("\nblocks: %llu\nfree blocks: %llu\nfree inodes: %u\n", (unsigned long long)sb->blocks,
	    (unsigned long long)sb->free_blocks, sb->free_inodes);
	printf("journal: %llu blocks\nstate: %s%s\nmounts: %u\n", (unsigned long long)sb->journal_blocks,
	    sb->state & EFS_CLEAN ? "clean" : "not clean", sb->state & EFS_ERRORS ? ", errors" : "", sb->mounts);
}

static void
time_print(const char *label, int64_t t, uint32_t ns)
{
	char text[32];
	time_text(t, text);
	printf("%s: %lld.%09u (%s UTC)\n", label, (long long)t, ns, text);
}

static void
command_stat(struct view *v, const char *path)
{
	static const char *const types[16] = {
		[1] = "fifo", [2] = "character device", [4] = "directory", [6] = "block device", [8] = "regular file",
		[10] = "symbolic link", [12] = "socket",
	};
	struct node n;
	char mode[11];
	int err = path_find(v, path, false, &n);
	if (err) {
		trouble(path, err);
		return;
	}
	mode_text(n.mode, mode);
	printf("path: %s", path);
	target_print(v, &n);
	printf("\ninode: %u\ntype: %s\nmode: %06o (%s)\nlinks: %u\nuid: %u\ngid: %u\n", n.ino,
	    types[n.mode >> 12 & 15] ? types[n.mode >> 12 & 15] : "unknown", n.mode, mode, n.nlink, n.uid, n.gid);
	printf("size: %llu\nblocks: %llu\n", (unsigned long long)n.size, (unsigned long long)n.blocks);
	if (n.rdev)
		printf("device: %u, %u\n", linux_major(n.rdev), linux_minor(n.rdev));
	time_print("atime", n.atime, n.atime_ns);
	time_print("mtime", n.mtime, n.mtime_ns);
	time_print("ctime", n.ctime, n.ctime_ns);
}

/* ---- extract -------------------------------------------------------------------------------------- */

struct extraction {
	struct view *v;
	int root;			/* destination */
	char **first_path;		/* of inodes with several links: where the first one went */
	uint8_t *seen;			/* I2: bit per directory inode */
};

static void extract_node(struct extraction *x, int dir, const struct node *n, const char *name, const char *path,
    int depth);

static void
attributes_set(int dir, const struct node *n, const char *name)
{
	struct timespec ts[2] = {
		{ .tv_sec = (time_t)n->atime, .tv_nsec = (long)n->atime_ns },
		{ .tv_sec = (time_t)n->mtime, .tv_nsec = (long)n->mtime_ns },
	};
	bool link = (n->mode & EFS_IFMT) == EFS_IFLNK;
	if (geteuid() == 0 && fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) != 0)
		trouble(name, -errno);
	if (!link && fchmodat(dir, name, (mode_t)(n->mode & 07777), 0) != 0)
		trouble(name, -errno);
	if (utimensat(dir, name, ts, AT_SYMLINK_NOFOLLOW) != 0)
		trouble(name, -errno);
}

static int
extract_file(struct extraction *x, int dir, const struct node *n, const char *name)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
	int fd = openat(dir, name, flags, 0600);
	if (fd < 0)
		return -errno;
	int err = content_copy(x->v, n, fd, true);
	return close(fd) != 0 && !err ? -errno : err;
}

static int
extract_symlink(struct extraction *x, int dir, const struct node *n, const char *name)
{
	char target[EFS_LINK_MAX + 1];
	int err = view_read(x->v, n, 0, target, (size_t)n->size);
	if (err)
		return err;
	target[n->size] = 0;
	return symlinkat(target, dir, name) != 0 ? -errno : 0;
}

static int
extract_special(int dir, const struct node *n, const char *name)
{
	if ((n->mode & EFS_IFMT) == EFS_IFIFO)
		return mkfifoat(dir, name, 0600) != 0 ? -errno : 0;
	if ((n->mode & EFS_IFMT) == EFS_IFSOCK || geteuid() != 0) {
		complain("%s: special file left out", name);
		return 1;
	}
	mode_t type = (n->mode & EFS_IFMT) == EFS_IFCHR ? S_IFCHR : S_IFBLK;
	dev_t dev = (dev_t)makedev(linux_major(n->rdev), linux_minor(n->rdev));
	return mknodat(dir, name, type | 0600, dev) != 0 ? -errno : 0;
}

static int
extract_directory(struct extraction *x, int dir, const struct node *n, const char *name, const char *path,
    int depth)
{
	struct entry *list;
	size_t count;
	if (x->seen[n->ino / 8] >> n->ino % 8 & 1 || depth > DEPTH_MAX)
		return -ELOOP;
	x->seen[n->ino / 8] |= (uint8_t)(1 << n->ino % 8);
	if (mkdirat(dir, name, 0700) != 0 && errno != EEXIST)
		return -errno;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	int err = view_entries(x->v, n, &list, &count);
	if (err)
		trouble(path, err);
	for (size_t i = 0; i < count; i++) {
		struct node child;
		size_t len = strlen(path) + strlen(list[i].name) + 2;
		char *sub = xalloc(len);
		snprintf(sub, len, "%s/%s", path, list[i].name);
		err = view_node(x->v, list[i].ino, &child);
		if (err)
			trouble(sub, err);
		else
			extract_node(x, fd, &child, list[i].name, sub, depth + 1);
		free(sub);
	}
	free(list);
	close(fd);
	return 0;
}

/* Make what `n` is under `name` in host directory `dir`. `path` is relative to the destination. */
static void
extract_node(struct extraction *x, int dir, const struct node *n, const char *name, const char *path,
    int depth)
{
	uint32_t type = n->mode & EFS_IFMT;
	int err;
	if (type != EFS_IFDIR && unlinkat(dir, name, 0) != 0 && errno != ENOENT) {
		trouble(path, -errno);
		return;
	}
	if (type != EFS_IFDIR && x->first_path[n->ino]) {
		if (linkat(x->root, x->first_path[n->ino], dir, name, 0) != 0)
			trouble(path, -errno);
		return;
	}
	switch (type) {
	case EFS_IFDIR: err = extract_directory(x, dir, n, name, path, depth); break;
	case EFS_IFREG: err = extract_file(x, dir, n, name); break;
	case EFS_IFLNK: err = extract_symlink(x, dir, n, name); break;
	default:        err = extract_special(dir, n, name); break;
	}
	if (err < 0)
		trouble(path, err);
	if (err)
		return;
	attributes_set(dir, n, name);
	if (type != EFS_IFDIR && n->nlink > 1)
		x->first_path[n->ino] = strcpy(xalloc(strlen(path) + 1), path);
}

static void
command_extract(struct view *v, const struct options *o, const char *path)
{
	struct extraction x = { .v = v };
	struct node n;
	int err = path_find(v, path, false, &n);
	if (err) {
		trouble(path, err);
		return;
	}
	if (mkdir(o->dest, 0777) != 0 && errno != EEXIST) {
		trouble(o->dest, -errno);
		return;
	}
	x.root = open(o->dest, O_RDONLY | O_DIRECTORY);
	if (x.root < 0) {
		trouble(o->dest, -errno);
		return;
	}
	x.first_path = xalloc(((size_t)view_inodes(v) + 1) * sizeof(*x.first_path));
	x.seen = xalloc(view_inodes(v) / 8 + 1);
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	char name[EFS_NAME_MAX + 1] = ".";
	if (end > start && end - start < sizeof(name) && efs_name_ok(path + start, end - start)) {
		memcpy(name, path + start, end - start);
		name[end - start] = 0;
	}
	extract_node(&x, x.root, &n, name, name, 0);
	close(x.root);
	for (uint32_t i = 0; i <= view_inodes(v); i++)
		free(x.first_path[i]);
	free(x.first_path);
	free(x.seen);
}

/* ---- arguments ------------------------------------------------------------------------------------ */

static _Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: eclipsefs ls [-l] [-i] [-R] IMAGE [PATH]     list a directory\n"
	    "       eclipsefs cat IMAGE PATH                     write a file to standard output\n"
	    "       eclipsefs stat IMAGE [PATH]                  a file's, or the file system's, attributes\n"
	    "       eclipsefs extract [-C DIR] IMAGE [PATH]      copy a file or tree into DIR (default: here)\n"
	    "IMAGE is an EclipseFS 2.0 or 3.0, or a whole disk with one in a partition;\n"
	    "--offset BYTES says where.\n");
	exit(2);
}

static int
command_run(struct view *v, const struct options *o, const char *command, const char *path)
{
	if (strcmp(command, "ls") == 0)
		command_ls(v, o, path ? path : "/");
	else if (strcmp(command, "cat") == 0 && path)
		command_cat(v, path);
	else if (strcmp(command, "stat") == 0 && path)
		command_stat(v, path);
	else if (strcmp(command, "stat") == 0)
		stat_filesystem(v);
	else if (strcmp(command, "extract") == 0)
		command_extract(v, o, path ? path : "/");
	else
		usage();
	if (fflush(stdout) != 0) {
		complain("standard output: %s", strerror(errno));
		failures++;
	}
	return failures ? 1 : 0;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "offset", 1, NULL, 'o' }, { "directory", 1, NULL, 'C' }, { NULL, 0, NULL, 0 },
	};
	struct options o = { .offset = OFFSET_UNKNOWN, .dest = "." };
	struct view *v = xalloc(sizeof(*v));
	for (int c; (c = getopt_long(argc, argv, "lRiaC:", longs, NULL)) != -1;) {
		switch (c) {
		case 'l': o.long_list = true; break;
		case 'R': o.recursive = true; break;
		case 'i': o.show_inode = true; break;
		case 'a': break;
		case 'C': o.dest = optarg; break;
		case 'o':
			if (!size_parse(optarg, &o.offset))
				usage();
			break;
		default: usage();
		}
	}
	if (argc - optind < 2 || argc - optind > 3)
		usage();
	if (view_open(v, argv[optind + 1], o.offset) != 0)
		return 1;
	int status = command_run(v, &o, argv[optind], argc - optind == 3 ? argv[optind + 2] : NULL);
	close(v->im.fd);
	free(v);
	return status;
}
