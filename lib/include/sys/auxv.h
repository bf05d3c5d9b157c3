/* sys/auxv.h - what exec told about the process. */
#pragma once
#include "lib/abi/auxv.h"

unsigned long getauxval(unsigned long type);
