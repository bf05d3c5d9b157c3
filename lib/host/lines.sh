#!/bin/sh
# lines.sh - lines of kernel source per lab, from the lists: the kernel (all lines, and those that are neither empty nor
# comment), and beside it the tests and observations that are linked into it.
for list in labs/[0-9]*-*/files; do
	files=$(awk '!/^[[:space:]]*#/ && NF { print $1 }' "$list" | while read -r f; do [ -f "$f" ] && echo "$f"; done)
	[ -n "$files" ] || continue
	title=$(sed -n '1s/^# lab \([0-9]*\): \([^ ]*\).*/\1 \2/p' "$list")
	# shellcheck disable=SC2086
	awk -v title="$title" '
	FNR == 1 { test = FILENAME ~ /\/(test|observe)_[^\/]*$/ }
	test { tests++; next }
	{ all++ }
	/^[[:space:]]*\/\*/ { comment = 1 }
	!comment && NF && !/^[[:space:]]*(\/\/|#[^a-z])/ { code++ }
	/\*\// { comment = 0 }
	END { printf "%-16s %6d lines %6d code %8d in tests\n", title, all, code, tests }' $files
done | awk '{ print; all += $3; code += $5; tests += $7 }
	END { printf "%-16s %6d lines %6d code %8d in tests\n", "all", all, code, tests }'
