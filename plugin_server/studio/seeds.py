"""Seeds that are drawn where a request names none."""

import secrets

ANY_SEED = -1
"""A request's seed for: draw one, as other programs have it."""
DRAWN_SEEDS = 2**24
"""Drawn seeds, and those of the takes after them, are below it: many programs hold numbers as 32-bit floats, which have
every whole number up to it and can so send back the seed that they were told."""
MAX_TAKES = 16


def draw_seed() -> int:
    """Return a random seed that leaves room for the seeds of further takes."""
    return secrets.randbelow(DRAWN_SEEDS - MAX_TAKES + 1)


def other_seed(seed: int | None) -> int:
    """Return a random seed that is not this one."""
    while (other := draw_seed()) == seed:
        pass
    return other
