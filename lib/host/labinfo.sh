#!/bin/sh
# labinfo.sh LAST LIST... - writes labinfo.c: which labs this tree knows, and which the kernel being built has.
#
# LAST is a lab's number or "all". A list's first line reads "# lab N: title - what it can do afterwards".
last=$1
shift
awk -v last="$last" '
BEGIN {
	print "/* Made by lib/host/labinfo.sh from the title lines of labs/NN-name/files. */"
	print "#include \"kern/boot/labinfo.h\"\n"
	print "const struct labinfo labinfo[] = {"
}
FNR == 1 {
	if (!match($0, /^# lab [0-9]+: /)) {
		print FILENAME ": the first line must read \"# lab N: title - what it can do\"" > "/dev/stderr"
		exit bad = 1
	}
	num = $3 + 0
	text = substr($0, RLENGTH + 1)
	dash = index(text, " - ")
	title = dash ? substr(text, 1, dash - 1) : text
	what = dash ? substr(text, dash + 3) : ""
	gsub(/[\\"]/, "\\\\&", title)
	gsub(/[\\"]/, "\\\\&", what)
	present = last == "all" || num <= last + 0 ? "true" : "false"
	printf "\t{ %d, %s, \"%s\", \"%s\" },\n", num, present, title, what
	n++
}
END {
	if (bad)
		exit 1
	printf "};\nconst int nlabinfo = %d;\n", n
}' "$@"
