"""A shell on the console of a Machine: run a command, get its output and its status.

Each command is followed by an `echo` of a mark made for it alone and `$?`, so the end of its output is certain whatever it
prints; the prompt is only looked for before typing. What is typed is echoed by the tty and taken off again.
"""

import itertools
import os
import re

class Shell:
    def __init__(self, machine, prompt=r"(?:^|\n|\^C)# \Z"):
        self.m = machine
        self.prompt = prompt
        self.count = itertools.count(1)
        self.m.expect(prompt)

    def run(self, command, **budget):
        """Runs one line; returns (output, status)."""
        mark = f"@{os.urandom(3).hex()}{next(self.count)}"
        # The mark is split by quotes in what is typed, so its echo cannot be taken for the real thing.
        self.m.send(f"{command}; echo \"{mark[:3]}\"'{mark[3:]}:'$?\n")
        start = self.m.at
        match = self.m.expect(re.escape(mark) + r":(\d+)\n", **budget)
        text = self.m.console[start:match.start()]
        _, newline, output = text.partition("\n")
        assert newline, self.m.error("the command was not echoed")
        self.m.expect(self.prompt, **budget)
        return output, int(match[1])

    def ok(self, command, **budget):
        """Runs one line that must succeed; returns its output."""
        output, status = self.run(command, **budget)
        if status != 0:
            raise self.m.error(f"`{command}` ended with status {status}")
        return output

    def quiet(self, command, **budget):
        """Runs one line with its output in a file, as on the host: a program sees no terminal. Returns (output, status)."""
        _, status = self.run(f"{command} </dev/null >/tmp/.out 2>&1", **budget)
        return self.ok("cat /tmp/.out"), status

    def poweroff(self):
        """Leaves by poweroff; returns QEMU's exit status."""
        self.m.send("poweroff\n")
        return self.m.wait_exit()
