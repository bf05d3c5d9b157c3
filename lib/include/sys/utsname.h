/* sys/utsname.h - the system's name. */
#pragma once
#include "lib/abi/utsname.h"

int uname(struct utsname *name);
