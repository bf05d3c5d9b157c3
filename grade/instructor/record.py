"""What an honest kernel says to the judges, kept for a forger: python3 -m grade.instructor.record FILE [words
of grade.run].

Runs the graded tests as ever and writes {kernel words without the seed: [records, console]} of all runs to
FILE. The forger of samples.py plays them back under another seed: what it gets points for, a judge could be
told by anybody.
"""

import json
import os
import re
import sys


def words_of(command):
    """The kernel words of a QEMU command line, without those that the seed chooses."""
    m = re.search(r" -append (.*?) -(?:initrd|drive|chardev|device) ", command)
    known = re.search(r"observe=.*", m[1]) if m else None
    return " ".join(w for w in (known[0] if known else "").split() if not w.startswith(("seed=", "slice=")))


def main():
    path = os.path.abspath(sys.argv.pop(1))
    os.environ["ECLIPSE_BUILD"] = sys.argv[sys.argv.index("--build") + 1]        # before grade.eclipse is read
    from grade import run
    from grade.eclipse import judge
    first = judge.Observation.__init__

    def keep(self, guest, kernel):
        first(self, guest, kernel)
        row = json.dumps([words_of(guest.command), self.raw, self.console]) + "\n"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT,
                     0o600)      # tests are processes of their own
        os.write(fd, row.encode())
        os.close(fd)

    judge.Observation.__init__ = keep
    run.main()


if __name__ == "__main__":
    main()
