#!/bin/sh
# mkroot.sh IMAGE TREE PROGRAM... - lays out the root file system in TREE and makes IMAGE of it with $MKFS.
#
# In the tree: our programs in /bin, $BUSYBOX unmodified at /usr/bin/busybox with a link for each of its applets,
# a small /etc, mount points, $TESTS and what $DATA holds in /tests, and the tree $OVERLAY over it all. $SIZE is the image's size.
# No root rights: the file system maker gives every file to user 0.
set -e
image=$1 tree=$2
shift 2

rm -rf "$tree"
for dir in bin dev etc mnt proc root tmp usr/bin var; do
	mkdir -p "$tree/$dir"
done
chmod 1777 "$tree/tmp"
chmod 700 "$tree/root"
[ $# -eq 0 ] || cp "$@" "$tree/bin/"
[ ! -e "$tree/bin/test" ] || ln -s test "$tree/bin/["

if [ -n "$BUSYBOX" ]; then
	cp "$BUSYBOX" "$tree/usr/bin/busybox"
	chmod 755 "$tree/usr/bin/busybox"
	for applet in $("$BUSYBOX" --list 2>/dev/null); do
		[ "$applet" = busybox ] || ln -s busybox "$tree/usr/bin/$applet"
	done
else
	echo "mkroot: no static busybox on this machine (make doctor): the image goes without" >&2
fi

echo eclipse > "$tree/etc/hostname"
echo 'root::0:0:root:/root:/bin/sh' > "$tree/etc/passwd"
echo 'root:x:0:' > "$tree/etc/group"
cat > "$tree/etc/profile" <<'PROFILE'
export PATH=/bin:/usr/bin
export HOME=/root
PROFILE
cat > "$tree/etc/motd" <<'MOTD'
This is Eclipse. Our own programs are in /bin, BusyBox is in /usr/bin. `poweroff` ends it.
MOTD

if [ -n "$TESTS" ]; then
	mkdir "$tree/tests"
	cp $TESTS "$tree/tests/"
fi
if [ -n "$DATA" ]; then
	mkdir -p "$tree/tests"
	cp -r "$DATA/." "$tree/tests/"
fi
if [ -n "$OVERLAY" ]; then
	[ -d "$OVERLAY" ] || { echo "mkroot: ROOTFS=$OVERLAY: no such directory" >&2; exit 1; }
	cp -a "$OVERLAY/." "$tree/"
fi

if [ -n "$MKFS" ]; then
	rm -f "$image"
	"$MKFS" -d "$tree" -s "$SIZE" -L eclipse "$image" >/dev/null
else
	echo "mkroot: this tree has no mkfs.eclipsefs: the root partition stays empty" >&2
	: > "$image"
fi
