/* abi_table.h - one row of the tables that test_abi.c compares. */
#pragma once
#include <stddef.h>

struct abi_row {
	const char *name;
	long value;
};

#define VALUE(name) { #name, (long)(name) },
#define SIZE(type) { "sizeof(" #type ")", sizeof(type) },
#define FIELD(type, member) { #type "." #member, offsetof(type, member) },

extern const struct abi_row abi_ours[], abi_kernel[], abi_ours_libc[], abi_libc[];
