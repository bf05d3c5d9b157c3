#!/bin/sh
# ksyms.sh - the kernel's symbol table for backtraces, as assembly.
#
# `nm -n kernel | ksyms.sh` writes the table of the kernel's functions, sorted by address:
#     const uint32_t nksyms;
#     const struct ksym { uint32_t off, name; } ksyms[];      off: address - 0xffffffff80000000
#     const char ksym_names[];                                name: offset in here
# `ksyms.sh --check A B` fails unless the functions of both kernels have the same addresses.
set -e
functions='$1 ~ /^ffffffff[89a-f]/ && $2 ~ /^[tTwW]$/ && $3 !~ /^\.L/'

if [ "$1" = --check ]; then
	a=$(${NM:-nm} -n "$2" | awk "$functions" | cksum)
	b=$(${NM:-nm} -n "$3" | awk "$functions" | cksum)
	[ "$a" = "$b" ] || { echo "ksyms: functions moved between the two links ($2, $3)" >&2; exit 1; }
	exit 0
fi

awk 'BEGIN { n = 0; off = 0 }
'"$functions"' {
	addr[n] = substr($1, 9)
	name[n++] = $3
}
END {
	print "/* Made by lib/host/ksyms.sh from the first link. */"
	print "\t.section .ksyms, \"a\", @progbits\n\t.globl nksyms, ksyms, ksym_names\n\t.balign 8"
	printf "nksyms:\n\t.long %d\n\t.balign 8\nksyms:\n", n
	for (i = 0; i < n; i++) {
		printf "\t.long 0x%s - 0x80000000, %d\n", addr[i], off
		off += length(name[i]) + 1
	}
	print "ksym_names:"
	for (i = 0; i < n; i++)
		printf "\t.asciz \"%s\"\n", name[i]
	print "\t.byte 0\n\t.section .note.GNU-stack, \"\", @progbits"
}'
