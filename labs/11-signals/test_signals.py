"""The judges of lab 11: random programs, and Linux says what they must print.

user/tests/sigmix.c, sigframe.c and siglife.c do what their seed tells them; a letter says which kind of steps. Every
test runs two seeds, both drawn from the run's.
"""

from grade.eclipse.judge import Run


def twice(run, program, letters, **words):
    random = run.random
    for _ in range(2):
        run.same_as_linux(program, [str(1 + random.below(1 << 30)), letters], **words)


# ---------------------------------------------------------------- sending, blocking, taking

def test_sig_blocked(run: Run):
    """What is sent while it is blocked is kept, once, and comes when it is let through."""
    twice(run, "sigmix", "ssm")


def test_sig_realtime(run: Run):
    """Real-time signals are kept as often as they were sent, with their values, in order."""
    twice(run, "sigmix", "rrsm")


def test_sig_ignored(run: Run):
    """Ignored signals vanish, blocked ones wait: the action may change before they are let through."""
    twice(run, "sigmix", "sma")


def test_sig_taken(run: Run):
    """sigtimedwait takes one out without a handler."""
    twice(run, "sigmix", "srt")


def test_sig_suspended(run: Run):
    """sigsuspend changes the mask for the time of one call."""
    twice(run, "sigmix", "smru")


# ---------------------------------------------------------------- handlers

def test_handler_masks(run: Run):
    """What is blocked in a handler, handlers in handlers, and those that count once."""
    twice(run, "sigmix", "smf")


def test_frame_registers(run: Run):
    """All registers are saved, and what the handler puts in their places comes back."""
    twice(run, "sigframe", "r")


def test_frame_red_zone(run: Run):
    """The 128 bytes below the stack pointer belong to the program."""
    twice(run, "sigframe", "z")


def test_frame_fpu(run: Run):
    """SSE registers are saved, fresh in the handler, and restored from the frame."""
    twice(run, "sigframe", "x")


def test_frame_stack(run: Run):
    """Alternate stacks: which handlers run there, how often, and what they may change."""
    twice(run, "sigframe", "a")


def test_frame_faults(run: Run):
    """A fault's handler hears which and where; blocked or ignored, a fault is the end."""
    twice(run, "sigframe", "f")


def test_frame_lies(run: Run):
    """A frame that lies gets the program no more than it could have done anyway."""
    twice(run, "sigframe", "l")


# ---------------------------------------------------------------- the life of processes

def test_life_stopped(run: Run):
    """Stopping and continuing, and what wait4 says about it."""
    twice(run, "siglife", "s")


def test_life_children(run: Run):
    """SIGCHLD, with what it carries; parents who do not want to know."""
    twice(run, "siglife", "c")


def test_life_groups(run: Run):
    """A signal to a group reaches every member, once."""
    twice(run, "siglife", "g")


def test_life_interrupted(run: Run):
    """Calls that sleep are interrupted, or go on, as the action says."""
    twice(run, "siglife", "b")


def test_life_orphans(run: Run):
    """A stopped group that nobody could continue any more is woken."""
    twice(run, "siglife", "o")


def test_life_permission(run: Run):
    """Who may send what to whom."""
    twice(run, "siglife", "p")


def test_life_inherited(run: Run):
    """What a child and a new program find of masks, actions and pending signals."""
    twice(run, "siglife", "i")
