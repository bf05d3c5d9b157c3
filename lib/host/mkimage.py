#!/usr/bin/env python3
"""mkimage.py IMAGE --boot-img B --core C --esp PATH=FILE... --root FS - writes the bootable disk image.

Idea.       One GPT disk that every firmware can start, made without root rights or loop devices:
                LBA 0        protective MBR with GRUB's boot.img in it          BIOS starts here ...
                34..2047     partition 3, GRUB's core.img                       ... which loads this
                1 MiB        partition 1, FAT32: EFI/BOOT/BOOTX64.EFI           UEFI starts here
                             grub/grub.cfg, kernel.elf, archive                 (both end up here)
                after it     partition 2, the root file system (Linux type GUID)
Invariants. I1 equal inputs give equal images (GUIDs are derived, times are fixed).
            I2 the root partition of an existing image is rewritten only when the root file system was made anew
               since (IMAGE.root remembers which): what the user has saved there survives a new kernel.
"""

import argparse
import binascii
import os
import struct
import uuid

SECTOR = 512
MIB = 1 << 20
ESP_MIB = 48
GUID_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
GUID_LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
GUID_BIOS = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
OURS = uuid.uuid5(uuid.NAMESPACE_URL, "eclipse:image")


# ---------------------------------------------------------------- FAT32

def short_name(name):
    """The 11 bytes of a directory entry. Names must fit 8.3: ours all do."""
    base, _, ext = name.upper().partition(".")
    if not base or len(base) > 8 or len(ext) > 3:
        raise SystemExit(f"mkimage: {name}: not an 8.3 name")
    return base.ljust(8).encode() + ext.ljust(3).encode()


class Fat32:
    """A FAT32 file system of `size` bytes with 512-byte clusters, written once, front to back."""

    RESERVED = 32

    def __init__(self, size):
        self.sectors = size // SECTOR
        self.fat_sectors = (self.sectors * 4 + SECTOR - 1) // SECTOR
        self.first_data = self.RESERVED + 2 * self.fat_sectors
        self.clusters = self.sectors - self.first_data
        assert self.clusters >= 65525, "too small to be FAT32"
        self.fat = [0x0FFFFFF8, 0x0FFFFFFF]
        self.data = bytearray()

    def store(self, content):
        """Stores `content` in fresh clusters; returns the first one (0 for nothing)."""
        n = (len(content) + SECTOR - 1) // SECTOR
        if len(self.fat) - 2 + n > self.clusters:
            raise SystemExit("mkimage: the EFI system partition is full")
        first = len(self.fat)
        self.fat += [first + i + 1 for i in range(n)]
        if n:
            self.fat[-1] = 0x0FFFFFFF
        self.data += content + bytes(n * SECTOR - len(content))
        return first if n else 0

    @staticmethod
    def entry(name, attr, cluster, size):
        date = (2024 - 1980) << 9 | 1 << 5 | 1
        return struct.pack("<11sBBBHHHHHHHI", name, attr, 0, 0, 0, date, date, cluster >> 16, 0, date,
                           cluster & 0xFFFF, size)

    def directory(self, tree, parent, number):
        """Stores the directory `tree` ({name: bytes or tree}) at cluster `number`, which is kept free for it."""
        out = b""
        if parent is not None:
            out += self.entry(b".".ljust(11), 0x10, number, 0) + self.entry(b"..".ljust(11), 0x10, parent, 0)
        for name in sorted(tree):
            value = tree[name]
            if isinstance(value, dict):
                child = self.store(bytes(SECTOR))
                self.directory(value, 0 if parent is None else number, child)
                out += self.entry(short_name(name), 0x10, child, 0)
            else:
                out += self.entry(short_name(name), 0x20, self.store(value), len(value))
        assert len(out) <= SECTOR, "a directory of one cluster is all we make"
        at = (number - 2) * SECTOR
        self.data[at:at + len(out)] = out

    def image(self, tree):
        root = self.store(bytes(SECTOR))
        self.directory(tree, None, root)
        boot = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x58\x90", b"ECLIPSE ", SECTOR, 1, self.RESERVED, 2, 0, 0, 0xF8,
                           0, 63, 255, MIB // SECTOR, self.sectors)
        boot += struct.pack("<IHHIHH12sBBBI11s8s", self.fat_sectors, 0, 0, root, 1, 6, bytes(12), 0x80, 0, 0x29,
                            0x20240101, b"ECLIPSE ESP", b"FAT32   ")
        boot = boot.ljust(510, b"\0") + b"\x55\xaa"
        used = len(self.fat) - 2
        info = struct.pack("<I480sIII12sI", 0x41615252, bytes(480), 0x61417272, self.clusters - used, len(self.fat),
                           bytes(12), 0xAA550000)
        reserved = bytearray(self.RESERVED * SECTOR)
        for at in (0, 6):
            reserved[at * SECTOR:(at + 2) * SECTOR] = boot + info
        fat = struct.pack(f"<{len(self.fat)}I", *self.fat).ljust(self.fat_sectors * SECTOR, b"\0")
        return (bytes(reserved) + fat + fat + self.data).ljust(self.sectors * SECTOR, b"\0")


