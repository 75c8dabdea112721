"""The tile IR executed as it reads, program after program: slow, and right by being plain.

It is what a kernel without a reference is compared with, and what a kernel with one is compared
with in f64 (`precise`) to tell rounding from logic. An access outside a tensor that the checker
has let pass is an `AssertionError` here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import numpy as np

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.ops import Op, bitcast, convert, philox, uniform, wrap
from tiledsl.ops.registry import Array
from tiledsl.runtime.arrays import element_type
from tiledsl.runtime.errors import AssertionFailedError
from tiledsl.runtime.evaluate import Number, evaluate
from tiledsl.types import DType

_SATURATING = {DType.F8E4M3: 448.0, DType.F8E5M2: 57344.0}  # casts to these give no infinities


def interpret(
    kernel: ir.Kernel,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    *,
    tile: int = 16,
    precise: bool = False,
) -> None:
    """Run ``kernel`` in place on ``arrays``, with every tile size ``tile``.

    With ``precise``, floats are f64 until they are stored, and then too where the array is of f64.
    """
    machine = _Machine(kernel, arrays, dims, scalars, tile, precise)
    for _ in machine.programs(kernel.grid):
        machine.run(kernel.body)


class _Machine:
    """What one program knows: where its ranges stand, its values, its state."""

    def __init__(
        self,
        kernel: ir.Kernel,
        arrays: Mapping[str, Array],
        dims: Mapping[str, int],
        scalars: Mapping[str, Number],
        tile: int,
        precise: bool,
    ) -> None:
        self.arrays = dict(arrays)
        for table in kernel.tables:
            values = np.array(table.values, table.dtype.numpy)
            shape = [int(evaluate(size, {}, {}, {})) for size in table.shape]
            self.arrays[table.name] = values.reshape(shape)
        self.dims, self.scalars, self.tile, self.precise = dims, scalars, tile, precise
        self.name = kernel.name
        self.extents: dict[ir.Axis, tuple[int, int]] = {}
        self.values: dict[ir.Value | ir.Var, Array] = {}

    # ---- ranges

    def programs(self, grid: Sequence[ir.Axis]) -> Iterator[None]:
        """Stand at each program of the grid in turn, the last range fastest."""
        if not grid:
            yield
            return
        for _ in self.tiles(grid[0]):
            yield from self.programs(grid[1:])

    def tiles(self, axis: ir.Axis) -> Iterator[None]:
        """Stand at each tile, or position, of a range in turn."""
        lo, hi = self.integer(axis.lo), self.integer(axis.hi)
        step = 1 if axis.tile is None else self.integer(axis.tile)
        for start in range(lo, hi, step):
            self.extents[axis] = (start, min(start + step, hi))
            yield
        self.extents.pop(axis, None)

    def extent(self, axis: ir.Axis) -> tuple[int, int]:
        """Return the first position of the current tile, and one past its last."""
        if axis in self.extents:
            return self.extents[axis]
        lo, hi = self.integer(axis.lo), self.integer(axis.hi)
        return lo, max(lo, hi)

    def shape(self, axes: Sequence[ir.Axis]) -> list[int]:
        """Return the size of the current tile of each axis."""
        return [hi - lo for lo, hi in map(self.extent, axes)]

    # ---- scalars and operands

    def number(self, scalar: sc.Scalar) -> Number:
        """Return what a scalar is here and now."""

        def stand(part: sc.Scalar) -> sc.Scalar | None:
            match part:
                case sc.Position(axis=axis) | sc.Start(axis=axis):
                    return sc.Literal(self.extent(axis)[0])
                case sc.End(axis=axis):
                    return sc.Literal(self.extent(axis)[1])
                case sc.TileSize():
                    return sc.Literal(self.tile)
                case _:
                    return None

        return evaluate(sc.rewrite(scalar, stand), self.dims, self.scalars, self.arrays)

    def integer(self, scalar: sc.Scalar) -> int:
        """Return an integer scalar."""
        return int(self.number(scalar))

    def operand(self, operand: ir.Operand, axes: Sequence[ir.Axis]) -> Array:
        """Return an operand with the axes in the order of ``axes``, missing ones of size 1."""
        if not isinstance(operand, ir.Value):
            kind = self.kind(operand.dtype)
            return convert(np.asarray(self.number(operand)), operand.dtype).astype(kind)
        own = operand.type.axes
        array = self.values[operand].transpose([own.index(a) for a in axes if a in own])
        sizes = iter(array.shape)
        return array.reshape([next(sizes) if a in own else 1 for a in axes])

    def kind(self, dtype: DType) -> np.dtype[np.generic]:
        """Return the type in which elements of ``dtype`` are held."""
        return np.dtype(np.float64) if self.precise and dtype.is_float else dtype.numpy

    def define(self, value: ir.Value | ir.Var, array: Array) -> None:
        """Enter a result, of full shape and of the right type."""
        full = np.broadcast_to(array, self.shape(value.type.axes))
        self.values[value] = full.astype(self.kind(value.type.dtype))

    # ---- statements

    def run(self, body: Sequence[ir.Stmt]) -> None:
        """Run statements in order."""
        for statement in body:
            self.step(statement)

    def step(self, statement: ir.Stmt) -> None:
        """Run one statement."""
        match statement:
            case ir.Compute(result=result, op=op, operands=operands):
                arrays = tuple(self.operand(o, result.type.axes) for o in operands)
                self.define(result, self.compute(op, arrays, operands, result.type.dtype))
            case ir.Positions(result=result, axis=axis):
                self.define(result, np.arange(*self.extent(axis)))
            case ir.Rename(result=result, operand=operand, old=old, new=new):
                swap = {new: old}
                axes = [swap.get(a, a) for a in result.type.axes]
                self.define(result, self.operand(operand, axes))
            case ir.Reduce():
                self.reduce(statement)
            case ir.Scan(result=result, reduction=row, operand=operand, axis=axis):
                assert row.numpy_scan is not None, row.name
                axes = list(result.type.axes)
                self.define(result, row.numpy_scan(self.operand(operand, axes), axes.index(axis)))
            case ir.Contract():
                self.contract(statement)
            case ir.Sort():
                self.sort(statement)
            case ir.Random(result=result, seed=seed, offset=offset):
                axes = list(result.type.axes)
                words = philox(self.operand(seed, axes), self.operand(offset, axes))
                self.define(result, words if statement.function == "bits" else uniform(words))
            case ir.Load():
                self.load(statement)
            case ir.Store():
                self.store(statement)
            case ir.Declare(var=var, value=value) | ir.Assign(var=var, value=value):
                self.define(var, self.operand(value, var.type.axes))
            case ir.Read(result=result, var=var):
                self.define(result, self.values[var])
            case ir.For(axis=axis, body=body):
                for _ in self.tiles(axis):
                    self.run(body)
            case ir.If(condition=condition, then=then, orelse=orelse):
                self.run(then if self.operand(condition, ()).item() else orelse)
            case ir.Print():
                pass
            case ir.Assert(condition=condition):
                ranges = condition.type.axes if isinstance(condition, ir.Value) else ()
                if not np.all(self.operand(condition, ranges)):
                    raise AssertionFailedError(f"{self.name}: {statement.message}")
            case _:
                assert_never(statement)

    def compute(
        self, op: Op, arrays: tuple[Array, ...], operands: Sequence[ir.Operand], dtype: DType
    ) -> Array:
        """Return what an op of the table gives."""
        match op.name:
            case "cast" if self.precise and dtype in _SATURATING:
                most = _SATURATING[dtype]
                return np.clip(arrays[0].astype(np.float64), -most, most)
            case "cast" if self.precise and dtype.is_float:
                return arrays[0].astype(np.float64)
            case "cast":
                return convert(arrays[0], dtype)
            case "wrap":
                return wrap(arrays[0], dtype)
            case "bitcast":
                own = operands[0].type.dtype if isinstance(operands[0], ir.Value) else DType.I32
                return bitcast(convert(arrays[0], own), dtype)
            case _:
                with np.errstate(all="ignore"):
                    return np.asarray(op.numpy(*arrays))

    def reduce(self, statement: ir.Reduce) -> None:
        """Fold the elements along axes."""
        row, value, result = statement.reduction, statement.operand, statement.result
        keep = result.type.axes
        order = (*keep, *statement.axes)
        array = self.operand(value, order)
        count = math.prod(array.shape[len(keep) :])
        array = array.reshape(*array.shape[: len(keep)], count)
        if count == 0:
            start = np.full(array.shape[:-1], row.identity(value.type.dtype), np.float64)
            self.define(result, convert(start, result.type.dtype))
            return
        with np.errstate(all="ignore"):
            folded = np.asarray(row.numpy(array, (array.ndim - 1,)))
        if row.name in ("argmax", "argmin"):
            folded = folded + self.extent(statement.axes[0])[0]
        self.define(result, folded)

    def contract(self, statement: ir.Contract) -> None:
        """Multiply and sum over the common axes."""
        axes = tuple(dict.fromkeys((*statement.a.type.axes, *statement.b.type.axes)))
        letter = {axis: chr(ord("a") + i) for i, axis in enumerate(axes)}
        sides = (statement.a, statement.b)
        names = ["".join(letter[x] for x in v.type.axes) for v in sides]
        out = "".join(letter[x] for x in statement.result.type.axes)
        kind = self.kind(statement.result.type.dtype)
        arrays = [self.values[v].astype(kind) for v in sides]
        with np.errstate(all="ignore"):
            product = np.einsum(f"{names[0]},{names[1]}->{out}", *arrays, optimize=True)
        self.define(statement.result, product)

    def sort(self, statement: ir.Sort) -> None:
        """Order along an axis: ascending, or descending into the first few."""
        keep = [a for a in statement.operand.type.axes if a is not statement.axis]
        array = self.operand(statement.operand, [*keep, statement.axis])
        last = statement.into or statement.axis
        if statement.into is None:
            order = np.argsort(array, axis=-1, kind="stable")
        else:
            back = np.argsort(np.flip(array, -1), axis=-1, kind="stable")
            order = (array.shape[-1] - 1 - np.flip(back, -1))[..., : self.shape([last])[0]]
        values = np.take_along_axis(array, order, -1)
        positions = order + self.extent(statement.axis)[0]
        for result, found in ((statement.values, values), (statement.positions, positions)):
            axes = [*keep, last]
            self.define(result, found.transpose([axes.index(a) for a in result.type.axes]))

    # ---- memory

    def places(
        self, index: Sequence[ir.Index], axes: Sequence[ir.Axis], shape: Sequence[int]
    ) -> tuple[list[Array], Array]:
        """Return the index of each dim for each element under ``axes``, and which are inside."""
        places = []
        for position in index:
            place = np.asarray(self.integer(position.offset), np.int64)
            for axis, mult in position.terms:
                run = np.arange(*self.extent(axis), dtype=np.int64) * self.integer(mult)
                spread = [-1 if a is axis else 1 for a in axes]
                place = place + run.reshape(spread)
            if position.gather is not None:
                place = place + self.operand(position.gather, axes).astype(np.int64)
            places.append(np.broadcast_to(place, self.shape(axes)))
        inside = np.ones(self.shape(axes), np.bool_)
        for place, size in zip(places, shape, strict=True):
            inside &= (place >= 0) & (place < size)
        return places, inside

    def load(self, statement: ir.Load) -> None:
        """Read a tile."""
        axes, array = statement.result.type.axes, self.arrays[statement.tensor.name]
        places, inside = self.places(statement.index, axes, array.shape)
        assert inside.all() or any(statement.guards), f"{statement.span!r}: reads outside"
        result = np.zeros(inside.shape, self.kind(statement.result.type.dtype))
        if statement.default is not None:
            result[...] = self.operand(statement.default, axes)
        result[inside] = array[tuple(place[inside] for place in places)]
        self.define(statement.result, result)

    def store(self, statement: ir.Store) -> None:
        """Write a tile."""
        axes = _axes_of(statement)
        array = self.arrays[statement.tensor.name]
        places, inside = self.places(statement.index, axes, array.shape)
        assert inside.all() or statement.skip, f"{statement.span!r}: writes outside"
        value = np.broadcast_to(self.operand(statement.value, axes), inside.shape)[inside]
        at = tuple(place[inside] for place in places)
        value = convert(value, element_type(array) or statement.tensor.dtype)
        with np.errstate(all="ignore"):
            match statement.atomic:
                case "":
                    array[at] = value
                case "add":
                    np.add.at(array, at, value)
                case "max":
                    np.maximum.at(array, at, value)
                case "min":
                    np.minimum.at(array, at, value)


def _axes_of(statement: ir.Store) -> tuple[ir.Axis, ...]:
    """Return the axes of the index, each once."""
    found: dict[ir.Axis, None] = {}
    for position in statement.index:
        found |= dict.fromkeys(axis for axis, _ in position.terms)
        if position.gather is not None:
            found |= dict.fromkeys(position.gather.type.axes)
    return tuple(found)
