"""Conditions taken off a block's steps, each step with its own, and put back around neighbours.

A flag stands outside of conditions: so it is raised and lowered in every turn of a loop, whether
the instruction beside it is executed or not.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import locals_of, walk_steps
from tiledsl.scalar import Scalar
from tiledsl.source import Span

Guards = tuple[npu.If, ...]  # the conditions of a step, outermost first


def opened(steps: Iterable[npu.Step], guards: Guards = ()) -> Iterator[tuple[npu.Step, Guards]]:
    """Yield the steps with their conditions, as far as these can be taken apart."""
    for step in steps:
        if isinstance(step, npu.If) and _can_open(step):
            yield from opened(step.then, (*guards, replace(step, then=())))
        else:
            yield step, guards


def guarded(steps: Sequence[npu.Step], condition: Scalar, span: Span) -> list[npu.Step]:
    """Return ``steps`` under a condition, variables outside of it, as far as they do not depend."""
    out: list[npu.Step] = []
    inside: list[npu.Step] = []
    for number, step in enumerate(steps):
        if isinstance(step, npu.ReadScalar):
            inside += steps[number:]
            break
        if isinstance(step, npu.Let):
            out += _under(inside, condition, span)
            out.append(step)
            inside = []
        else:
            inside.append(step)
    return out + _under(inside, condition, span)


def _under(steps: list[npu.Step], condition: Scalar, span: Span) -> list[npu.Step]:
    return [npu.If(condition, tuple(steps), span=span)] if steps else []


def _can_open(step: npu.If) -> bool:
    """Whether nothing inside defines a variable, or changes one of the condition."""
    if step.orelse or any(isinstance(s, npu.Let | npu.ReadScalar) for s in step.then):
        return False
    names = locals_of(step.condition)
    return not any(isinstance(s, npu.Assign) and s.name in names for s in walk_steps(step.then))


def closed(steps: Sequence[tuple[npu.Step, Guards]]) -> tuple[npu.Step, ...]:
    """Return the steps of a block, neighbours under one condition together."""
    out: list[npu.Step] = []
    first = 0
    while first < len(steps):
        step, guards = steps[first]
        last = first + 1
        if not guards:
            out.append(step)
        else:
            while last < len(steps) and steps[last][1][:1] == guards[:1]:
                last += 1
            inner = [(s, g[1:]) for s, g in steps[first:last]]
            out.append(replace(guards[0], then=closed(inner)))
        first = last
    return tuple(out)
