"""How a test can fail, in one word.

    wrong        the kernel ran to the end; what it did is not what must follow
    panic        it stopped itself
    triple-fault an exception while handling an exception while handling an exception: the machine gave up
    idle-hang    every CPU waits for something that does not come
    busy-hang    a CPU runs and runs
    deadlock     two wait for each other, or one for itself
    flood        it says more than anybody can read
    no-build     it does not compile or link
    not-written  it came to a function that the student has not written yet
    grader       our own trouble: no fault of the student's
"""

CLASSES = ("wrong", "panic", "triple-fault", "idle-hang", "busy-hang", "deadlock", "flood", "no-build", "not-written",
           "grader")


class Failure(AssertionError):
    """`kind`: one of CLASSES; `what`: one line; `sections`: [(heading, text)] that explain."""

    def __init__(self, kind, what, sections=()):
        assert kind in CLASSES, kind
        self.kind, self.what, self.sections = kind, what, list(sections)
        super().__init__(self.text())

    def add(self, heading, text):
        if text:
            self.sections.append((heading, text))

    def text(self):
        out = [f"{self.kind}: {self.what}"]
        for heading, text in self.sections:
            out += ([f"--- {heading}"] if heading else []) + text.rstrip("\n").split("\n")
        return "\n".join(out)

    def __str__(self):
        return self.text()
