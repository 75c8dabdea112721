"""What stands in each buffer while a tape is recorded: values, numbers, masks, matrices."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator import arithmetic
from tiledsl.simulator.halves import narrow_into, widen_into
from tiledsl.simulator.lanes import POISON
from tiledsl.simulator.tape.storage import (
    Dims,
    Each,
    Operand,
    Piece,
    Ref,
    Root,
    Split,
    Step,
    UnplannedError,
    joined,
    packed,
)  # fmt: skip

_MOST_STEPS = 20_000
_MOST_PIECES = 48  # in one buffer: whoever looks for one looks at all
_HALF_POISON = np.full(1, POISON * 257, np.uint16).view(np.float16).astype(np.float32)[0]
_BYTE = np.dtype(np.uint8)
F32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """One number throughout, or one for each program, ``item`` bytes an element."""

    start: int
    end: int
    value: Array | Each
    item: int

    @property
    def is_half(self) -> bool:
        """Whether it is an f16."""
        return _kind(self.value) == np.float16


@dataclass(frozen=True, slots=True, eq=False)
class Bits:
    """A mask: the bools of ``root`` as bits."""

    start: int
    end: int
    root: Root
    count: int


@dataclass(slots=True, eq=False)
class Matrix:
    """A matrix of the cube in the layout of its memory, kept as rows and columns of f32.

    ``high`` are the rows of a block in L1. ``terms`` are products still to be added.
    """

    start: int
    end: int
    layout: str
    high: int
    ref: Ref | None
    shape: tuple[int, int]
    terms: list[tuple[Ref, Ref]] = field(default_factory=list)


Thing = Piece | Number | Bits | Matrix
Key = tuple[int, str]


class Board:
    """The buffers of all cores of a block, and the steps that fill them."""

    def __init__(self) -> None:
        self.buffers: dict[Key, list[Thing]] = {}
        self.steps: list[Step] = []

    def emit(self, step: Step) -> None:
        """Add a step to the tape."""
        if len(self.steps) == _MOST_STEPS:
            raise UnplannedError("too many steps")
        self.steps.append(step)

    def new(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Ref:
        """Return scratch for a new value."""
        size = dtype.itemsize
        return Ref(Root(prod(shape) * size), 0, packed(shape, size), dtype)

    # ---- writing --------------------------------------------------------------------------------

    def put(self, key: Key, thing: Thing) -> None:
        """Let ``thing`` stand for its bytes; what it covers is forgotten."""
        kept = self.buffers.get(key, [])
        if not (isinstance(thing, Piece) and _has_gaps(thing)):
            kept = [t for t in kept if t.start < thing.start or t.end > thing.end]
        elif isinstance(thing, Piece):
            kept = [t for t in kept if not (isinstance(t, Piece) and _same_place(t, thing))]
        if len(kept) >= _MOST_PIECES:
            raise UnplannedError("too many pieces")
        self.buffers[key] = [*kept, thing]

    def piece(
        self, key: Key, start: int, item: int, strides: Sequence[int], ref: Ref, *,
        half: bool = False,
    ) -> None:  # fmt: skip
        """Let ``ref`` stand at ``start``, with these strides in the buffer."""
        dims = [(n, s, inner) for (n, inner), s in zip(ref.dims, strides, strict=True)]
        if any(n > 1 and s <= 0 for n, s, _ in dims):
            raise UnplannedError("a place is written twice")
        end = start + item + sum((n - 1) * s for n, s, _ in dims)
        piece = Piece(start, end, joined(dims, item), item, ref.root, ref.offset, half)
        self.put(key, piece)

    # ---- reading --------------------------------------------------------------------------------

    def top(self, key: Key, start: int, end: int) -> Thing | None:
        """Return what was put last of all that stands somewhere in these bytes."""
        for thing in reversed(self.buffers.get(key, ())):
            if thing.start < end and start < thing.end:
                return thing
        return None

    def read(
        self, key: Key, start: int, dims: Dims, dtype: np.dtype[Any], *, half: bool = False
    ) -> Operand | Split:
        """Return elements of a buffer; ``half``: those of f16, as f32 of ``dtype``."""
        item = 2 if half else dtype.itemsize
        end = start + item + sum((n - 1) * s for n, s in dims)
        for _ in range(2):
            thing = self.top(key, start, end)
            if isinstance(thing, Piece) and thing.half is half:
                found = thing.find(start, dims, item, dtype)
                if found is not None:
                    return found
            inside = thing is not None and thing.start <= start and end <= thing.end
            if isinstance(thing, Number) and inside and thing.item == item:
                number = _number(thing.value, dtype, half=half)
                if number is not None:
                    return number
            if isinstance(thing, Piece) and half and not thing.half:
                found = thing.find(start, dims, item, np.dtype(np.float16))
                if isinstance(found, Split):
                    return found
                if found is not None:
                    return self.widened(found)
            self.flush(key, start, end, half=half)
        raise AssertionError("nothing stands where all was just written")

    def widened(self, ref: Ref) -> Ref:
        """Return f16 as f32."""
        out = self.new(ref.shape, F32)
        self.emit(Step(widen_into, [ref], out))
        return out

    def flush(self, key: Key, start: int, end: int, *, half: bool) -> None:
        """Write the bytes from ``start`` to ``end``, and what reaches into them, one by another."""
        things = self.buffers.get(key, [])
        start, end = start // 32 * 32, -(-end // 32) * 32
        while True:
            met = [t for t in things if t.start < end and start < t.end]
            low = min([start, *(t.start for t in met)])
            high = max([end, *(t.end for t in met)])
            if (low, high) == (start, end):
                break
            start, end = low // 32 * 32, -(-high // 32) * 32
        half = half and all(_may_be_half(t) for t in met)
        scale = 2 if half else 1
        root = Root((end - start) * scale)
        covered = np.zeros(end - start, np.bool_)
        left: list[Thing] = []  # what is not all under what was put later
        for thing in reversed(met):
            mark = _marked(covered, thing, start)
            if not mark.all():
                mark[...] = True
                left.insert(0, thing)
        if not covered.all():
            whole = ((root.size // 4, 4),) if half else ((root.size, 1),)
            poison = np.asarray(_HALF_POISON) if half else np.asarray(POISON, np.uint8)
            self.emit(Step(arithmetic.put, [poison], Ref(root, 0, whole, F32 if half else _BYTE)))
        for thing in left:
            self._write(thing, root, start, half=half)
        item = 2 if half else 1
        dims = (((end - start) // item, item, item * scale),)
        piece = Piece(start, end, dims, item, root, 0, half)
        self.buffers[key] = [*(t for t in things if t not in met), piece]

    def _write(self, thing: Thing, root: Root, start: int, *, half: bool) -> None:
        """Write the bytes of a thing into those of ``root``, which begin with byte ``start``."""
        match thing:
            case Piece():
                scale = 2 if half else 1
                to: Dims = tuple((n, s * scale) for n, s, _ in thing.dims)
                source: Dims = tuple((n, inner) for n, _, inner in thing.dims)
                kind = np.dtype(f"u{thing.item}") if thing.item in (1, 2, 4, 8) else _BYTE
                kind = F32 if thing.half else kind
                out = F32 if half else np.dtype(np.float16) if thing.half else kind
                ref = Ref(thing.root, thing.offset, source, kind)
                into = Ref(root, (thing.start - start) * scale, to, out)
                write = narrow_into if thing.half and not half else arithmetic.put
                self.emit(Step(write, [ref], into))
            case Number(value=value, item=item):
                count = (thing.end - thing.start) // item
                number = _number(value, F32, half=half) if half else value
                kind = F32 if half else _kind(value)
                assert number is not None
                size = kind.itemsize
                into = Ref(root, (thing.start - start) * size // item, ((count, size),), kind)
                self.emit(Step(arithmetic.put, [number], into))
            case Bits(count=count):
                bits = Ref(thing.root, 0, ((count, 1),), np.dtype(np.bool_))
                into = Ref(root, thing.start - start, ((-(-count // 8), 1),), _BYTE)
                self.emit(Step(_pack, [bits], into))
            case Matrix():
                raise UnplannedError("the bytes of a matrix")


def _pack(bits: Array, out: Array) -> None:
    out[...] = np.packbits(bits, axis=1, bitorder="little")


def _kind(value: Array | Each) -> np.dtype[Any]:
    array = value.values if isinstance(value, Each) else value
    return array.dtype


def _number(value: Array | Each, dtype: np.dtype[Any], *, half: bool) -> Array | Each | None:
    """Return a number read as ``dtype``; `None` where its bytes must be looked at."""
    kind = _kind(value)
    array = value.values if isinstance(value, Each) else value
    if half and kind == np.float16:
        array = array.astype(np.float32)
    elif kind.itemsize == dtype.itemsize and not half:
        array = np.ascontiguousarray(array).reshape(array.shape).view(dtype)
    elif kind != dtype:
        return None
    return Each(array) if isinstance(value, Each) else array


def _may_be_half(thing: Thing) -> bool:
    match thing:
        case Piece(half=half):
            return half
        case Number():
            return thing.is_half
        case _:
            return False


def _has_gaps(piece: Piece) -> bool:
    return prod(n for n, _, _ in piece.dims) * piece.item != piece.end - piece.start


def _same_place(one: Piece, other: Piece) -> bool:
    return one.start == other.start and one.item == other.item and [d[:2] for d in one.dims] == [
        d[:2] for d in other.dims
    ]


def _marked(covered: Array, thing: Thing, start: int) -> Array:
    """Return the marks of the bytes that a thing stands for; ``covered`` begins with ``start``."""
    if isinstance(thing, Bits):
        end = thing.start - start + -(-thing.count // 8)
        return covered[thing.start - start : end]
    if isinstance(thing, Piece):
        shape = (*(n for n, _, _ in thing.dims), thing.item)
        strides = (*(s for _, s, _ in thing.dims), 1)
        return np.ndarray(shape, np.bool_, covered, thing.start - start, strides)
    return covered[thing.start - start : thing.end - start]
