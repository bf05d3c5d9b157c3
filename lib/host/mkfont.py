#!/usr/bin/env python3
"""mkfont.py [FONT.pf2] - the ASCII glyphs of a GRUB font (PFF2) as a C table of 8 x 16 bits.

Without a font the table is empty and the kernel's framebuffer console stays dark; everything else works.
"""
import struct
import sys


def sections(data):
    """Yield (name, offset, length); DATA, the last one, has no honest length."""
    at = 0
    while at + 8 <= len(data):
        name, size = data[at:at + 4], struct.unpack_from(">I", data, at + 4)[0]
        size = min(size, len(data) - at - 8)
        yield name, at + 8, size
        at += 8 + size


def glyph(data, at, ascent):
    """The 16 rows of the glyph at this offset, placed on an 8 x 16 cell."""
    width, height, x0, y0, _ = struct.unpack_from(">HHhhh", data, at)
    rows = [0] * 16
    for i in range(width * height):
        if data[at + 10 + i // 8] & 0x80 >> i % 8:
            x, y = x0 + i % width, ascent - y0 - height + i // width
            if 0 <= x < 8 and 0 <= y < 16:
                rows[y] |= 0x80 >> x
    return rows


def load(path):
    data = open(path, "rb").read()
    table, ascent, glyphs = {}, 14, {}
    for name, at, size in sections(data):
        if name == b"ASCE":
            ascent = struct.unpack_from(">H", data, at)[0]
        if name == b"CHIX":
            table = {c: off for c, _, off in struct.iter_unpack(">IBI", data[at:at + size]) if c < 128}
    for c, off in table.items():
        glyphs[c] = glyph(data, off, ascent)
    return glyphs


def main():
    glyphs = load(sys.argv[1]) if len(sys.argv) > 1 else {}
    print("/* Made by lib/host/mkfont.py. */\n#include <stdint.h>")
    print(f"const uint32_t font_nglyphs = {len(glyphs)};")
    print("const uint8_t font8x16[128][16] = {")
    for c in sorted(glyphs):
        print(f"\t[{c}] = {{ {', '.join(map(str, glyphs[c]))} }},")
    print("};")


main()
