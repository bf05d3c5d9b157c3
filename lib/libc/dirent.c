/* dirent.c - directories, a buffer of getdents64 entries at a time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct DIR {
	int fd;
	int pos, len;                   /* buf[pos..len) is not yet handed out */
	struct dirent entry;            /* what readdir returned last */
	char buf[4096] __attribute__((aligned(8)));
};

long getdents64(int fd, void *buf, size_t size);

DIR *
fdopendir(int fd)
{
	DIR *d = malloc(sizeof *d);

	if (!d)
		return NULL;
	d->fd = fd;
	d->pos = d->len = 0;
	return d;
}

DIR *
opendir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

/* The next entry, valid until the next call; NULL at the end (errno unchanged) or on an error. */
struct dirent *
readdir(DIR *d)
{
	struct linux_dirent64 *e;

	if (d->pos >= d->len) {
		d->pos = 0;
		d->len = getdents64(d->fd, d->buf, sizeof d->buf);
		if (d->len <= 0)
			return NULL;
	}
	e = (struct linux_dirent64 *)(d->buf + d->pos);
	d->pos += e->d_reclen;
	d->entry.d_ino = e->d_ino;
	d->entry.d_off = e->d_off;
	d->entry.d_reclen = e->d_reclen;
	d->entry.d_type = e->d_type;
	strlcpy(d->entry.d_name, e->d_name, sizeof d->entry.d_name);
	return &d->entry;
}

void
rewinddir(DIR *d)
{
	lseek(d->fd, 0, SEEK_SET);
	d->pos = d->len = 0;
}

int
dirfd(DIR *d)
{
	return d->fd;
}

int
closedir(DIR *d)
{
	int r = close(d->fd);

	free(d);
	return r;
}
