"""The host's side of user/tests/dice.h, for judges of programs that have no oracle: what they must have rolled."""

MASK = (1 << 64) - 1


class Dice:
    """roll() after dice_seed(seed)."""

    def __init__(self, seed):
        self.state = int(seed) * 0x9e3779b97f4a7c15 + 99 & MASK

    def roll(self, n):
        s = self.state
        s ^= s >> 12
        s ^= s << 25 & MASK
        s ^= s >> 27
        self.state = s
        return (s * 0x2545f4914f6cdd1d & MASK) // (1 << 33) % n


def memback_heard(seed):
    """What the ends of the 16 children of a round of memback.c add up to."""
    dice, total = Dice(seed), 0
    for _ in range(16):
        what, code = dice.roll(6), dice.roll(100)
        total += {1: 0, 4: 1000}.get(what, code)             # another program; killed
    return total


def forkfull_sum(seed, children):
    """What the codes of the first children of a round of forkfull.c add up to."""
    dice, total = Dice(seed), 0
    for _ in range(children):
        total += dice.roll(100)
        if dice.roll(3) == 0:
            dice.roll(8)                                     # a rest
    return total
