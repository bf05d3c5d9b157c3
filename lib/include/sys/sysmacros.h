/* sys/sysmacros.h - major(), minor(), makedev(). */
#pragma once
#include "lib/abi/stat.h"
