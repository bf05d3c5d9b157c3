/* sys/mman.h - memory mappings. */
#pragma once
#include "lib/abi/mman.h"
#include "lib/abi/types.h"

#define MAP_ANON MAP_ANONYMOUS

void *mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off);
int munmap(void *addr, size_t n);
int mprotect(void *addr, size_t n, int prot);
int msync(void *addr, size_t n, int flags);
int madvise(void *addr, size_t n, int advice);
void *mremap(void *addr, size_t n, size_t to, int flags, ...);
