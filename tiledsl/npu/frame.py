"""Where the lowering of one core stands: names of sizes, buffers, loops, and the steps so far.

Buffers are virtual here: they have sizes and slots, and get their addresses in
`tiledsl.npu.place`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

from tiledsl import ir
from tiledsl.diagnostics import CompileError
from tiledsl.npu import program as npu
from tiledsl.npu.errors import NotOnTarget
from tiledsl.scalar import (
    ONE,
    ZERO,
    Apply,
    Axis,
    Dim,
    End,
    Literal,
    Local,
    Position,
    Scalar,
    Start,
    Tensor,
    TileSize,
    add,
    apply,
    ceil_div,
    integer,
    maximum,
    minimum,
    mul,
    rewrite,
    round_up,
    sub,
)  # fmt: skip
from tiledsl.schedule import limit_of, tile_of
from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType

# Variables that every program has, and how those of an axis end.
_GIVEN = ("block", "blocks", "sub", "program", "programs", "turn")
_ENDS = (
    "", "_start", "_size", "_pitch", "_first", "_rows", "_tile", "_turn", "_step", "_trips",
)  # fmt: skip


@dataclass(eq=False)
class Loop:
    """A loop of the program that may hold rings of buffers; ``counter`` numbers its iterations."""

    counter: str
    depth: int
    ring: bool = False

    @property
    def slot(self) -> Scalar:
        """Which slot of a ring the current iteration uses."""
        return self.slot_of(self.depth)

    def slot_of(self, slots: int, turns: int = 0) -> Scalar:
        """Which of ``slots`` slots was used ``turns`` turns ago, at most as many as there are."""
        if slots == 1:
            return ZERO
        turn = add(Local(self.counter), -turns % slots)
        return apply("mod", turn, integer(slots))


@dataclass(eq=False)
class Tile:
    """A value in UB: rows of the innermost axis, each padded to whole granules.

    ``axes`` from the outermost to the innermost. A tile of several axes always has its padding
    written; ``padded`` tells it of a tile of one axis. A bool tile is a mask over the same
    elements. ``ring``: its buffer has several slots; ``spread``: its first 32 bytes hold one value.
    """

    ref: npu.Ref
    axes: tuple[Axis, ...]
    dtype: DType
    padded: bool = True
    ring: bool = False
    spread: bool = False


@dataclass(frozen=True)
class Rows:
    """A range of rows along ``span`` whose tile grows where rows are short.

    ``least`` of them at the span's full length, ``most`` at the shortest; never more than an even
    share of the rows for each of ``cores``.
    """

    span: Axis
    least: int
    most: int
    cores: int


@dataclass
class Frame:
    """The state of lowering for one core; ``products`` are the element types of the cube.

    ``opening`` are steps before the first program, ``constants`` the tables of offsets made there.
    A ``unified`` core has no comparison of i32 and no rounding of f32 to f32.
    """

    grid: tuple[Axis, ...]
    target: str
    tiles: Mapping[str, int]
    granule: int
    rank: Mapping[Axis, int]
    split: Axis | None = None
    products: tuple[str, ...] = ()
    unified: bool = False
    swizzle: tuple[tuple[str, ...], int] | None = None
    steps: list[npu.Step] = field(default_factory=list)
    buffers: dict[str, npu.Buffer] = field(default_factory=dict)
    owners: dict[str, Loop] = field(default_factory=dict)
    lives: dict[str, str] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_GIVEN, 1))
    local: dict[Axis, str] = field(default_factory=dict)
    members: dict[Axis, tuple[Axis, ...]] = field(default_factory=dict)
    flexible: dict[Axis, "Rows"] = field(default_factory=dict)
    tile_known: bool = False
    opening: list[npu.Step] = field(default_factory=list)
    constants: dict[tuple[int, int], npu.Ref] = field(default_factory=dict)
    kept: int = 0  # turns for which what is now put into a ring must stay there
    span: Span = NOWHERE

    # ---- names and scalars ---------------------------------------------------------------------

    def fresh(self, name: str) -> str:
        """Return ``name``, or ``name_2`` … where it is taken."""
        found = name
        while found in self.names:
            self.names[name] = self.names.get(name, 1) + 1
            found = f"{name}_{self.names[name]}"
        self.names[found] = 1
        return found

    def axis_name(self, name: str) -> str:
        """Return a name for an axis, such that those made of it are free too."""
        found, number = name, 1
        while any(found + end in self.names for end in _ENDS):
            number += 1
            found = f"{name}_{number}"
        self.names.update(dict.fromkeys((found + end for end in _ENDS), 1))
        return found

    def scalar(self, scalar: Scalar) -> Scalar:
        """Return ``scalar`` in terms of the program's variables."""

        def change(part: Scalar) -> Scalar | None:
            match part:
                case TileSize(name=name):
                    return Literal(self.tiles[name])
                case Start(axis=axis):
                    return self.whole(axis)[0]
                case End(axis=axis):
                    start, size = self.whole(axis)
                    return add(start, size)
                case Position(axis=axis):
                    return Local(self.local[axis])
                case _:
                    return None

        return rewrite(scalar, change)

    def whole(self, axis: Axis) -> tuple[Scalar, Scalar]:
        """Return start and size of the tile of ``axis``, of both vector cores' halves together."""
        if axis is self.split:
            return Local(f"{self.local[axis]}_first"), Local(f"{self.local[axis]}_rows")
        if axis in self.members:
            return ZERO, _product(self.whole(a)[1] for a in self.members[axis])
        return self.start(axis), self.size(axis)

    def start(self, axis: Axis) -> Scalar:
        """Return the first position of the current tile of ``axis``."""
        name = self.local[axis]
        return Local(name if axis.is_scalar else f"{name}_start")

    def size(self, axis: Axis) -> Scalar:
        """Return the number of elements of the current tile of ``axis``."""
        if axis in self.members:
            return _product(map(self.size, self.members[axis]))
        return ONE if axis.is_scalar else Local(f"{self.local[axis]}_size")

    def pitch(self, axis: Axis) -> Scalar:
        """Return the elements from row to row where ``axis`` is innermost."""
        return Local(f"{self.local[axis]}_pitch")

    def limit(self, axis: Axis) -> int:
        """Return the most elements that a tile of ``axis`` has on this core."""
        if axis in self.members:
            return prod(map(self.limit, self.members[axis]))
        if axis in self.flexible:
            return self.flexible[axis].most
        pair = paired(axis)
        if pair is not None:
            return -(-self.limit(pair) // 2)
        limit = limit_of(axis, self.tiles)
        if limit is None:
            raise self.cannot(axis.span, f"the span `{axis.name}` has no bound at compile time")
        return -(-limit // 2) if axis is self.split else limit

    def cannot(self, span: Span, what: str, way_out: str = "") -> CompileError:
        """Return the error that this target cannot do ``what``."""
        return CompileError([NotOnTarget(span, self.target, what, way_out)])

    # ---- steps ---------------------------------------------------------------------------------

    def emit(self, step: npu.Step) -> None:
        """Append a step."""
        self.steps.append(step)

    def let(self, name: str, value: Scalar) -> Local:
        """Define a variable."""
        self.emit(npu.Let(name, value, span=self.span))
        return Local(name, value.dtype)

    @contextmanager
    def block(self) -> Iterator[list[npu.Step]]:
        """Collect the steps of a block."""
        outer, self.steps = self.steps, []
        try:
            yield self.steps
        finally:
            self.steps = outer

    # ---- buffers -------------------------------------------------------------------------------

    def buffer(
        self,
        name: str,
        memory: npu.Memory,
        size: int,
        note: str = "",
        ring: bool = False,
        shape: str = "",
        slots: int = 0,
    ) -> npu.Ref:
        """Return a new buffer as a `Ref` of bytes; with ``ring`` one with a slot an iteration.

        ``slots``, where given, is how many there are before the first is used again; a single one
        keeps its place through the loop.
        """
        loop = self.loops[-1] if (ring or slots) and self.loops else None
        given = slots
        slots = (slots or loop.depth + self.kept) if loop else 1
        loop = loop if slots > 1 or given else None
        unit = 256 if memory is npu.Memory.UB else 1024
        rounded = max(unit, -(-size // unit) * unit)
        buffer = npu.Buffer(self.fresh(name), memory, -1, rounded, slots, note)
        self.buffers[buffer.name] = buffer
        self.lives[buffer.name] = shape
        if loop is not None:
            loop.ring = True
            self.owners[buffer.name] = loop
        return npu.Ref(buffer, DType.U8, ZERO, loop.slot_of(slots) if loop else ZERO)

    # ---- axes ----------------------------------------------------------------------------------

    def define_axis(self, axis: Axis) -> None:
        """Name the sizes of a span; those of loops and grids are defined where these begin."""
        if axis in self.local:
            return
        self.local[axis] = self.axis_name(axis.name)
        pair = paired(axis)
        if pair is not None:  # rows of bytes half as far apart as those of elements
            name = self.local[axis]
            self.let(f"{name}_start", apply("floordiv", self.start(pair), integer(2)))
            self.let(f"{name}_size", ceil_div(self.size(pair), 2))
            self.let(f"{name}_pitch", apply("floordiv", self.pitch(pair), integer(2)))
            return
        if (
            axis.source is not None
            and axis.lo == Start(axis.source)
            and axis.hi == End(axis.source)
        ):
            lo, size = self.whole(axis.source)
        else:
            lo = self.scalar(axis.lo)
            size = extent_of(lo, self.scalar(axis.hi))
        self._sizes(axis, lo, size)

    def _sizes(self, axis: Axis, start: Scalar, size: Scalar) -> None:
        name = self.local[axis]
        if f"{name}_start" != getattr(start, "name", ""):
            self.let(f"{name}_start", start)
        self.let(f"{name}_size", size)
        self.let(f"{name}_pitch", round_up(Local(f"{name}_size"), self.granule))

    def define_grid(self) -> Scalar:
        """Return the number of programs; the decoding is `decode_grid`'s."""
        for axis in self.grid:
            self.local[axis] = self.axis_name(axis.name)
        return _product(map(self._count, self.grid))

    def _count(self, axis: Axis) -> Scalar:
        extent = extent_of(self.scalar(axis.lo), self.scalar(axis.hi))
        tile = self.tile_rows(axis)
        if axis in self.flexible and self.tile_known:
            tile = Local(f"{self.local[axis]}_tile")
        return extent if tile is None else ceil_div(extent, tile)

    def tile_rows(self, axis: Axis) -> Scalar | None:
        """Return the positions of a full tile of a grid range; `None` where it has no ``by``."""
        tile = tile_of(axis, self.tiles)
        if tile is None or axis not in self.flexible:
            return None if tile is None else integer(tile)
        rows = self.flexible[axis]
        length = extent_of(self.scalar(rows.span.lo), self.scalar(rows.span.hi))
        pitch = maximum(round_up(length, self.granule), integer(self.granule))
        room = rows.least * -(-self.limit(rows.span) // self.granule) * self.granule
        fitting = apply("floordiv", integer(room), pitch)
        fair = ceil_div(extent_of(self.scalar(axis.lo), self.scalar(axis.hi)), rows.cores)
        most = minimum(maximum(fair, ONE), integer(rows.most))
        return minimum(maximum(fitting, integer(rows.least)), most)

    def size_grid(self) -> Scalar:
        """Define the tile sizes that the launch decides; return the number of programs by them."""
        for axis in self.grid:
            rows = self.tile_rows(axis)
            if axis in self.flexible and rows is not None:
                self.let(f"{self.local[axis]}_tile", rows)
        self.tile_known = True
        total = _product(map(self._count, self.grid))
        return total if isinstance(total, Literal) else self.let("programs", total)

    def decode_grid(self) -> None:
        """Define the position or start and size of each grid range from ``program``."""
        rest: Scalar = Local("program")
        swizzled: dict[Axis, Scalar] = {}
        if self.swizzle is not None and self.swizzle[0] == tuple(a.name for a in self.grid[-2:]):
            swizzled, rest = self._swizzled(self.grid[-2], self.grid[-1], self.swizzle[1])
        for axis in reversed(self.grid):
            if axis in swizzled:
                number = swizzled[axis]
            else:
                count = self._count(axis)
                last = axis is self.grid[0]
                number = rest if last else apply("mod", rest, count)
                rest = apply("floordiv", rest, count)
            lo, tile, name = self.scalar(axis.lo), self.tile_rows(axis), self.local[axis]
            if tile is None:
                self.let(name, add(lo, number))
                continue
            halved = axis is self.split
            first = f"{name}_first" if halved else f"{name}_start"
            if axis in self.flexible:
                tile = Local(f"{name}_tile")
            self.let(first, add(lo, mul(number, tile)))
            size = minimum(tile, sub(self.scalar(axis.hi), Local(first)))
            if halved:  # each of the two vector cores takes half of the rows
                half = integer(self.limit(axis))
                skip = mul(Local("sub"), half)
                self.let(f"{name}_rows", size)
                self.let(f"{name}_start", add(Local(first), skip))
                size = maximum(minimum(sub(Local(f"{name}_rows"), skip), half), ZERO)
            self.let(f"{name}_size", size)
            self.let(f"{name}_pitch", round_up(Local(f"{name}_size"), self.granule))

    def _swizzled(self, rows: Axis, cols: Axis, by: int) -> tuple[dict[Axis, Scalar], Scalar]:
        """Return the tiles of two ranges where ``by`` rows go through all columns together.

        And what is left of the program's number for the ranges before them.
        """
        high, wide = self._count(rows), self._count(cols)
        program: Scalar = Local("program")
        number = self.let("tile_number", apply("mod", program, mul(high, wide)))
        whole = mul(wide, by)
        first = self.let("tile_first", mul(apply("floordiv", number, whole), by))
        group = self.let("tile_group", minimum(integer(by), sub(high, first)))
        inside = self.let("tile_inside", apply("mod", number, whole))
        found = {
            rows: add(first, apply("mod", inside, group)),
            cols: apply("floordiv", inside, group),
        }
        return found, apply("floordiv", program, mul(high, wide))

    @contextmanager
    def loop(self, axis: Axis, depth: int, note: str) -> Iterator[None]:
        """Open the loop over ``axis``; what is emitted inside is its body."""
        name = self.local[axis] = self.axis_name(axis.name)
        tile = tile_of(axis, self.tiles)
        variable = name if tile is None else f"{name}_start"
        loop = Loop(f"{name}_turn", depth)
        self.loops.append(loop)
        with self.block() as body:
            if tile is not None:
                size = minimum(integer(tile), sub(self.scalar(axis.hi), Local(variable)))
                self._sizes(axis, Local(variable), size)
            yield
        self.loops.pop()
        turn = npu.Assign(loop.counter, add(Local(loop.counter), 1), span=self.span)
        self.emit(
            npu.For(
                variable,
                self.scalar(axis.lo),
                self.scalar(axis.hi),
                integer(tile or 1),
                (*body, turn),
                note,
                span=self.span,
            )
        )

    @contextmanager
    def turns(self, axis: Axis, depth: int, more: int, note: str) -> Iterator[tuple[Local, Local]]:
        """Open a loop over the tiles of ``axis`` by number, and ``more`` turns where it has any.

        Yields the number of the turn and how many tiles there are.
        """
        name = self.axis_name(axis.name)
        extent = extent_of(self.scalar(axis.lo), self.scalar(axis.hi))
        trips = self.let(f"{name}_trips", ceil_div(extent, tile_of(axis, self.tiles) or 1))
        step = Local(f"{name}_step")
        loop = Loop(f"{name}_turn", depth)
        self.loops.append(loop)
        with self.block() as body:
            yield step, trips
        self.loops.pop()
        turn = npu.Assign(loop.counter, add(Local(loop.counter), 1), span=self.span)
        last = add(trips, mul(minimum(trips, ONE), more))
        whole = npu.For(step.name, ZERO, last, ONE, (*body, turn), note, span=self.span)
        self.emit(whole)

    def at_tile(self, axis: Axis, number: Scalar) -> None:
        """Define the position, or start and size, of the tile ``number`` of a loop's range."""
        name = self.local[axis] = self.axis_name(axis.name)
        tile = tile_of(axis, self.tiles)
        start = add(self.scalar(axis.lo), mul(number, tile or 1))
        if tile is None:
            self.let(name, start)
            return
        first = self.let(f"{name}_start", start)
        self._sizes(axis, first, minimum(integer(tile), sub(self.scalar(axis.hi), first)))

    def merge(self, axes: tuple[Axis, ...]) -> Axis:
        """Return neighbouring ranges of a tile taken as one, in that order."""
        if len(axes) == 1:
            return axes[0]
        for merged, members in self.members.items():
            if members == axes:
                return merged
        merged = Axis("_".join(a.name for a in axes), "span", ZERO, ZERO)
        self.members[merged] = axes
        return merged

    def apart(self, axis: Axis, stride: Scalar) -> dict[Axis, Scalar]:
        """Return the stride of each member of a merged range with ``stride`` between positions."""
        found: dict[Axis, Scalar] = {}
        for member in reversed(self.members.get(axis, (axis,))):
            found[member] = stride
            stride = mul(stride, self.whole(member)[1])
        return found

    # ---- layout --------------------------------------------------------------------------------

    def order(self, axes: tuple[Axis, ...] | set[Axis]) -> tuple[Axis, ...]:
        """Return the axes of a tile from the outermost to the innermost."""
        return tuple(sorted(axes, key=lambda axis: self.rank.get(axis, len(self.rank))))

    def elements(self, axes: tuple[Axis, ...]) -> int:
        """Return the elements that a tile of these axes takes at most, padding included."""
        if not axes:
            return 1
        count = -(-self.limit(axes[-1]) // self.granule) * self.granule
        if len(axes) == 2 and axes[0] in self.flexible:  # as many rows as fit, however long
            return count * self.flexible[axes[0]].least
        for axis in axes[:-1]:
            count *= self.limit(axis)
        return count

    def extent(self, axes: tuple[Axis, ...], exact: bool = False) -> Scalar:
        """Return the elements from the first to the last, padding included (unless ``exact``)."""
        if not axes:
            return ONE
        count = self.size(axes[-1]) if exact else self.pitch(axes[-1])
        for axis in reversed(axes[:-1]):
            count = mul(self.size(axis), count)
        return count

    def tile(
        self, name: str, axes: tuple[Axis, ...] | set[Axis], dtype: DType, ring: bool = False,
        slots: int = 0,
    ) -> Tile:  # fmt: skip
        """Return a new tile in UB."""
        order = self.order(axes)
        count = self.elements(order)
        size = -(-count // 8) if dtype is DType.BOOL else count * dtype.size
        shape = f"{dtype}[{', '.join(a.name for a in order)}]"
        base = self.buffer(identifier(name), npu.Memory.UB, size, shape, ring, shape, slots)
        kind = DType.U8 if dtype is DType.BOOL else dtype
        ref = npu.Ref(base.buffer, kind, ZERO, base.slot)
        return Tile(ref, order, dtype, ring=base.buffer.slots > 1)

    def address(
        self, tensor: Tensor, index: tuple[ir.Index, ...]
    ) -> tuple[Scalar, dict[Axis, Scalar]]:
        """Return the offset of a tile's first element, and the stride of each of its axes."""
        offset: Scalar = ZERO
        strides: dict[Axis, Scalar] = {}
        stride: Scalar = ONE
        for position, dim in zip(reversed(index), reversed(tensor.shape), strict=True):
            if position.gather is not None:
                raise self.cannot(
                    self.span, "an index that is a lookup or not affine in its ranges"
                )
            at = self.scalar(position.offset)
            for axis, mult in position.terms:
                by = self.scalar(mult)
                at = add(at, mul(by, self.start(axis)))
                if axis in strides:
                    strides[axis] = add(strides[axis], mul(stride, by))
                else:
                    strides[axis] = mul(stride, by)
            offset = add(offset, mul(at, stride))
            stride = mul(stride, self.scalar(dim))
        return offset, strides


def paired(axis: Axis) -> Axis | None:
    """Return the range whose elements lie two by two along ``axis``, if they do."""
    if axis.source is None or axis.lo != apply("floordiv", Start(axis.source), integer(2)):
        return None
    return axis.source


def identifier(name: str) -> str:
    """Return ``name`` as an identifier."""
    clean = "".join(c if c.isalnum() else "_" for c in name).strip("_")
    return f"t{clean}" if not clean or clean[0].isdigit() else clean


def _product(sizes: Iterable[Scalar]) -> Scalar:
    total: Scalar = ONE
    for size in sizes:
        total = mul(total, size)
    return total


def extent_of(lo: Scalar, hi: Scalar) -> Scalar:
    """Return ``max(hi - lo, 0)``."""
    size = sub(hi, lo)
    return size if _never_negative(size) else maximum(size, ZERO)


def _never_negative(scalar: Scalar) -> bool:
    match scalar:
        case Dim():
            return True
        case Literal(value=value):
            return value >= 0
        case Apply(op="add" | "mul" | "floordiv" | "min" | "max", args=args):
            return all(map(_never_negative, args))
        case _:
            return False
