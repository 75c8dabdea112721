"""The cube's share of a kernel: matrices through L1 and L0, products, results out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Loop, Tile
from tiledsl.npu.place import CapacityError
from tiledsl.npu.windows import inside_of
from tiledsl.scalar import (
    ONE,
    ZERO,
    Axis,
    Literal,
    Local,
    Scalar,
    add,
    apply,
    integer,
    maximum,
    minimum,
    mul,
    round_up,
    sub,
)  # fmt: skip
from tiledsl.types import DType

L0_BYTES = 64 * 1024
INPUTS = {DType.F16: DType.F32, DType.BF16: DType.F32, DType.F32: DType.F32, DType.I8: DType.I32}


@dataclass(eq=False)
class Matrix:
    """An operand in L1: NZ, ``rows`` x ``cols`` of a source in the order in which it is stored."""

    ref: npu.Ref
    rows: Axis
    cols: Axis


@dataclass(eq=False)
class Accumulator:
    """A product in L0C, ``m`` x ``n``; ``fresh`` names the variable that says it is still empty."""

    ref: npu.Ref
    m: Axis
    n: Axis
    fresh: str


class Cubes:
    """Emits cube instructions into a `Frame`; ``steps`` is how much of a depth goes through L0."""

    def __init__(self, frame: Frame, steps: Mapping[str, int]) -> None:
        self.frame, self.steps = frame, steps
        self.inner_loops: list[Loop] = []
        self.reserved = 0
        self.halves: dict[tuple[Loop, npu.Memory], list[npu.Ref]] = {}

    def load(self, statement: ir.Load, name: str) -> Matrix:
        """Emit the copy of a matrix tile from a tensor to L1."""
        frame = self.frame
        offset, strides = frame.address(statement.tensor, statement.index)
        natural = tuple(dict.fromkeys(a for i in statement.index for a, _ in i.terms))
        if strides[natural[-1]] != ONE:
            raise frame.cannot(
                statement.span,
                f"a matrix whose range `{natural[-1].name}` is not the tensor's last dim",
            )
        source = npu.Global(statement.tensor, offset)
        return self.fetch(
            name, statement.tensor.dtype, natural[0], natural[1], source, strides[natural[0]]
        )

    def load_window(self, statement: ir.Load, name: str) -> Matrix:
        """Emit the copy of a tile with several ranges of rows, of which some may be outside."""
        frame = self.frame
        axes = frame.order(statement.result.type.axes)
        rows, cols = axes[:-1], axes[-1]
        offset, strides = frame.address(statement.tensor, statement.index)
        inside = inside_of(frame, statement, frame.whole)
        merged = frame.merge(rows)
        height: Scalar = ONE
        skipped: Scalar = ZERO
        apart: dict[Axis, Scalar] = {}
        for axis in reversed(rows):
            apart[axis] = height
            height = mul(height, frame.whole(axis)[1])
            skipped = add(skipped, mul(inside.skip(axis), apart[axis]))
            offset = add(offset, mul(inside.skip(axis), strides[axis]))
        ref = self._room(name, statement.tensor.dtype, merged, cols)
        outer, last = rows[:-1], rows[-1]
        self.emit(
            npu.LoadWindow(
                ref, npu.Global(statement.tensor, offset),
                tuple(inside.count(a, frame.whole(a)[1]) for a in outer),
                tuple(strides[a] for a in outer), tuple(apart[a] for a in outer),
                inside.count(last, frame.whole(last)[1]), frame.whole(cols)[1], strides[last],
                round_up(height, 16), skipped, inside.partly,
            )
        )  # fmt: skip
        return Matrix(ref, merged, cols)

    def fetch(
        self, name: str, dtype: DType, rows: Axis, cols: Axis, source: npu.Global, stride: Scalar
    ) -> Matrix:
        """Emit the copy of ``rows`` x ``cols`` elements to L1."""
        frame = self.frame
        ref = self._room(name, dtype, rows, cols)
        height, width = frame.whole(rows)[1], frame.whole(cols)[1]
        self.emit(npu.LoadNz(ref, source, height, width, stride, round_up(height, 16)))
        return Matrix(ref, rows, cols)

    def _room(self, name: str, dtype: DType, rows: Axis, cols: Axis) -> npu.Ref:
        """Return room in L1 for a matrix in whole fractals."""
        frame = self.frame
        if dtype not in INPUTS or dtype.value not in frame.products:
            raise frame.cannot(frame.span, f"a matrix product of {dtype}")
        c0 = 32 // dtype.size
        size = (
            _up(frame.limit(rows), max(16, c0)) * _up(frame.limit(cols), max(16, c0)) * dtype.size
        )
        shape = f"{dtype}[{rows.name}, {cols.name}]"
        base = frame.buffer(name, npu.Memory.L1, size, shape, ring=True, shape=shape)
        return npu.Ref(base.buffer, dtype, ZERO, base.slot)

    def feed(
        self, tile: Tile, rows: Axis, cols: Axis, at: Scalar = ZERO, pitch: Scalar | None = None
    ) -> Matrix:
        """Emit the copy of a tile from UB to L1, on a unified core; from element ``at`` on."""
        frame, dtype = self.frame, tile.dtype
        if dtype.value not in frame.products:
            raise frame.cannot(frame.span, f"a matrix product of {dtype}")
        c0 = 32 // dtype.size
        size = (
            _up(frame.limit(rows), max(16, c0)) * _up(frame.limit(cols), max(16, c0)) * dtype.size
        )
        base = frame.buffer("fed", npu.Memory.L1, size, f"{dtype}[{rows.name}, {cols.name}]")
        ref = npu.Ref(base.buffer, dtype)
        height = round_up(frame.size(rows), 16)
        source = replace(tile.ref, offset=add(tile.ref.offset, at))
        view = npu.View(source, "full", frame.pitch(cols) if pitch is None else pitch)
        self.emit(npu.Feed(ref, view, frame.size(rows), frame.size(cols), height))
        return Matrix(ref, rows, cols)

    def drain(
        self, accumulator: Accumulator, tile: Tile, at: Scalar = ZERO, pitch: Scalar | None = None
    ) -> None:
        """Emit the copy of the accumulator to UB, on a unified core; from element ``at`` on."""
        frame = self.frame
        m, n = accumulator.m, accumulator.n
        if n in frame.members:
            raise frame.cannot(frame.span, "a product whose columns have several ranges")
        room = _up(frame.limit(m), 16) * _up(frame.limit(n), 16) * 4
        scratch = replace(frame.buffer("fractals", npu.Memory.UB, room), dtype=tile.dtype)
        target = replace(tile.ref, offset=add(tile.ref.offset, at))
        view = npu.View(target, "full", frame.pitch(n) if pitch is None else pitch)
        self.emit(npu.Drain(view, accumulator.ref, scratch, frame.size(m), frame.size(n)))

    def accumulator(
        self, name: str, dtype: DType, m: Axis, n: Axis, ring: bool, slots: int
    ) -> Accumulator:
        """Return a new accumulator, to be declared fresh; in a ``ring`` of ``slots``."""
        frame = self.frame
        size = _up(frame.limit(m), 16) * _up(frame.limit(n), 16) * 4
        shape = f"{dtype}[{m.name}, {n.name}]"
        base = frame.buffer(name, npu.Memory.L0C, size, shape, ring, shape, slots)
        fresh = frame.fresh(f"{base.buffer.name}_fresh")
        return Accumulator(npu.Ref(base.buffer, dtype, ZERO, base.slot), m, n, fresh)

    def begin(self, accumulator: Accumulator) -> None:
        """Empty the accumulator: the next product overwrites it."""
        self.emit(npu.Assign(accumulator.fresh, ONE))

    def zero(self, accumulator: Accumulator, dtype: DType) -> None:
        """Fill the accumulator with zeros, by an empty product."""
        frame, unit = self.frame, max(16, 32 // dtype.size)
        self.reserved = 32 * max(_up(frame.limit(a), unit) for a in (accumulator.m, accumulator.n))
        nothing = replace(frame.buffer("nothing", npu.Memory.L1, 1024), dtype=dtype)
        a = replace(frame.buffer("zeros_left", npu.Memory.L0A, self.reserved), dtype=dtype)
        b = replace(frame.buffer("zeros_right", npu.Memory.L0B, self.reserved), dtype=dtype)
        m, n = frame.whole(accumulator.m)[1], frame.whole(accumulator.n)[1]
        self.emit(npu.LoadA(a, nothing, m, ZERO, ZERO))
        self.emit(npu.LoadB(b, nothing, ZERO, n, ZERO))
        self.emit(npu.Mmad(accumulator.ref, a, b, m, n, ZERO, Literal(True, DType.BOOL)))
        self.emit(npu.Assign(accumulator.fresh, ZERO))

    def multiply(
        self, left: Matrix, right: Matrix, k: Axis, into: Accumulator, shared: bool = False
    ) -> None:
        """Emit ``into += left @ right``, in steps of k that fit L0 twice.

        With ``shared`` the products of a loop take turns with the two halves of L0.
        """
        frame = self.frame
        m, n = into.m, into.n
        dtype = left.ref.dtype
        if frame.unified and dtype.size == 1 and (left.rows is k or right.cols is not k):
            raise frame.cannot(
                frame.span,
                f"a product of {dtype} with a side whose rows are `{k.name}`",
                f"store the sides as [{m.name}, {k.name}] and [{n.name}, {k.name}]",
            )
        c0 = 32 // dtype.size
        unit = max(16, c0)
        tallest = max(_up(frame.limit(m), unit), _up(frame.limit(n), unit))
        step = (L0_BYTES - self.reserved) // 2 // (tallest * dtype.size) // unit * unit
        if step == 0:
            raise CapacityError(npu.Memory.L0A, 2 * tallest * unit * dtype.size + self.reserved, ())
        step = min(step, _up(self.steps.get(k.name, step), unit))
        most = _up(frame.limit(k), unit)
        depth = frame.whole(k)[1]
        if most <= step:
            self._step(left, right, k, into, ZERO, depth, most, shared)
            return
        name = frame.fresh(f"{frame.local.get(k, k.name)}_at")
        loop = Loop(f"{name}_turn", 2)
        frame.loops.append(loop)
        with frame.block() as body:
            left_over = maximum(minimum(integer(step), sub(depth, Local(name))), ZERO)
            size = frame.let(f"{name}_size", left_over)
            self._step(left, right, k, into, Local(name), size, step)
            self.emit(npu.Assign(loop.counter, add(Local(loop.counter), 1)))
        frame.loops.pop()
        self.inner_loops.append(loop)
        trips = maximum(depth, ONE)  # an empty sum is one empty step: it writes 0
        self.emit(
            npu.For(name, ZERO, trips, integer(step), tuple(body), f"{k.name} in steps that fit L0")
        )

    def _step(
        self,
        left: Matrix,
        right: Matrix,
        k: Axis,
        into: Accumulator,
        at: Scalar,
        depth: Scalar,
        step: int,
        shared: bool = False,
    ) -> None:
        frame = self.frame
        dtype = left.ref.dtype
        unit = max(16, 32 // dtype.size)
        m, n = frame.whole(into.m)[1], frame.whole(into.n)[1]
        refs = []
        for memory, axis in ((npu.Memory.L0A, into.m), (npu.Memory.L0B, into.n)):
            size = _up(frame.limit(axis), unit) * step * dtype.size
            name = "left" if memory is npu.Memory.L0A else "right"
            shape = f"{dtype}[{axis.name}, {k.name}]"
            if shared:
                refs.append(replace(self._half(name, memory), dtype=dtype))
                continue
            base = frame.buffer(name, memory, size, shape, ring=True, shape=shape)
            refs.append(npu.Ref(base.buffer, dtype, ZERO, base.slot))
        a, b = refs
        turned = left.rows is k
        height = round_up(frame.whole(left.rows)[1], 16)
        self.emit(npu.LoadA(a, _along(left, k, at, height), m, depth, height, turned))
        turned = right.cols is k
        height = round_up(frame.whole(right.rows)[1], 16)
        self.emit(npu.LoadB(b, _along(right, k, at, height), depth, n, height, turned))
        first = apply("eq", Local(into.fresh), ONE)
        self.emit(npu.Mmad(into.ref, a, b, m, n, depth, first))
        self.emit(npu.Assign(into.fresh, ZERO))

    def _half(self, name: str, memory: npu.Memory) -> npu.Ref:
        """Return the half of L0 that the product before in this loop has not taken."""
        frame = self.frame
        halves = self.halves.setdefault((frame.loops[-1], memory), [])
        if len(halves) < 2:
            size = (L0_BYTES - self.reserved) // 2 // 1024 * 1024
            halves.append(frame.buffer(name, memory, size, "half of all", ring=True, slots=1))
        else:
            halves.append(halves.pop(0))
        return halves[-1]

    def store(
        self, accumulator: Accumulator, target: npu.Global, stride: Scalar, dtype: DType
    ) -> None:
        """Emit the copy of the accumulator to global memory, rounded to ``dtype``."""
        m, n = self.frame.whole(accumulator.m)[1], self.frame.whole(accumulator.n)[1]
        self.emit(npu.Fixpipe(target, accumulator.ref, m, n, stride, dtype))

    def emit(self, step: npu.Step) -> None:
        """Append ``step`` with the span of the statement at hand."""
        self.frame.emit(replace(step, span=self.frame.span))


def _along(matrix: Matrix, k: Axis, at: Scalar, height: Scalar) -> npu.Ref:
    """Return the place in L1 at which position ``at`` (whole fractals) of ``k`` begins."""
    c0 = 32 // matrix.ref.dtype.size
    offset = mul(at, height) if matrix.cols is k else mul(at, c0)
    return replace(matrix.ref, offset=offset)


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
