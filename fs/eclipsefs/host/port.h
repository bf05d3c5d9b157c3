/* port.h - the little in which the hosts (Linux, macOS) differ. The only conditional of the tools. */
#ifndef ECLIPSEFS_HOST_PORT_H
#define ECLIPSEFS_HOST_PORT_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#if defined(__APPLE__)
#define STAT_MTIME_NS(st) ((uint32_t)(st)->st_mtimespec.tv_nsec)
#else
#include <sys/sysmacros.h>
#define STAT_MTIME_NS(st) ((uint32_t)(st)->st_mtim.tv_nsec)
#endif

/* Linux's dev_t as its stat gives it, whatever the host's is. */
static inline uint64_t
linux_dev(uint32_t maj, uint32_t min)
{
	return (min & 0xffu) | (uint64_t)(maj & 0xfffu) << 8 | (uint64_t)(min & ~0xffu) << 12
	    | (uint64_t)(maj & ~0xfffu) << 32;
}

static inline uint32_t
linux_major(uint64_t dev)
{
	return (uint32_t)(dev >> 8 & 0xfff) | (uint32_t)(dev >> 32 & ~0xfffull);
}

static inline uint32_t
linux_minor(uint64_t dev)
{
	return (uint32_t)(dev & 0xff) | (uint32_t)(dev >> 12 & ~0xffull);
}

#endif
