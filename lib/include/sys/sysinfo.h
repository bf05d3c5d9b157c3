/* sys/sysinfo.h - memory and load of the machine. */
#pragma once
#include "lib/abi/sysinfo.h"

int sysinfo(struct sysinfo *info);
