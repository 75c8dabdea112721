"""Loads and stores lane by lane: lookups, windows, columns, whatever is no plain copy of rows.

The scalar unit computes each lane's place in global memory from positions, parameters and elements
of inputs. Where a row of the innermost range is contiguous it goes as one copy, else element by
element.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.known import SCALAR_OPS, is_known
from tiledsl.npu.memory import fill
from tiledsl.npu.scalar_unit import lane, over, read
from tiledsl.npu.vector import Vectors, as_type
from tiledsl.scalar import (
    ONE,
    ZERO,
    Apply,
    Axis,
    Element,
    Literal,
    Local,
    Scalar,
    Tensor,
    add,
    apply,
    mul,
)  # fmt: skip
from tiledsl.types import DType


def is_plain(statement: ir.Load | ir.Store) -> bool:
    """Whether whole rows can be copied: affine, proven inside, the last dim along one range."""
    index = statement.index
    if any(statement.guards) or statement.tensor.role == "table":
        return False
    if any(i.gather is not None for i in index):
        return False
    axes = [axis for i in index for axis, _ in i.terms]
    if not axes:
        return True
    last = index[-1].terms
    inner = last[-1][0] if last else None
    return inner is axes[-1] and len(last) == 1 and last[0][1] == ONE and axes.count(inner) == 1


@dataclass
class Lanes:
    """Evaluates integer tiles at one lane; ``place`` gives each range's position there.

    ``condition`` is told of each index that decides whether something is copied.
    """

    frame: Frame
    defined: Mapping[ir.Value, ir.Stmt]
    tiles: Mapping[ir.Value, Tile]
    condition: Callable[[ir.Index], None]

    def index(self, index: ir.Index, place: Mapping[Axis, Scalar]) -> Scalar:
        """Return the position in a dim."""
        at = self.frame.scalar(index.offset)
        for axis, mult in index.terms:
            at = add(at, mul(self.frame.scalar(mult), self.position(axis, place)))
        return at if index.gather is None else add(at, self.value(index.gather, place))

    def position(self, axis: Axis, place: Mapping[Axis, Scalar]) -> Scalar:
        """Return the absolute position on a range."""
        return add(self.frame.start(axis), place[axis])

    def value(self, operand: ir.Operand, place: Mapping[Axis, Scalar]) -> Scalar:
        """Return an integer value at a lane, as a scalar; read from UB where it is only there."""
        if not isinstance(operand, ir.Value):
            return self.frame.scalar(operand)
        match self.defined[operand]:
            case ir.Positions(axis=axis):
                return self.position(axis, place)
            case ir.Rename(operand=inner, old=old, new=new):
                return self.value(inner, {**place, old: place[new]})
            case ir.Compute(op=op, operands=operands, result=result) if (
                op.name in SCALAR_OPS and not result.type.dtype.is_float and self.known(operand)
            ):
                args = tuple(self.value(x, place) for x in operands)
                return (
                    Apply(op.name, args, result.type.dtype)
                    if op.name == "cast"
                    else apply(op.name, *args, dtype=result.type.dtype)
                )
            case ir.Load(tensor=tensor, default=default) as load if self.known(operand):
                index = tuple(self.index(i, place) for i in load.index)
                fallback = None if default is None else self.value(default, place)
                return Element(tensor, index, tensor.dtype, fallback, load.guards, load.span)
            case _:
                return self.read(operand, place)

    def truth(self, operand: ir.Operand) -> Scalar:
        """Return the condition of an ``if``; one that is in a tile is read from its mask."""
        frame = self.frame
        if not isinstance(operand, ir.Value):
            return frame.scalar(operand)
        name = frame.fresh("taken")
        if self.known(operand):
            return frame.let(name, self.value(operand, {}))
        if operand not in self.tiles:
            what = "an `if` on a value computed from tiles, with a product in it"
            raise frame.cannot(frame.span, what)
        frame.emit(npu.ReadScalar(name, self.tiles[operand].ref, span=frame.span))
        return apply("ne", apply("bitand", Local(name, DType.U8), ONE), ZERO)

    def known(self, operand: ir.Operand) -> bool:
        """Whether the scalar unit can compute ``operand`` without a tile."""
        return is_known(operand, self.defined)

    def read(self, value: ir.Value, place: Mapping[Axis, Scalar]) -> Scalar:
        """Read a lane of a tile in UB into a variable."""
        return read(self.frame, self.tiles[value], place)


def load(lanes: Lanes, statement: ir.Load, name: str) -> Tile:
    """Emit a load lane by lane; return the tile in canonical order."""
    frame, vectors = lanes.frame, Vectors(lanes.frame)
    dtype = statement.result.type.dtype
    axes = frame.order(statement.result.type.axes)
    tile = frame.tile(name, axes, DType.U8 if dtype is DType.BOOL else dtype)
    if statement.tensor.role not in ("in", "table"):
        raise frame.cannot(statement.span, "a lookup in a tensor that the kernel writes")
    default = statement.default if statement.default is not None else Literal(0, tile.dtype)
    if isinstance(default, ir.Value):
        raise frame.cannot(statement.span, "a default that is a tile")
    fallback = as_type(frame.scalar(default), tile.dtype)
    cleared = len(axes) > 1 or tile.dtype.size == 1
    if cleared:
        vectors.fill(tile, as_type(ZERO, tile.dtype))
    else:
        tile.padded = False
    inner = _contiguous(statement)
    if inner is not None and axes and axes[-1] is inner:
        # A row that is not there stays as the tile was cleared: copies need not wait for fills.
        otherwise = None if cleared and fallback == as_type(ZERO, tile.dtype) else fallback
        over(
            frame,
            axes[:-1],
            lambda place: _load_row(lanes, statement, tile, inner, place, otherwise),
            apart=True,
        )
    else:
        over(frame, axes, lambda place: _load_element(lanes, statement, tile, place, fallback))
    if dtype is DType.BOOL:
        mask = frame.tile(name, axes, DType.BOOL)
        vectors.cast(tile, mask)
        return mask
    return tile


def _contiguous(statement: ir.Load | ir.Store) -> Axis | None:
    """Return the range along which rows are contiguous and whole: the last dim's, if it is bare."""
    if statement.tensor.role == "table" or not statement.index:
        return None
    *others, last = statement.index
    if last.gather is not None or len(last.terms) != 1 or last.terms[0][1] != ONE:
        return None
    axis = last.terms[0][0]
    if statement.guards and statement.guards[-1]:
        return None
    elsewhere = any(axis is a for i in others for a, _ in i.terms)
    gathered = any(i.gather is not None and axis in i.gather.type.axes for i in others)
    return None if elsewhere or gathered else axis


