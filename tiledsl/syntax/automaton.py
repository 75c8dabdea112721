"""The automaton that the table describes: its stacks, and what it could do next."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tiledsl.syntax import build
from tiledsl.syntax.table import END, table

# How a reduction makes its value.
SAME, LIST, ALL, SOME = range(4)


@dataclass(slots=True)
class Stacks:
    """Four stacks in step: states, what they stand for, and its first and last offset."""

    states: list[int] = field(default_factory=lambda: [table().start])
    values: list[Any] = field(default_factory=lambda: [None])
    starts: list[int] = field(default_factory=lambda: [0])
    ends: list[int] = field(default_factory=lambda: [0])

    def cut(self, length: int) -> None:
        """Drop what is above ``length``."""
        del self.states[length:], self.values[length:], self.starts[length:], self.ends[length:]

    def push(self, state: int, value: object, offset: int) -> None:
        """Put on a part without text."""
        self.states.append(state)
        self.values.append(value)
        self.starts.append(offset)
        self.ends.append(offset)

    def accept(self, kind: str) -> bool:
        """Return whether a token of this kind could stand here: a row of LALR promises too much."""
        every, gotos, states = plans(), table().gotos, list(self.states)
        while True:
            act = rows()[states[-1]].get(kind)
            if act is None or act >= 0:
                return act is not None
            origin, length, *_ = every[~act]
            del states[len(states) - length :]
            goto = gotos[states[-1]].get(origin)
            if goto is None:
                return False
            states.append(goto)
            if kind == END and goto == table().end:
                return True


@cache
def plans() -> tuple[tuple[str, int, int, Any, Any], ...]:
    """Return for each rule its origin, length, way to make a value, parts, and action."""
    made = []
    way: int
    parts: Any
    for rule in table().rules:
        way, parts = ALL, rule.keep
        if rule.action == "":
            way, parts = SAME, rule.keep[0]
        elif rule.action == "_":
            way, parts = LIST, [(place, place in rule.splice) for place in rule.keep]
        elif rule.keep != tuple(range(rule.length)):
            way = SOME
        made.append((rule.origin, rule.length, way, parts, build.ACTIONS.get(rule.action)))
    return tuple(made)


@cache
def rows() -> tuple[dict[str, int], ...]:
    """Return what each state does for each kind of token."""
    made = table()
    return tuple(made.rows[shape] for shape in made.shape)


@cache
def only_way(state: int) -> int | None:
    """Return the reduction that a state makes for every token that it knows, if there is one."""
    ways = set(rows()[state].values())
    return way if len(ways) == 1 and (way := ways.pop()) < 0 else None


jumps: dict[tuple[int, int, str], int] = {}
"""Where a chain of rules with one part each ends: precedence makes a dozen for each operand."""


def jump(below: int, state: int, kind: str) -> int:
    """Return where rules with one part lead from ``state``, which stands on ``below``."""
    chain = below, state, kind
    every, gotos = plans(), table().gotos
    while (act := rows()[state].get(kind, only_way(state))) is not None and act < 0:
        origin, length, way, _, _ = every[~act]
        if length != 1 or way != SAME:
            break
        state = gotos[below][origin]
    jumps[chain] = state
    return state
