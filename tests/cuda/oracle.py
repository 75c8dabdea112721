"""The tile IR interpreted, a tile at a time, by NumPy: what every program must agree with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.gpu.plan import store_axes
from tiledsl.ops import OPS, bitcast, convert, wrap
from tiledsl.scalar import Axis
from tiledsl.schedule import tile_of
from tiledsl.types import DType

Array = npt.NDArray[Any]


def interpret(
    kernel: ir.Kernel,
    tiles: Mapping[str, int],
    arrays: dict[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, int | float | bool],
) -> None:
    """Run ``kernel`` in place on ``arrays``; fail where an access is outside without a default."""
    with np.errstate(all="ignore"):
        _Interpreter(kernel, tiles, arrays, dims, scalars).programs(0)


class _Interpreter:
    def __init__(
        self,
        kernel: ir.Kernel,
        tiles: Mapping[str, int],
        arrays: dict[str, Array],
        dims: Mapping[str, int],
        scalars: Mapping[str, int | float | bool],
    ) -> None:
        self.kernel, self.tiles, self.arrays = kernel, tiles, arrays
        self.dims, self.scalars = dims, scalars
        self.ranges: dict[Axis, tuple[int, int]] = {}
        self.values: dict[ir.Value, Array] = {}
        self.vars: dict[ir.Var, Array] = {}

    def programs(self, depth: int) -> None:
        if depth == len(self.kernel.grid):
            outer = dict(self.ranges)
            self.block(self.kernel.body)
            self.ranges = outer
            return
        for _ in self.tiles_of(self.kernel.grid[depth]):
            self.programs(depth + 1)

    def tiles_of(self, axis: Axis) -> Any:
        lo, hi = int(self.scalar(axis.lo)), int(self.scalar(axis.hi))
        step = tile_of(axis, self.tiles) or 1
        for start in range(lo, hi, step):
            self.ranges[axis] = start, min(step, hi - start)
            yield
            del self.ranges[axis]

    def block(self, body: tuple[ir.Stmt, ...]) -> None:
        outer = set(self.ranges)
        for statement in body:
            for value in (*ir.results(statement), *ir.operands(statement)):
                if isinstance(value, ir.Value):
                    self.shape(value.type.axes)
            self.statement(statement)
        for axis in set(self.ranges) - outer:
            del self.ranges[axis]

    # ---- places

    def range_of(self, axis: Axis) -> tuple[int, int]:
        if axis not in self.ranges:
            lo, hi = int(self.scalar(axis.lo)), int(self.scalar(axis.hi))
            self.ranges[axis] = lo, max(0, hi - lo)
        return self.ranges[axis]

    def shape(self, axes: tuple[Axis, ...]) -> tuple[int, ...]:
        return tuple(self.range_of(axis)[1] for axis in axes)

    def positions(self, axis: Axis) -> Array:
        start, size = self.range_of(axis)
        return start + np.arange(size)

    def aligned(self, value: Array, have: tuple[Axis, ...], want: tuple[Axis, ...]) -> Array:
        moved = np.transpose(value, [have.index(a) for a in want if a in have])
        return moved.reshape([self.range_of(a)[1] if a in have else 1 for a in want])

    def operand(self, operand: ir.Operand, axes: tuple[Axis, ...]) -> Array:
        if not isinstance(operand, ir.Value):
            return np.asarray(self.scalar(operand))
        return self.aligned(self.values[operand], operand.type.axes, axes)

    def full(self, operand: ir.Operand, axes: tuple[Axis, ...], dtype: DType) -> Array:
        value = np.broadcast_to(self.operand(operand, axes), self.shape(axes))
        return value.astype(dtype.numpy)

    def index(self, index: tuple[ir.Index, ...], axes: tuple[Axis, ...]) -> list[Array]:
        found = []
        for part in index:
            total = np.full([1] * len(axes), int(self.scalar(part.offset)), np.int64)
            for axis, factor in part.terms:
                place = [-1 if other is axis else 1 for other in axes]
                total = total + int(self.scalar(factor)) * self.positions(axis).reshape(place)
            if part.gather is not None:
                total = total + self.operand(part.gather, axes).astype(np.int64)
            found.append(np.broadcast_to(total, self.shape(axes)))
        return found

    def inside(self, index: list[Array], array: Array, shape: tuple[int, ...]) -> Array:
        found = np.ones(shape, bool)
        for part, size in zip(index, array.shape, strict=True):
            found &= (part >= 0) & (part < size)
        return found

    # ---- numbers

    def scalar(self, scalar: sc.Scalar) -> Any:
        match scalar:
            case sc.Literal(value=value, dtype=dtype):
                return np.asarray(value).astype(dtype.numpy)
            case sc.Dim(name=name):
                return np.int32(self.dims[name])
            case sc.ParamValue(name=name, dtype=dtype):
                return np.asarray(self.scalars[name]).astype(dtype.numpy)
            case sc.TileSize(name=name):
                return np.int32(self.tiles[name])
            case sc.Position(axis=axis) | sc.Start(axis=axis):
                return np.int32(self.range_of(axis)[0])
            case sc.End(axis=axis):
                return np.int32(sum(self.range_of(axis)))
            case sc.Element(tensor=tensor, index=index, default=default):
                place = tuple(int(self.scalar(i)) for i in index)
                array = self.arrays[tensor.name]
                if all(0 <= i < n for i, n in zip(place, array.shape, strict=True)):
                    return array[place]
                assert default is not None
                return self.scalar(default)
            case sc.Apply(op=op, args=args, dtype=dtype):
                return self.apply(op, [self.scalar(a) for a in args], dtype)
            case sc.Local():
                raise AssertionError("a local in the tile IR")

    def apply(self, op: str, operands: list[Array], dtype: DType) -> Array:
        casts = {"cast": convert, "wrap": wrap, "bitcast": bitcast}
        if op in casts:
            return casts[op](operands[0], dtype)
        return OPS[op].evaluate(tuple(np.asarray(o) for o in operands), dtype)

    # ---- statements

    def statement(self, statement: ir.Stmt) -> None:
        match statement:
            case ir.Compute(result=result, op=op, operands=operands):
                axes = result.type.axes
                found = self.apply(
                    op.name, [self.operand(o, axes) for o in operands], result.type.dtype
                )
                self.values[result] = np.broadcast_to(found, self.shape(axes))
            case ir.Positions(result=result, axis=axis):
                self.values[result] = self.positions(axis).astype(np.int32)
            case ir.Rename(result=result, operand=operand, old=old, new=new):
                axes = tuple(new if a is old else a for a in operand.type.axes)
                self.set(result, self.values[operand], axes)
            case ir.Reduce():
                self.reduce(statement)
            case ir.Scan(result=result, reduction=reduction, operand=operand, axis=axis):
                assert reduction.numpy_scan is not None
                along = operand.type.axes.index(axis)
                scanned = reduction.numpy_scan(self.values[operand], along)
                self.set(result, scanned, operand.type.axes)
            case ir.Contract():
                self.contract(statement)
            case ir.Sort():
                self.sort(statement)
            case ir.Random(result=result, function=function, seed=seed, offset=offset):
                axes = result.type.axes
                words = philox(self.operand(seed, axes), self.operand(offset, axes))
                found = words if function == "bits" else (words >> 8).astype(np.float32) * 2.0**-24
                self.values[result] = np.broadcast_to(found, self.shape(axes))
            case ir.Load():
                self.load(statement)
            case ir.Store():
                self.store(statement)
            case ir.Declare(var=var, value=value) | ir.Assign(var=var, value=value):
                self.vars[var] = self.full(value, var.type.axes, var.type.dtype)
            case ir.Read(result=result, var=var):
                self.set(result, self.vars[var], var.type.axes)
            case ir.For(axis=axis, body=body):
                for _ in self.tiles_of(axis):
                    self.block(body)
            case ir.If(condition=condition, then=then, orelse=orelse):
                self.block(then if bool(self.operand(condition, ())) else orelse)
            case ir.Print() | ir.Assert():
                pass

    def set(self, result: ir.Value, value: Array, axes: tuple[Axis, ...]) -> None:
        self.values[result] = self.aligned(value, axes, result.type.axes).astype(
            result.type.dtype.numpy
        )

    def reduce(self, statement: ir.Reduce) -> None:
        operand, reduction = statement.operand, statement.reduction
        axes, value = operand.type.axes, self.values[operand]
        which = tuple(axes.index(a) for a in statement.axes)
        kept = tuple(a for a in axes if a not in statement.axes)
        if reduction.combine == "":
            found = reduction.numpy(value, which) + self.range_of(statement.axes[0])[0]
        elif any(value.shape[i] == 0 for i in which):
            found = np.full(self.shape(kept), reduction.identity(operand.type.dtype))
        else:
            found = reduction.numpy(value, which)
        self.set(statement.result, np.asarray(found), kept)

    def contract(self, statement: ir.Contract) -> None:
        result = statement.result
        axes = (*result.type.axes, *statement.axes)
        kind = np.float64 if result.type.dtype.is_float else np.int64
        a = self.operand(statement.a, axes).astype(kind)
        b = self.operand(statement.b, axes).astype(kind)
        terms = np.broadcast_to(a * b, self.shape(axes))
        self.set(
            result, terms.sum(tuple(range(len(result.type.axes), len(axes)))), result.type.axes
        )

    def sort(self, statement: ir.Sort) -> None:
        axis, into, operand = statement.axis, statement.into, statement.operand
        value = self.values[operand]
        along = operand.type.axes.index(axis)
        if into is None:
            order = np.argsort(value, axis=along, kind="stable")
        else:
            order = np.argsort(-value.astype(np.float64), axis=along, kind="stable")
            order = np.take(order, range(self.range_of(into)[1]), axis=along)
        axes = tuple((into or axis) if a is axis else a for a in operand.type.axes)
        self.set(statement.values, np.take_along_axis(value, order, axis=along), axes)
        self.set(statement.positions, order + self.range_of(axis)[0], axes)

    def load(self, statement: ir.Load) -> None:
        axes, array = statement.result.type.axes, self.arrays[statement.tensor.name]
        shape = self.shape(axes)
        index = self.index(statement.index, axes)
        inside = self.inside(index, array, shape)
        if array.size and 0 not in shape:
            clipped = (np.clip(i, 0, n - 1) for i, n in zip(index, array.shape, strict=True))
            found = array[tuple(clipped)]
        else:
            found = np.zeros(shape, array.dtype)
        if not inside.all():
            assert statement.default is not None, f"{statement.tensor} is read outside"
            other = np.broadcast_to(self.operand(statement.default, axes), shape)
            found = np.where(inside, found, other.astype(array.dtype))
        self.values[statement.result] = found

    def store(self, statement: ir.Store) -> None:
        axes = store_axes(statement.value, statement.index)
        array, shape = self.arrays[statement.tensor.name], self.shape(axes)
        index = self.index(statement.index, axes)
        inside = self.inside(index, array, shape)
        assert statement.skip or inside.all(), f"{statement.tensor} is written outside"
        value = np.broadcast_to(self.operand(statement.value, axes), shape)[inside]
        value, place = value.astype(array.dtype), tuple(i[inside] for i in index)
        if statement.mode != "atomic":
            array[place] = value
            return
        ufuncs = {"add": np.add, "max": np.maximum, "min": np.minimum}
        ufuncs[statement.atomic].at(array, place, value)


def philox(seed: Array, offset: Array) -> Array:
    """Return the first word of Philox 4x32-10 for key ``seed`` and counter ``offset``."""
    mask = np.uint64(0xFFFFFFFF)
    wide = [np.asarray(x).astype(np.int64).astype(np.uint64) for x in (seed, offset)]
    (k0, k1), (c0, c1) = [(x & mask, x >> np.uint64(32)) for x in np.broadcast_arrays(*wide)]
    c2 = c3 = np.zeros_like(c0)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & mask, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & mask
        )  # fmt: skip
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & mask, (k1 + np.uint64(0xBB67AE85)) & mask
    return c0.astype(np.uint32)
