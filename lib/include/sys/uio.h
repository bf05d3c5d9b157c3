/* sys/uio.h - scattered reads and writes. */
#pragma once
#include "lib/abi/types.h"
#include "lib/abi/uio.h"

ssize_t readv(int fd, const struct iovec *iov, int n);
ssize_t writev(int fd, const struct iovec *iov, int n);
