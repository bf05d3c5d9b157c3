#!/bin/sh
# next_lab.sh - merges the next lab into the branch you are on, or says what to do first.
#
# A lab only adds files, so this cannot conflict with your work, unless you have made a file of the same name; then nothing is
# changed. The labs are the branches lab1, lab2, ... of the course's repository, whatever you call it here.
cd "$(dirname "$0")/../.." || exit 2

stop()
{
	printf 'next-lab: %s\n' "$@" >&2
	exit 1
}

labs_in()        # numbers of the labs in a list of paths labs/NN-name
{
	sed -n 's|^labs/0*\([0-9][0-9]*\)-[^/]*/*$|\1|p' | sort -n
}

top=$(git rev-parse --show-toplevel 2> /dev/null) || stop "this is no git repository: clone the course's, and work in the clone."
[ "$top" -ef . ] || stop "the git repository is $top, not this folder: clone the course's by itself."
git symbolic-ref -q HEAD > /dev/null || stop "you are on no branch. Make one for your work: git checkout -b mine"
[ -z "$(git ls-files -u)" ] && [ ! -e "$(git rev-parse --git-path MERGE_HEAD)" ] ||
	stop "a merge is not finished. Finish it (git status says how), or give it up: git merge --abort"
last=$(ls -d labs/[0-9]*-*/ | labs_in | tail -n 1)
[ -z "$(git status --porcelain --untracked-files=no)" ] ||
	stop "you have changes that are not committed. Commit them first: git commit -a -m 'lab $last'"
remotes=$(git remote)
for r in $remotes; do
	git fetch -q "$r" || echo "next-lab: $r cannot be reached; looking at what has been fetched before" >&2
done

# The lowest lab above the last one. The course's branches come before your own, should you have called one of yours labN.
next=$(git for-each-ref --format='%(refname)' refs/remotes refs/heads |
	sed -n 's|^refs/remotes/\(.*/lab\)\([0-9][0-9]*\)$|\2 0 \1\2|p; s|^refs/heads/\(lab\)\([0-9][0-9]*\)$|\2 1 \1\2|p' |
	sort -n -k1,1 -k2,2 | awk -v last="$last" '$1 > last { print $1, $3; exit }')
if [ -z "$next" ] && [ -z "$remotes" ]; then
	stop "after lab $last there is none here, and no other repository is known to look into." \
		"Name the course's, and try again: git remote add course URL"
elif [ -z "$next" ]; then
	echo "next-lab: lab $last is the last one that has been handed out."
	exit 0
fi
number=${next%% *} branch=${next#* }
[ "$(git ls-tree -d --name-only "$branch" labs/ | labs_in | tail -n 1)" = "$number" ] ||
	stop "the branch $branch is not lab $number of a course."

if ! said=$(git merge -q --no-edit -m "Merge lab $number" "$branch" 2>&1); then
	mine=$(git diff --name-only --diff-filter=U)
	[ ! -e "$(git rev-parse --git-path MERGE_HEAD)" ] || git merge --abort
	[ -z "$mine" ] || said="you have made files with the names of lab $number's:
$mine
Rename yours (git mv OLD NEW; git commit), and try again."
	stop "lab $number could not be merged; nothing has been changed." "$said"
fi
echo "lab $number is here: read $(ls -d labs/*/ | grep "^labs/0*$number-")README.md"
if git rev-parse -q --verify "$branch-start" > /dev/null; then
	echo "(stuck in an older lab? 'git checkout -b rescue $branch-start' begins lab $number with the labs before it solved)"
fi