def _load_row(
    lanes: Lanes, statement: ir.Load, tile: Tile, inner: Axis, place: dict[Axis, Scalar],
    default: Scalar | None,
) -> None:  # fmt: skip
    frame = lanes.frame
    offset, inside = _place(lanes, statement, {**place, inner: ZERO})
    row = replace(tile.ref, offset=_row(frame, tile, place))
    copy = npu.CopyIn(
        replace(row, dtype=stored(statement.tensor)),
        npu.Global(statement.tensor, offset),
        (),
        (),
        (),
        frame.size(inner),
        as_type(ZERO, tile.dtype),
    )
    other = None if default is None else fill(frame, row, default, frame.size(inner))
    _guarded(frame, copy, inside, other)


def stored(tensor: Tensor) -> DType:
    """Return the element type with which a tensor is copied."""
    return DType.U8 if tensor.dtype is DType.BOOL else tensor.dtype


def _row(frame: Frame, tile: Tile, place: Mapping[Axis, Scalar]) -> Scalar:
    """Return the offset of a row of ``tile``."""
    at: Scalar = tile.ref.offset
    for i, axis in enumerate(tile.axes[:-1]):
        at = add(at, mul(place[axis], frame.extent(tile.axes[i + 1 :])))
    return at


def _load_element(
    lanes: Lanes, statement: ir.Load, tile: Tile, place: dict[Axis, Scalar], default: Scalar
) -> None:
    frame = lanes.frame
    index = tuple(lanes.index(i, place) for i in statement.index)
    guards = statement.guards if any(statement.guards) else ()
    fallback = default if guards else None
    element = Element(statement.tensor, index, tile.dtype, fallback, guards, statement.span)
    at = add(tile.ref.offset, lane(lanes.frame, tile.axes, place))
    frame.emit(npu.WriteScalar(replace(tile.ref, offset=at), element, span=frame.span))


