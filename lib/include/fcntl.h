/* fcntl.h - opening and controlling files. */
#pragma once
#include "lib/abi/fcntl.h"
#include "lib/abi/stat.h"

int open(const char *path, int flags, ...);
int openat(int dirfd, const char *path, int flags, ...);
int creat(const char *path, mode_t mode);
int fcntl(int fd, int cmd, ...);
int posix_fadvise(int fd, off_t off, off_t len, int advice);
