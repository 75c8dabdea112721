"""The choices that a random kernel is made of."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from a source of random numbers, which may be Hypothesis's, so that it can shrink."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def integer(self, low: int, high: int) -> int:
        """Return an integer between two, both included."""
        return self.random.randint(low, high)

    def one_in(self, count: int) -> bool:
        """Return whether something happens that happens so seldom."""
        return self.random.randint(1, count) == count

    def flip(self) -> bool:
        """Return one of two."""
        return self.one_in(2)

    def pick(self, items: Sequence[T]) -> T:
        """Return one of some things."""
        return items[self.random.randint(0, len(items) - 1)]

    def some(self, items: Sequence[T], least: int = 0) -> list[T]:
        """Return some of them, in any order."""
        count = self.random.randint(least, len(items))
        return self.shuffled(items)[:count]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return all of them, in any order."""
        left, out = list(items), []
        while left:
            out.append(left.pop(self.random.randint(0, len(left) - 1)))
        return out
