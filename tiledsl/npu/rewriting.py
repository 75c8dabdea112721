"""Changing programs: references and nested blocks rewritten, unused variables dropped."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tiledsl.npu import program as npu
from tiledsl.scalar import Apply, Element, Local, Scalar, walk

_SCALARS = (Apply, Element, Local)


def with_refs(step: npu.Step, change: Callable[[npu.Ref], npu.Ref]) -> npu.Step:
    """Return a leaf ``step`` with each `Ref` in it changed."""
    new: dict[str, object] = {}
    for name in step.__dataclass_fields__:  # `fields` takes longer than the rest
        value = getattr(step, name)
        if isinstance(value, npu.Ref):
            new[name] = change(value)
        elif isinstance(value, npu.View):
            new[name] = replace(value, ref=change(value.ref))
    return replace(step, **new) if new else step  # type: ignore[arg-type]


def with_blocks(
    body: tuple[npu.Step, ...], change: Callable[[npu.Step], npu.Step]
) -> tuple[npu.Step, ...]:
    """Return ``body`` with every leaf step changed, in nested blocks too."""
    out: list[npu.Step] = []
    for step in body:
        match step:
            case npu.For():
                out.append(replace(step, body=with_blocks(step.body, change)))
            case npu.If():
                then, orelse = with_blocks(step.then, change), with_blocks(step.orelse, change)
                out.append(replace(step, then=then, orelse=orelse))
            case _:
                out.append(change(step))
    return tuple(out)


def walk_steps(body: tuple[npu.Step, ...]) -> Iterator[npu.Step]:
    """Yield every step, outer ones first."""
    for step in body:
        yield step
        match step:
            case npu.For():
                yield from walk_steps(step.body)
            case npu.If():
                yield from walk_steps(step.then)
                yield from walk_steps(step.orelse)
            case _:
                pass


def drop_unused(body: tuple[npu.Step, ...], keep: frozenset[str]) -> tuple[npu.Step, ...]:
    """Return ``body`` without the variables that nothing but such variables reads."""
    reads: dict[str, set[str]] = {}  # of each variable, by what it is computed from
    waiting = set(keep)
    for step in walk_steps(body):
        if isinstance(step, npu.Let | npu.Assign):
            reads.setdefault(step.name, set()).update(_locals(step))
        else:
            waiting.update(_locals(step))
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        used.add(name)
        waiting |= reads.pop(name, set()) - used
    return _without(body, used)


def _without(body: tuple[npu.Step, ...], used: set[str]) -> tuple[npu.Step, ...]:
    out: list[npu.Step] = []
    for step in body:
        match step:
            case npu.Let() | npu.Assign() if step.name not in used:
                continue
            case npu.For():
                out.append(replace(step, body=_without(step.body, used)))
            case npu.If():
                out.append(
                    replace(
                        step, then=_without(step.then, used), orelse=_without(step.orelse, used)
                    )
                )
            case _:
                out.append(step)
    return tuple(out)


def _locals(step: npu.Step) -> Iterator[str]:
    for name in step.__dataclass_fields__:
        yield from _locals_in(getattr(step, name))


def _locals_in(value: object) -> Iterator[str]:
    match value:
        case Apply() | Element() | Local():
            yield from (part.name for part in walk(value) if isinstance(part, Local))
        case npu.Ref():
            yield from _locals_in(value.offset)
            yield from _locals_in(value.slot)
        case npu.View():
            yield from _locals_in(value.ref)
            yield from _locals_in(value.stride)
        case npu.Global():
            yield from _locals_in(value.offset)
            yield from _locals_in(value.slot)
        case tuple():
            for part in value:
                if isinstance(part, _SCALARS):
                    yield from _locals_in(part)
        case _:
            return


def locals_of(scalar: Scalar) -> set[str]:
    """Return the names of the variables in ``scalar``."""
    return {part.name for part in walk(scalar) if isinstance(part, Local)}
