/* sys/statfs.h - file system status. */
#pragma once
#include "lib/abi/statfs.h"

int statfs(const char *path, struct statfs *buf);
int fstatfs(int fd, struct statfs *buf);
