"""``print`` and ``assert`` on the scalar unit, element by element."""

from collections.abc import Mapping
from dataclasses import replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.lanes import Lanes
from tiledsl.npu.scalar_unit import lane, over, read
from tiledsl.scalar import ONE, Axis, Local, Scalar, add, apply, integer
from tiledsl.types import DType


def print_lines(lanes: Lanes, statement: ir.Print) -> None:
    """Emit a ``print``: of tiles a line for each element, with its positions."""
    frame = lanes.frame
    axes = frame.order({a for x in _values(statement) for a in x.type.axes})
    text = statement.text
    if axes:
        text += f" ({', '.join(f'{axis.name} = {{}}' for axis in axes)})"

    def line(place: Mapping[Axis, Scalar]) -> None:
        words = [
            _element(frame, lanes.tiles[x], place) if isinstance(x, ir.Value) else frame.scalar(x)
            for x in statement.operands
        ]
        words += [lanes.position(axis, place) for axis in axes]
        frame.emit(npu.Print(text, tuple(words), span=frame.span))

    over(frame, axes, line)


def claim(lanes: Lanes, statement: ir.Assert) -> None:
    """Emit an ``assert``."""
    condition = lanes.truth(statement.condition)
    lanes.frame.emit(npu.Assert(condition, statement.message, span=lanes.frame.span))


def _values(statement: ir.Print) -> list[ir.Value]:
    return [x for x in statement.operands if isinstance(x, ir.Value)]


def _element(frame: Frame, tile: Tile, place: Mapping[Axis, Scalar]) -> Scalar:
    """Read one element; of a mask its bit."""
    if tile.dtype is not DType.BOOL:
        return read(frame, tile, place)
    at, name = lane(frame, tile.axes, place), frame.fresh("bits")
    byte = add(tile.ref.offset, apply("floordiv", at, integer(8)))
    frame.emit(npu.ReadScalar(name, replace(tile.ref, offset=byte), span=frame.span))
    shifted = apply("shr", Local(name, DType.U8), apply("mod", at, integer(8)), dtype=DType.I32)
    return apply("bitand", shifted, ONE)
