/* termios.h - terminal settings. */
#pragma once
#include "lib/abi/termios.h"
#include "lib/abi/types.h"

int tcgetattr(int fd, struct termios *t);
int tcsetattr(int fd, int when, const struct termios *t);
int tcflush(int fd, int queue);
pid_t tcgetsid(int fd);
void cfmakeraw(struct termios *t);
