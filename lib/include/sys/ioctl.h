/* sys/ioctl.h - device control. */
#pragma once
#include "lib/abi/termios.h"

int ioctl(int fd, unsigned long request, ...);
