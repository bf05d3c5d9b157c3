"""Names, lines and struct layouts of a linked program: what nm, addr2line and its debugging information say."""

import bisect
import functools
import os
import re
import subprocess

from grade.eclipse import build

NM = os.environ.get("NM", "nm")
ADDR2LINE = os.environ.get("ADDR2LINE", "addr2line")
READELF = os.environ.get("READELF", "readelf")


class Symbols:
    """The symbols of one ELF file. Symbols.of(path) remembers them as long as the file does not change."""

    def __init__(self, path):
        self.path = path
        self.address, code = {}, []
        out = subprocess.run([NM, "-n", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        for line in out.splitlines():
            words = line.split()
            if len(words) != 3:
                continue
            value, kind, name = int(words[0], 16), words[1], words[2]
            self.address.setdefault(name, value)
            if kind in "tTwW":
                code.append((value, name))
        self.code = code
        self.starts = [a for a, _ in code]
        self.end = self.address.get("text_end", self.address.get("etext", self.starts[-1] + 4096 if code else 0))
        self.lines = {}

    @staticmethod
    @functools.lru_cache(maxsize=32)
    def cached(path, stamp):
        return Symbols(path)

    @staticmethod
    def of(path):
        s = os.stat(path)
        return Symbols.cached(path, (s.st_mtime_ns, s.st_size))

    def function(self, addr):
        """(name, offset) of the function that holds addr, or None."""
        i = bisect.bisect_right(self.starts, addr) - 1
        if i < 0 or addr >= self.end:
            return None
        while i > 0 and self.starts[i - 1] == self.starts[i]:
            i -= 1
        names = [n for a, n in self.code[i:i + 4] if a == self.starts[i]]
        real = [n for n in names if not n.endswith(("_start", "_end"))]
        return (real or names)[0], addr - self.starts[i]

    def place(self, addr):
        """[(function, "file:line")]: innermost first, what the compiler put inside other functions included."""
        if addr not in self.lines:
            self.look_up([addr])
        return self.lines[addr]

    def look_up(self, addrs):
        """Asks addr2line about all of them at once: starting it is what costs. It says an address, then its pairs of
        rows."""
        new = list(dict.fromkeys(a for a in addrs if a not in self.lines))
        if not new:
            return
        p = subprocess.run([ADDR2LINE, "-a", "-f", "-i", "-e", self.path, *map(hex, new)], stdout=subprocess.PIPE,
                           text=True,
                           stderr=subprocess.DEVNULL)
        said = re.split(r"^0x[0-9a-f]+\n", p.stdout, flags=re.M)[1:]
        for addr, text in zip(new, said + [""] * len(new)):
            rows = text.splitlines()
            pairs = [(rows[i], self.shorten(rows[i + 1])) for i in range(0, len(rows) - 1, 2)]
            self.lines[addr] = [(f, where) for f, where in pairs if f != "??"]

    @staticmethod
    def shorten(where):
        """The path as it is in the tree, wherever the tree was when it was compiled."""
        path, _, line = where.split(" (")[0].rpartition(":")
        parts = os.path.normpath(path).split(os.sep)
        for i in range(len(parts)):
            if parts[i] and os.path.exists(os.path.join(build.ROOT, *parts[i:])):
                return f"{os.path.join(*parts[i:])}:{line}"
        return f"{path}:{line}"

    def describe(self, addr):
        """"cow_fault+0x12 (kern/vm/fault.c:88)", with what is inlined there; the address alone when it is nobody's."""
        f = self.function(addr)
        if f is None:
            return f"{addr:#x}"
        text = f"{f[0]}+{f[1]:#x}"
        place = self.place(addr)
        if place:
            text += f" ({place[0][1]}" + (f", in {place[0][0]}" if place[0][0] != f[0] else "") + ")"
        return text


class Layouts:
    """Structs of a program, from its debugging information: {field: (offset, bytes)} by the struct's name.
    Layouts.of(path) remembers them, as Symbols.of does."""

    def __init__(self, path):
        self.path = path
        self.known = {}

    @staticmethod
    @functools.lru_cache(maxsize=32)
    def cached(path, stamp):
        return Layouts(path)

    @staticmethod
    def of(path):
        s = os.stat(path)
        return Layouts.cached(path, (s.st_mtime_ns, s.st_size))

    def struct(self, name, source):
        """`source`: a file that defines or uses the struct; only its part of the information is read."""
        if name not in self.known:
            try:
                self.known[name] = self.read(name, source)
            except ImportError:                      # no python3-pyelftools: what needs it stays unsaid
                self.known[name] = None
        return self.known[name]

    def read(self, name, source):
        from elftools.elf.elffile import ELFFile
        with open(self.path, "rb") as f:
            info = ELFFile(f).get_dwarf_info()
            for offset in (at for at, file in self.units.items() if file.endswith(source)):
                for die in info.get_CU_at(offset).get_top_DIE().iter_children():
                    if die.tag == "DW_TAG_structure_type" and self.name_of(die) == name and die.has_children:
                        return self.fields(die)
        return None

    @functools.cached_property
    def units(self):
        """{offset in .debug_info: source file}. elftools would read all of it for that, a second; readelf does not."""
        p = subprocess.run([READELF, "--debug-dump=info", "--dwarf-depth=1", self.path], stdout=subprocess.PIPE,
                           text=True,
                           stderr=subprocess.DEVNULL, errors="replace")
        out = {}
        for unit in p.stdout.split("Compilation Unit @ offset ")[1:]:
            m = re.search(r"DW_AT_name\s*:.*?(\S+)\s*$", unit, re.M)
            if m:
                out[int(unit.partition(":")[0], 16)] = os.path.normpath(m[1])
        return out

    @staticmethod
    def name_of(die):
        a = die.attributes.get("DW_AT_name")
        return a.value.decode() if a else None

    def fields(self, die):
        out = {"": (0, die.attributes["DW_AT_byte_size"].value)}
        for member in die.iter_children():
            if member.tag != "DW_TAG_member" or "DW_AT_data_member_location" not in member.attributes:
                continue
            kind = member.get_DIE_from_attribute("DW_AT_type")
            while kind.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type"):
                kind = kind.get_DIE_from_attribute("DW_AT_type")
            size = kind.attributes.get("DW_AT_byte_size")
            at = member.attributes["DW_AT_data_member_location"].value
            out[self.name_of(member)] = (at, size.value if size else 0)
        return out
