/* sys/types.h - scalar types. */
#pragma once
#include "lib/abi/types.h"