# ---------------------------------------------------------------- GPT and GRUB

def gpt(sectors, parts):
    """Primary header and table (LBA 1..33), backup table and header (the last 33). `parts`: (type, first, last, name)"""
    table = b""
    for i, (kind, first, last, name) in enumerate(parts):
        own = uuid.uuid5(OURS, f"partition {i + 1}")
        table += struct.pack("<16s16sQQQ72s", kind.bytes_le, own.bytes_le, first, last, 0, name.encode("utf-16-le"))
    table = table.ljust(128 * 128, b"\0")

    def header(here, other, table_at):
        def pack(crc):
            return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, here, other, 34, sectors - 34,
                               OURS.bytes_le, table_at, 128, 128, binascii.crc32(table))
        return pack(binascii.crc32(pack(0))).ljust(SECTOR, b"\0")

    return header(1, sectors - 1, 2) + table, table + header(sectors - 1, 1, sectors - 33)


def mbr(boot_img, sectors, core_lba):
    """Protective MBR with GRUB's boot code, told where core.img lies."""
    code = bytearray(boot_img[:440])
    struct.pack_into("<Q", code, 0x5C, core_lba)       # kernel_sector
    code[0x64] = 0xFF                                   # boot_drive: the one the BIOS says
    code[0x66:0x68] = b"\x90\x90"                       # do not distrust a hard disk's drive number
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    return bytes(code) + bytes(6) + entry + bytes(48) + b"\x55\xaa"


def core(core_img, lba):
    """core.img with the block list of its first sector saying where the rest lies."""
    img = bytearray(core_img.ljust((len(core_img) + SECTOR - 1) // SECTOR * SECTOR, b"\0"))
    struct.pack_into("<QHH", img, SECTOR - 12, lba + 1, len(img) // SECTOR - 1, 0x820)
    return bytes(img)


# ---------------------------------------------------------------- the image

def esp_tree(pairs):
    tree = {}
    for pair in pairs:
        path, _, source = pair.partition("=")
        *dirs, name = path.split("/")
        node = tree
        for d in dirs:
            node = node.setdefault(d, {})
        with open(source, "rb") as f:
            node[name] = f.read()
    return tree


def root_is_current(image, size, mark):
    try:
        with open(image + ".root") as f:
            return os.path.getsize(image) == size and f.read() == mark
    except OSError:
        return False


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("image")
    ap.add_argument("--boot-img", required=True)
    ap.add_argument("--core", required=True)
    ap.add_argument("--esp", action="append", default=[])
    ap.add_argument("--root", required=True)
    a = ap.parse_args()

    root_size = max(os.path.getsize(a.root), MIB)
    root_size = (root_size + MIB - 1) // MIB * MIB
    root_at = MIB + ESP_MIB * MIB
    size = root_at + root_size + MIB
    sectors = size // SECTOR
    parts = [
        (GUID_ESP, MIB // SECTOR, root_at // SECTOR - 1, "EFI system"),
        (GUID_LINUX, root_at // SECTOR, (root_at + root_size) // SECTOR - 1, "eclipse"),
        (GUID_BIOS, 34, 2047, "BIOS boot"),
    ]
    head, tail = gpt(sectors, parts)
    with open(a.boot_img, "rb") as f:
        boot_img = f.read()
    with open(a.core, "rb") as f:
        core_img = core(f.read(), 34)
    if len(core_img) > (2048 - 34) * SECTOR:
        raise SystemExit("mkimage: core.img does not fit its partition")
    st = os.stat(a.root)
    mark = f"{st.st_mtime_ns} {st.st_ino} {st.st_size}\n"
    keep = root_is_current(a.image, size, mark)

    target = a.image if keep else a.image + ".tmp"
    with open(target, "r+b" if keep else "w+b") as f:
        f.truncate(size)
        f.write(mbr(boot_img, sectors, 34) + head)
        f.seek(34 * SECTOR)
        f.write(core_img)
        f.seek(MIB)
        f.write(Fat32(ESP_MIB * MIB).image(esp_tree(a.esp)))
        if not keep:
            copy_sparse(a.root, f, root_at)
        f.seek(size - len(tail))
        f.write(tail)
    if not keep:
        os.replace(target, a.image)
        with open(a.image + ".root", "w") as f:
            f.write(mark)
    os.utime(a.image)


def copy_sparse(source, out, at):
    """Copies a file into `out` at `at`, leaving holes where it is all zeros."""
    zeros = bytes(MIB)
    with open(source, "rb") as f:
        while chunk := f.read(MIB):
            if chunk != zeros[:len(chunk)]:
                out.seek(at)
                out.write(chunk)
            at += len(chunk)


if __name__ == "__main__":
    main()
