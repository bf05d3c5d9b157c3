/* dirent.h - reading directories. */
#pragma once
#include "lib/abi/dirent.h"

struct dirent {
	ino_t d_ino;
	off_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[256];
};

typedef struct DIR DIR;

DIR *opendir(const char *path);
DIR *fdopendir(int fd);
struct dirent *readdir(DIR *d);
void rewinddir(DIR *d);
int dirfd(DIR *d);
int closedir(DIR *d);
