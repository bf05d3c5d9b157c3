/* sys/select.h - wait for any of several files, by bit sets. */
#pragma once
#include "lib/abi/poll.h"
#include "lib/abi/time.h"

#define FD_SET(fd, set)         ((set)->fds_bits[(fd) / 64] |= 1ul << (fd) % 64)
#define FD_CLR(fd, set)         ((set)->fds_bits[(fd) / 64] &= ~(1ul << (fd) % 64))
#define FD_ISSET(fd, set)       ((set)->fds_bits[(fd) / 64] >> (fd) % 64 & 1)
#define FD_ZERO(set)            (*(set) = (fd_set){ { 0 } })

int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout);