def _place(
    lanes: Lanes, statement: ir.Load | ir.Store, place: dict[Axis, Scalar]
) -> tuple[Scalar, Scalar | None]:
    """Return a lane's offset in the tensor, and whether it is inside where that is not proven."""
    frame = lanes.frame
    offset: Scalar = ZERO
    stride: Scalar = ONE
    inside: Scalar | None = None
    guards = statement.guards or (False,) * len(statement.index)
    dims = list(zip(statement.index, statement.tensor.shape, guards, strict=True))
    for index, dim, guard in reversed(dims):
        at, size = lanes.index(index, place), frame.scalar(dim)
        if guard:
            lanes.condition(index)
            name = frame.fresh("at")
            at = frame.let(name, at)
            within = apply("and", apply("ge", at, ZERO), apply("lt", at, size))
            inside = within if inside is None else apply("and", inside, within)
        offset = add(offset, mul(at, stride))
        stride = mul(stride, size)
    return offset, inside


def _guarded(frame: Frame, step: npu.Step, inside: Scalar | None, other: npu.Step | None) -> None:
    step = replace(step, span=frame.span)
    if inside is None:
        frame.emit(step)
        return
    orelse = () if other is None else (replace(other, span=frame.span),)
    frame.emit(npu.If(inside, (step,), orelse, span=frame.span))


def store(lanes: Lanes, statement: ir.Store, tile: Tile) -> None:
    """Emit a store lane by lane; ``tile`` has the ranges of the index in canonical order."""
    frame, axes, kind = lanes.frame, tile.axes, stored(statement.tensor)
    inner = _contiguous(statement)
    if inner is not None and axes and axes[-1] is inner:

        def row(place: dict[Axis, Scalar]) -> None:
            offset, inside = _place(lanes, statement, {**place, inner: ZERO})
            source = replace(tile.ref, offset=_row(frame, tile, place), dtype=kind)
            target = npu.Global(statement.tensor, offset)
            copy = npu.CopyOut(target, source, (), (), (), frame.size(inner), statement.atomic)
            _guarded(frame, copy, inside, None)

        over(frame, axes[:-1], row)
        return
    apart = _spread(frame, tile)
    per = 32 // apart.dtype.size

    def element(place: dict[Axis, Scalar]) -> None:
        offset, inside = _place(lanes, statement, place)
        source = replace(apart.ref, offset=mul(lane(frame, axes, place), per), dtype=kind)
        copy = npu.CopyOut(
            npu.Global(statement.tensor, offset), source, (), (), (), ONE, statement.atomic
        )
        _guarded(frame, copy, inside, None)

    over(frame, axes, element)


def _spread(frame: Frame, tile: Tile) -> Tile:
    """Return ``tile`` with each element in 32 bytes of its own: copies start at blocks."""
    count = max(8, -(-frame.elements(tile.axes) // 8) * 8)
    base = frame.buffer("apart", npu.Memory.UB, count * 32, "one block an element")
    out = Tile(npu.Ref(base.buffer, tile.dtype), tile.axes, tile.dtype)
    if tile.dtype.size == 8:

        def element(place: dict[Axis, Scalar]) -> None:
            at = mul(lane(frame, tile.axes, place), 4)
            value = read(frame, tile, place)
            frame.emit(npu.WriteScalar(replace(out.ref, offset=at), value, span=frame.span))

        over(frame, tile.axes, element)
        return out
    wide = tile
    if tile.dtype.size == 1:  # the first byte of its i32
        wide = frame.tile("wide", tile.axes, DType.I32)
        Vectors(frame).cast(tile, wide)
    exact = len(tile.axes) == 1
    whole = frame.extent(tile.axes, exact=exact)
    blocks = replace(out.ref, dtype=wide.dtype)
    frame.emit(npu.Spread(blocks, wide.ref, whole, span=frame.span))
    return out


def ranges_of(statement: ir.Store) -> set[Axis]:
    """Return all ranges of a store's index, those of its lookups too."""
    found = {a for i in statement.index for a, _ in i.terms}
    for index in statement.index:
        if index.gather is not None:
            found |= set(index.gather.type.axes)
    return found
