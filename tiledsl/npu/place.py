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
    """From the first step that uses a buffer to the last one, and the loop around all of them.

    ``moved``: it is filled or emptied by a copy.
    """

    first: int
    last: int
    spans: list[Span]
    around: tuple[int, int]
    moved: bool


def place(
    body: tuple[npu.Step, ...],
    buffers: Mapping[str, npu.Buffer],
    owners: Mapping[str, str],
    capacity: Mapping[npu.Memory, int],
) -> tuple[tuple[npu.Step, ...], tuple[npu.Buffer, ...]]:
    """Return ``body`` with buffers at addresses, and these in order of address.

    ``owners`` gives for a ring the counter of its loop, in all of which it lives. Where there is
    room, what is copied shares its place with nothing else of its loop: a copy would wait for the
    work on what was there before. Raises `CapacityError`.
    """
    lives = _lives(body, owners)
    used = sorted(
        (buffers[name] for name in lives),
        key=lambda b: (-b.size * b.slots, lives[b.name].first, b.name),
    )
    placed: dict[str, npu.Buffer] = {}
    for memory in dict.fromkeys(b.memory for b in used):
        mine = [b for b in used if b.memory is memory]
        try:
            placed |= _placed(mine, lives, capacity[memory], apart=True)
        except CapacityError:
            placed |= _placed(mine, lives, capacity[memory], apart=False)

    def at(ref: npu.Ref) -> npu.Ref:
        return replace(ref, buffer=placed[ref.buffer.name])

    order = sorted(placed.values(), key=lambda b: (b.memory.value, b.offset, b.name))
    return with_blocks(body, lambda step: with_refs(step, at)), tuple(order)


def _placed(
    buffers: list[npu.Buffer], lives: Mapping[str, _Life], capacity: int, *, apart: bool
) -> dict[str, npu.Buffer]:
    """Return the buffers of one memory at addresses; with ``apart``, away from copies if they can.

    Raises `CapacityError`.
    """
    placed: dict[str, npu.Buffer] = {}
    for buffer in buffers:
        life, size = lives[buffer.name], buffer.size * buffer.slots
        near: list[npu.Buffer] = []
        far: list[npu.Buffer] = []
        for other in placed.values():
            beside = lives[other.name]
            if _meet(life, beside):
                near.append(other)
                far.append(other)
            elif apart and _disturbs(life, beside):
                far.append(other)
        offset = _gap(far, size)
        if apart and offset + size > capacity:
            offset = _gap(near, size)
        if offset + size > capacity:
            raise _overflow(buffers, lives, offset + size)
        placed[buffer.name] = replace(buffer, offset=offset)
    return placed


def _gap(others: list[npu.Buffer], size: int) -> int:
    """Return the lowest address with so much room between other buffers."""
    offset = 0
    for start, end in sorted((b.offset, b.offset + b.size * b.slots) for b in others):
        if start - offset >= size:
            break
        offset = max(offset, end)
    return offset


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


def _disturbs(a: _Life, b: _Life) -> bool:
    """Whether the copies of one would wait for the other in a turn of the loop around both."""
    return (a.moved or b.moved) and a.around == b.around


def _lives(body: tuple[npu.Step, ...], owners: Mapping[str, str]) -> dict[str, _Life]:
    """Return the first and last step of each buffer.

    A buffer that is also used outside a loop lives through all of the loop.
    """
    places: dict[str, list[tuple[int, tuple[tuple[int, int], ...]]]] = {}
    moved: set[str] = set()
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
                    if isinstance(step, npu.CopyIn | npu.CopyOut):
                        moved.update(ref.buffer.name for ref in (*writes, *reads))
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
        start, end = max(common, default=(0, clock))
        lives[name] = _Life(first, last, spans[name], (start, end), name in moved)
    return lives
