"""Tiles from core to core: through slots in global memory, with a flag each way."""

from collections.abc import Mapping
from dataclasses import dataclass

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.cube import Accumulator, Cubes, Matrix
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.memory import copy_out, from_workspace, share
from tiledsl.scalar import ONE, ZERO, Axis, Local, Scalar, add, apply, integer

SLOTS = 2  # of each workspace at least: one is filled while the other is read


@dataclass(eq=False)
class Channel:
    """A way for one value from core to core, through a workspace in global memory."""

    place: npu.Workspace
    rows: tuple[Axis, ...]
    cols: tuple[Axis, ...]
    full: int
    free: int
    stride: int
    turn: str

    @property
    def slot(self) -> Scalar:
        """The slot of the current hand-over."""
        return apply("mod", Local(self.turn), integer(self.place.slots))


@dataclass
class HandOver:
    """One core's end of the channels; ``both`` tells that there is another core."""

    frame: Frame
    cubes: Cubes
    channels: Mapping[tuple[ir.Value, bool], Channel]
    on_vector: bool
    both: bool

    def opening(self) -> list[npu.Step]:
        """Raise the flags that say that all slots are free, for the channels read here."""
        return [
            npu.CrossSet(c.free, npu.Queue.MTE2)
            for (_, to_vector), c in self.channels.items()
            if to_vector is self.on_vector
            for _ in range(c.place.slots)
        ]  # fmt: skip

    def closing(self) -> list[npu.Step]:
        """Lower them again, for the channels written here."""
        queue = npu.Queue.MTE3 if self.on_vector else npu.Queue.FIXP
        return [
            npu.CrossWait(c.free, queue)
            for (_, to_vector), c in self.channels.items()
            if to_vector is not self.on_vector
            for _ in range(c.place.slots)
        ]  # fmt: skip

    def next_turn(self, channel: Channel) -> None:
        """Move on to the next slot."""
        self.frame.emit(npu.Assign(channel.turn, add(Local(channel.turn), 1)))

    def send_tile(self, value: ir.Value, tile: Tile) -> None:
        """Write a tile that the cube multiplies; each vector core its rows."""
        channel = self.channels[value, False]
        frame = self.frame
        frame.emit(npu.CrossWait(channel.free, npu.Queue.MTE3, span=frame.span))
        rows, cols = frame.merge(channel.rows), frame.merge(channel.cols)
        strides = {**frame.apart(rows, integer(channel.stride)), **frame.apart(cols, ONE)}
        target = npu.Global(channel.place, share(frame, strides), channel.slot)
        with frame.block() as steps:
            copy_out(frame, tile, target, strides, tile.axes)
        self.once(steps, tile.axes)
        frame.emit(npu.CrossSet(channel.full, npu.Queue.MTE3, span=frame.span))
        self.next_turn(channel)

    def once(self, steps: list[npu.Step], axes: tuple[Axis, ...]) -> None:
        """Emit ``steps``, on one of the two vector cores where both would do the same."""
        if self.both and self.frame.split not in axes:
            condition = apply("eq", Local("sub"), ZERO)
            self.frame.emit(npu.If(condition, tuple(steps), span=self.frame.span))
        else:
            self.frame.steps += steps

    def receive_tile(self, value: ir.Value) -> Tile:
        """Read a product that the cube has left."""
        channel, frame = self.channels[value, True], self.frame
        frame.emit(npu.CrossWait(channel.full, npu.Queue.MTE2, span=frame.span))
        rows, cols = frame.merge(channel.rows), frame.merge(channel.cols)
        tile = from_workspace(frame, channel.place, channel.slot, rows, cols, channel.stride)
        frame.emit(npu.CrossSet(channel.free, npu.Queue.MTE2, span=frame.span))
        self.next_turn(channel)
        return tile

    def send_product(self, value: ir.Value, accumulator: Accumulator) -> None:
        """Write a product that the vector cores read."""
        channel, frame = self.channels[value, True], self.frame
        frame.emit(npu.CrossWait(channel.free, npu.Queue.FIXP, span=frame.span))
        target = npu.Global(channel.place, ZERO, channel.slot)
        self.cubes.store(accumulator, target, integer(channel.stride), channel.place.dtype)
        frame.emit(npu.CrossSet(channel.full, npu.Queue.FIXP, span=frame.span))
        self.next_turn(channel)

    def receive_matrix(self, value: ir.Value) -> Matrix:
        """Read a tile that the vector cores have left."""
        channel, frame = self.channels[value, False], self.frame
        frame.emit(npu.CrossWait(channel.full, npu.Queue.MTE2, span=frame.span))
        rows, cols = frame.merge(channel.rows), frame.merge(channel.cols)
        source = npu.Global(channel.place, ZERO, channel.slot)
        matrix = self.cubes.fetch(
            channel.place.name, value.type.dtype, rows, cols, source, integer(channel.stride)
        )
        frame.emit(npu.CrossSet(channel.free, npu.Queue.MTE2, span=frame.span))
        self.next_turn(channel)
        return matrix


def sides(
    frame: Frame, product: ir.Contract
) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[Axis, ...], ir.Value, ir.Value]:
    """Return the ranges m, n, k of a product, the left and the right matrix.

    m is the outer part of the result in canonical order. Ranges that both sides keep are left out.
    """
    shared = set(product.axes) | product.batch
    a, b = product.a, product.b
    left = frame.order({x for x in a.type.axes if x not in shared})
    right = frame.order({x for x in b.type.axes if x not in shared})
    if not left or not right:
        raise frame.cannot(product.span, "a product that is not matrix times matrix")
    whole = frame.order(set(left) | set(right))
    if whole == (*right, *left):
        a, b, left, right = b, a, right, left
    elif whole != (*left, *right):
        raise frame.cannot(product.span, "a product whose two sides' ranges mix in the result")
    return left, right, frame.order(set(product.axes)), a, b


def matrix_axes(
    frame: Frame, product: ir.Contract, value: ir.Value
) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """Return the ranges of the rows and of the columns of an operand as it lies in memory.

    Ranges that both sides of the product keep are left out.
    """
    order = frame.order(set(value.type.axes) - product.batch)
    depth = len(product.axes)
    if set(order[:depth]) == set(product.axes):
        return order[:depth], order[depth:]
    if set(order[-depth:]) == set(product.axes):
        return order[:-depth], order[-depth:]
    raise frame.cannot(product.span, "a product whose summed range stands between others")
