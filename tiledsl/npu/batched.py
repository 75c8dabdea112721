"""Products whose sides share a range that stays: one matrix product for each of its positions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.cube import Accumulator, Cubes, Matrix
from tiledsl.npu.frame import Frame, Loop, Tile
from tiledsl.npu.handover import Channel, HandOver, matrix_axes, sides
from tiledsl.npu.partition import Partition
from tiledsl.scalar import ONE, ZERO, Axis, Local, Scalar, add, integer, mul

Places = Mapping[Axis, Scalar]


@dataclass
class Batches:
    """Emits such products; ``tiles`` are those of a ``unified`` core."""

    frame: Frame
    cubes: Cubes
    hand: HandOver
    marks: Partition
    tiles: dict[ir.Value, Tile]
    unified: bool
    depth: int
    received: set[ir.Value] = field(default_factory=set)

    def product(
        self, statement: ir.Contract, name: str, later: Sequence[ir.Stmt],
        accumulator: Callable[[Axis, Axis], Accumulator],
    ) -> None:  # fmt: skip
        """Emit a product, one position of the shared ranges after the other.

        ``later`` are the statements of its block that follow. A tile from the vector cores comes
        before the first product with it and is given back after the last.
        """
        frame, result = self.frame, statement.result
        m, n, k, *_ = (frame.merge(axes) for axes in sides(frame, statement)[:3])
        *_, a, b = sides(frame, statement)
        for value in (a, b):
            self.receive(value, statement)
        to = self.hand.channels.get((result, True)) if result in self.marks.to_vector else None
        if to is not None and not self.unified:
            frame.emit(npu.CrossWait(to.free, npu.Queue.FIXP, span=frame.span))
        elif result in self.marks.to_vector:
            self.tiles[result] = frame.tile(name, result.type.axes, result.type.dtype)

        def turn(places: Places) -> None:
            left, right = (self.part(statement, value, places) for value in (a, b))
            into = accumulator(m, n)
            self.cubes.begin(into)
            self.cubes.multiply(left, right, k, into)
            if to is not None and not self.unified:
                target = npu.Global(to.place, self.offset(to, places), to.slot)
                self.cubes.store(into, target, integer(to.stride), to.place.dtype)
            elif result in self.tiles:
                self.drain(statement, into, places)

        self.turns(frame.order(set(statement.batch)), turn)
        if to is not None and not self.unified:
            frame.emit(npu.CrossSet(to.full, npu.Queue.FIXP, span=frame.span))
            self.hand.next_turn(to)
        for value in dict.fromkeys((a, b)):
            self.give_back(value, later)

    def turns(self, batch: tuple[Axis, ...], emit: Callable[[Places], None]) -> None:
        """Emit loops over the positions of the shared ranges; the innermost may hold rings."""
        frame = self.frame

        def nest(level: int, places: dict[Axis, Scalar]) -> None:
            if level == len(batch):
                emit(places)
                return
            axis = batch[level]
            name = frame.fresh(f"{axis.name}_at")
            loop = Loop(f"{name}_turn", self.depth)
            frame.loops.append(loop)
            with frame.block() as body:
                nest(level + 1, {**places, axis: Local(name)})
                frame.emit(npu.Assign(loop.counter, add(Local(loop.counter), 1)))
            frame.loops.pop()
            self.cubes.inner_loops.append(loop)
            count = frame.whole(axis)[1]
            frame.emit(npu.For(name, ZERO, count, ONE, tuple(body), span=frame.span))

        nest(0, {})

    # ---- tiles from core to core -----------------------------------------------------------------

    def receive(self, value: ir.Value, statement: ir.Contract) -> None:
        """Wait for a tile that the vector cores compute."""
        frame = self.frame
        if any(value in (p.a, p.b) and p.batch != statement.batch for p in self.marks.products):
            what = "a tile in products with different shared ranges"
            raise frame.cannot(statement.span, what)
        if self.unified or value not in self.marks.to_cube or value in self.received:
            return
        self.received.add(value)
        channel = self.hand.channels[value, False]
        frame.emit(npu.CrossWait(channel.full, npu.Queue.MTE2, span=frame.span))

    def give_back(self, value: ir.Value, later: Sequence[ir.Stmt]) -> None:
        """Let the vector cores write the tile's place again, unless a product is still to come."""
        frame = self.frame
        if value not in self.received or any(value in ir.operands(s) for s in later):
            return
        if any(value in ir.operands(s) for s in ir.statements(tuple(later))):
            self.refuse_outside(value)
        self.received.discard(value)
        channel = self.hand.channels[value, False]
        frame.emit(npu.CrossSet(channel.free, npu.Queue.MTE2, span=frame.span))
        self.hand.next_turn(channel)

    def refuse_outside(self, value: ir.Value) -> None:
        """Raise an error where ``value``, from outside a loop, is a side of such a product."""
        for product in self.marks.products:
            if product.batch and value in (product.a, product.b):
                what = "a product with a shared range, of a tile that is made outside its loop"
                raise self.frame.cannot(product.span, what)

    def offset(self, channel: Channel, places: Places) -> Scalar:
        """Return where the matrix of a position begins in a workspace."""
        strides = self.frame.apart(self.frame.merge(channel.rows), integer(channel.stride))
        return _at(strides, places)

    # ---- one position ----------------------------------------------------------------------------

    def part(self, product: ir.Contract, value: ir.Value, places: Places) -> Matrix:
        """Return a side of the product of one position, in L1."""
        frame = self.frame
        load = self.marks.batched.get(value)
        if load is not None:
            offset, strides = frame.address(load.tensor, load.index)
            rows, cols = (a for i in load.index for a, _ in i.terms if a not in places)
            source = npu.Global(load.tensor, add(offset, _at(strides, places)))
            name, kind = load.tensor.name, load.tensor.dtype
            return self.cubes.fetch(name, kind, rows, cols, source, strides[rows])
        height, width = matrix_axes(frame, product, value)
        if not self.unified:
            channel = self.hand.channels[value, False]
            source = npu.Global(channel.place, self.offset(channel, places), channel.slot)
            place, stride = channel.place, integer(channel.stride)
            rows, cols = frame.merge(height), frame.merge(width)
            return self.cubes.fetch(place.name, place.dtype, rows, cols, source, stride)
        tile = self.tiles[value]
        offset, pitch = self.rows_of(product, tile, height, width, places)
        return self.cubes.feed(tile, frame.merge(height), width[0], offset, pitch)

    def drain(self, product: ir.Contract, accumulator: Accumulator, places: Places) -> None:
        """Copy the product of one position to its place in UB."""
        tile = self.tiles[product.result]
        m, n, *_ = sides(self.frame, product)
        offset, pitch = self.rows_of(product, tile, m, n, places)
        self.cubes.drain(accumulator, tile, offset, pitch)

    def rows_of(
        self, product: ir.Contract, tile: Tile, rows: tuple[Axis, ...], cols: tuple[Axis, ...],
        places: Places,
    ) -> tuple[Scalar, Scalar]:  # fmt: skip
        """Return where a matrix begins in a tile, and how far apart its rows are."""
        frame, axes = self.frame, tile.axes
        strides = {a: frame.extent(axes[i + 1 :]) for i, a in enumerate(axes)}
        first = axes.index(rows[0])
        if cols != axes[-1:] or axes[first : first + len(rows)] != rows:
            what = "a product with a shared range that stands between those of a matrix"
            raise frame.cannot(product.span, what)
        return _at(strides, places), strides[rows[-1]]


def _at(strides: Mapping[Axis, Scalar], places: Places) -> Scalar:
    """Return how far the positions of the shared ranges are from the first element."""
    total: Scalar = ZERO
    for axis, place in places.items():
        total = add(total, mul(place, strides[axis]))
    return total
