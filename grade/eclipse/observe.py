"""The host's side of kern/boot/observe.c: the same random numbers, and the records taken apart."""

import re

MASK = (1 << 64) - 1


class Random:
    """observe_random(): xorshift64*. Random(run.seed) draws what the kernel draws."""

    def __init__(self, seed):
        self.state = (seed ^ 0x9e3779b97f4a7c15) & MASK or 0x2545f4914f6cdd1d

    def next(self):
        s = self.state
        s ^= s >> 12
        s ^= s << 25 & MASK
        s ^= s >> 27
        self.state = s
        return s * 0x2545f4914f6cdd1d & MASK

    def below(self, n):
        """observe_below(n)"""
        return self.next() % n

    def choice(self, items):
        return items[self.below(len(items))]

    def shuffle(self, items):
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items


def unescape(text):
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)


class Records:
    """What came over the debug console so far. `trouble` says how it breaks the protocol, if it does."""

    def __init__(self, raw):
        self.lines, self.begun, self.ended, self.unknown, self.trouble = [], None, False, None, None
        complete = raw.rpartition("\n")[0]
        for i, line in enumerate(complete.split("\n") if complete else []):
            m = re.fullmatch(r"(\d+) (\S+)(?: (.*))?", line)
            if not m or int(m[1]) != i or self.ended:
                self.trouble = self.trouble or f"record {i} of the observations reads {line[:100]!r}"
                return
            self.take(m[2], m[3] or "")

    def take(self, word, text):
        if word == "end":
            self.ended = True
        elif word == "unknown":
            self.unknown = text
        elif word == "begin" and self.begun is None:
            self.begun = text
        else:
            self.lines.append(unescape(text))


class Script:
    """The records of an observation, taken one after the other and compared with what must come: for a judge who draws
    what the guest draws."""

    NOTHING = "(nothing more was told)"

    def __init__(self, run, lines):
        self.run, self.lines, self.at = run, lines, 0

    def coming(self):
        return self.lines[self.at] if self.at < len(self.lines) else self.NOTHING

    def next(self):
        line = self.coming()
        self.at += 1
        return line

    def expect(self, want, what):
        self.run.equal(self.next(), want, what)

    def over(self):
        self.run.check(self.at == len(self.lines), "wrong", f"more is told than was asked for: {self.coming()}")
