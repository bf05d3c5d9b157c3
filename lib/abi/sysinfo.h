/* sysinfo.h - sysinfo(2). */
#pragma once
#include <stdint.h>

struct sysinfo {
	int64_t uptime;         /* seconds */
	uint64_t loads[3];      /* load average * 65536 */
	uint64_t totalram;      /* the memory fields in units of mem_unit bytes */
	uint64_t freeram;
	uint64_t sharedram;
	uint64_t bufferram;
	uint64_t totalswap;
	uint64_t freeswap;
	uint16_t procs;
	uint16_t pad;
	uint64_t totalhigh;
	uint64_t freehigh;
	uint32_t mem_unit;
};
