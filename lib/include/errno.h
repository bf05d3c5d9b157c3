/* errno.h - the last error of a system call, and the error numbers. */
#pragma once
#include "lib/abi/errno.h"

extern int errno;
