#!/bin/sh
# setup.sh - installs what building, running and testing Eclipse needs. Safe to run again: it installs only what is missing.
packages="gcc libc6-dev binutils make python3 python3-pytest python3-pyelftools patch
qemu-system-x86 ovmf grub-pc-bin grub-efi-amd64-bin grub-common busybox-static gdb"
# The instructor's side is not in a student's tree.
[ -d grade/instructor ] && packages="$packages git python3-clang python3-jinja2 python3-yaml bubblewrap similarity-tester slurm-wlm munge"

case $(uname -s) in
Darwin)
	cat <<'TEXT'
On macOS, with Homebrew (https://brew.sh):
    brew install make qemu python x86_64-elf-gcc x86_64-elf-binutils x86_64-elf-gdb x86_64-elf-grub
    python3 -m pip install --user pytest pyelftools
then use `gmake` in place of `make`. Without a static Linux BusyBox the image carries our own programs only.
TEXT
	exit 0 ;;
esac

if ! command -v apt-get >/dev/null 2>&1; then
	echo "This is no Debian or Ubuntu. Please install what Debian calls:"
	echo $packages
	exit 0
fi

missing=
for p in $packages; do
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | cut -c1-2)" = ii ] || missing="$missing $p"
done
if [ -z "$missing" ]; then
	echo "setup: everything is there"
	exit 0
fi

sudo=
if [ "$(id -u)" != 0 ]; then
	sudo=$(command -v sudo) || {
		echo "setup: needs root; as root, run: apt-get install$missing" >&2
		exit 1
	}
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get install -y --no-install-recommends $missing ||
	{ $sudo apt-get update && $sudo apt-get install -y --no-install-recommends $missing; }
