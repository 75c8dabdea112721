"""Give every buffer its address: buffers whose lives meet do not overlap."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import with_blocks, with_refs
from tiledsl.source import NOWHERE, Span


@dataclass(eq=False)
class CapacityError(Exception):
    """The buffers of ``memory`` that live at the worst moment need more than there is.

    ``lines`` are the first and the last line of the source that use each.
    """

    memory: npu.Memory
    needed: int
    buffers: tuple[npu.Buffer, ...]
    lines: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class _Life:
    first: int
    last: int
    spans: list[Span]


def place(
    body: tuple[npu.Step, ...],
    buffers: Mapping[str, npu.Buffer],
    owners: Mapping[str, str],
    capacity: Mapping[npu.Memory, int],
) -> tuple[tuple[npu.Step, ...], tuple[npu.Buffer, ...]]:
    """Return ``body`` with buffers at addresses, and these in order of address.

    ``owners`` gives for a ring the counter of its loop, in all of which it lives. Raises
    `CapacityError`.
    """
    lives = _lives(body, owners)
    placed: dict[str, npu.Buffer] = {}
    used = sorted(
        (buffers[name] for name in lives),
        key=lambda b: (-b.size * b.slots, lives[b.name].first, b.name),
    )
    for buffer in used:
        life = lives[buffer.name]
        taken = sorted(
            (other.offset, other.offset + other.size * other.slots)
            for other in placed.values()
            if other.memory is buffer.memory and _meet(life, lives[other.name])
        )
        offset, size = 0, buffer.size * buffer.slots
        for start, end in taken:
            if start - offset >= size:
                break
            offset = max(offset, end)
        if offset + size > capacity[buffer.memory]:
            raise _overflow([b for b in used if b.memory is buffer.memory], lives, offset + size)
        placed[buffer.name] = replace(buffer, offset=offset)

    def at(ref: npu.Ref) -> npu.Ref:
        return replace(ref, buffer=placed[ref.buffer.name])

    order = sorted(placed.values(), key=lambda b: (b.memory.value, b.offset, b.name))
    return with_blocks(body, lambda step: with_refs(step, at)), tuple(order)


def _overflow(
    buffers: list[npu.Buffer], lives: Mapping[str, _Life], needed: int
) -> CapacityError:
    """Return the error for buffers of one memory, with those that live at the worst moment.

    They need ``needed`` bytes, or more where they would be too many without any gap.
    """
    moments = [
        [b for b in buffers if lives[b.name].first <= life.first <= lives[b.name].last]
        for life in (lives[b.name] for b in buffers)
    ]
    bytes_of = [sum(b.size * b.slots for b in together) for together in moments]
    most = max(bytes_of)
    worst = tuple(moments[bytes_of.index(most)])
    lines: dict[str, tuple[int, int]] = {}
    for buffer in worst:
        numbers = [span.line for span in lives[buffer.name].spans if span is not NOWHERE]
        if numbers:
            lines[buffer.name] = (min(numbers), max(numbers))
    return CapacityError(worst[0].memory, max(needed, most), worst, lines)


def _meet(a: _Life, b: _Life) -> bool:
    return a.first <= b.last and b.first <= a.last


def _lives(body: tuple[npu.Step, ...], owners: Mapping[str, str]) -> dict[str, _Life]:
    """Return the first and last step of each buffer.

    A buffer that is also used outside a loop lives through all of the loop.
    """
    places: dict[str, list[tuple[int, tuple[tuple[int, int], ...]]]] = {}
    regions: dict[str, tuple[int, int]] = {}
    spans: dict[str, list[Span]] = {}
    clock = 0

    def number(steps: tuple[npu.Step, ...], loops: tuple[list[int], ...]) -> None:
        nonlocal clock
        for step in steps:
            clock += 1
            match step:
                case npu.For():
                    region = [clock, clock]
                    number(step.body, (*loops, region))
                    clock += 1
                    region[1] = clock
                    for inner in step.body:
                        if isinstance(inner, npu.Assign):
                            regions[inner.name] = (region[0], region[1])
                case npu.If():
                    number(step.then, loops)
                    number(step.orelse, loops)
                case _:
                    writes, reads = npu.operands(step)
                    for ref in (*writes, *reads):
                        places.setdefault(ref.buffer.name, []).append((clock, loops))  # type: ignore[arg-type]
                        spans.setdefault(ref.buffer.name, []).append(step.span)

    number(body, ())
    lives: dict[str, _Life] = {}
    for name, uses in places.items():
        first, last = min(at for at, _ in uses), max(at for at, _ in uses)
        common = set.intersection(*({tuple(r) for r in loops} for _, loops in uses))
        for _, loops in uses:
            for region in loops:
                if tuple(region) not in common:
                    first, last = min(first, region[0]), max(last, region[1])
        if name in owners and owners[name] in regions:
            start, end = regions[owners[name]]
            first, last = min(first, start), max(last, end)
        lives[name] = _Life(first, last, spans[name])
    return lives
