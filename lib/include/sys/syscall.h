/* sys/syscall.h - system call numbers, SYS_read and so on. */
#pragma once
#include "lib/abi/sysno.h"
