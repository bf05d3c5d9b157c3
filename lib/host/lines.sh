#!/bin/sh
# lines.sh - lines of kernel source per lab, from the lists: all lines, and those that are neither empty nor comment.
for list in labs/[0-9]*-*/files; do
	files=$(awk '!/^[[:space:]]*#/ && NF { print $1 }' "$list" | while read -r f; do [ -f "$f" ] && echo "$f"; done)
	[ -n "$files" ] || continue
	title=$(sed -n '1s/^# lab \([0-9]*\): \([^ ]*\).*/\1 \2/p' "$list")
	# shellcheck disable=SC2086
	cat $files | awk -v title="$title" '
	{ all++ }
	/^[[:space:]]*\/\*/ { comment = 1 }
	!comment && NF && !/^[[:space:]]*(\/\/|#[^a-z])/ { code++ }
	/\*\// { comment = 0 }
	END { printf "%-16s %6d lines %6d code\n", title, all, code }'
done | awk '{ print; all += $3; code += $5 } END { printf "%-16s %6d lines %6d code\n", "all", all, code }'
