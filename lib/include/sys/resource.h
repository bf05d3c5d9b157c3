/* sys/resource.h - limits and usage. */
#pragma once
#include "lib/abi/resource.h"

int getrlimit(int resource, struct rlimit *lim);
int setrlimit(int resource, const struct rlimit *lim);
int getrusage(int who, struct rusage *ru);
int getpriority(int which, unsigned who);
int setpriority(int which, unsigned who, int prio);
