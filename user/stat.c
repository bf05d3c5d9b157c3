/* stat FILE... - all that the file system knows about a file, symbolic links not followed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char *
kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "regular file";
	case S_IFDIR: return "directory";
	case S_IFLNK: return "symbolic link";
	case S_IFCHR: return "character device";
	case S_IFBLK: return "block device";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	default: return "unknown";
	}
}

int
main(int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (lstat(argv[i], &st) < 0) {
			fprintf(stderr, "stat: %s: %s\n", argv[i], strerror(errno));
			status = 1;
			continue;
		}
		printf("%s: %s, mode %04o, uid %u, gid %u\n", argv[i], kind(st.st_mode), st.st_mode & 07777, st.st_uid,
		       st.st_gid);
		printf("  size %ld, blocks %ld, device %u:%u, inode %lu, links %lu", st.st_size, st.st_blocks,
		       major(st.st_dev), minor(st.st_dev), st.st_ino, st.st_nlink);
		if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			printf(", is %u:%u", major(st.st_rdev), minor(st.st_rdev));
		printf("\n  modified %ld.%09ld, changed %ld.%09ld, accessed %ld.%09ld\n", st.st_mtim.tv_sec,
		       st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec, st.st_atim.tv_sec, st.st_atim.tv_nsec);
	}
	return status;
}
