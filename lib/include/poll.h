/* poll.h - wait for any of several files. */
#pragma once
#include "lib/abi/poll.h"
#include "lib/abi/signal.h"
#include "lib/abi/time.h"

int poll(struct pollfd *fds, nfds_t n, int timeout);
int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
