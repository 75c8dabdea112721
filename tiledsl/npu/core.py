"""The lowering for one kind of core: a walk over the kernel that emits this core's share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from tiledsl import ir
from tiledsl.npu import lanes
from tiledsl.npu import program as npu
from tiledsl.npu.batched import Batches
from tiledsl.npu.cube import Accumulator, Cubes, Matrix
from tiledsl.npu.debugging import claim, print_lines
from tiledsl.npu.elementwise import compute
from tiledsl.npu.frame import Frame, Loop, Rows, Tile
from tiledsl.npu.handover import Channel, HandOver, matrix_axes, sides
from tiledsl.npu.lanes import Lanes, is_plain
from tiledsl.npu.memory import load, ready, store
from tiledsl.npu.packed import rename, whole_bytes
from tiledsl.npu.partition import may_stay_empty
from tiledsl.npu.place import place
from tiledsl.npu.random import random
from tiledsl.npu.reduce import reduce
from tiledsl.npu.rewriting import drop_unused
from tiledsl.npu.scan import scan
from tiledsl.npu.shape import Shape, axes_in, axes_of, growing_rows
from tiledsl.npu.sort import sort
from tiledsl.npu.staged import staged
from tiledsl.npu.stages import Stages
from tiledsl.npu.sync import insert_flags
from tiledsl.npu.vector import Vectors, as_type
from tiledsl.npu.windows import MOST_APART, apart, is_window, may_shift
from tiledsl.scalar import (
    ONE,
    ZERO,
    Axis,
    Element,
    Literal,
    Local,
    Scalar,
    add,
    apply,
    show,
    sub,
    walk,
)  # fmt: skip
from tiledsl.schedule import Plan
from tiledsl.types import DType


@dataclass(frozen=True)
class Room:
    """How freely a core takes memory: ``depth`` slots a ring, or as many as the plan says.

    With ``thrift`` a result may take the place of an operand that came from global memory.
    """

    depth: int
    thrift: bool = False

    def depth_of(self, axis: Axis, plan: Plan) -> int:
        """Return the slots of the rings of the loop over ``axis``."""
        given = plan.depths.get(axis.name, self.depth)
        return given if self.depth > 1 else 1


@dataclass
class Lowering:
    """What the walks over a kernel share; ``channels`` by value and whether it goes to vectors.

    ``uniform`` are the names in which programs that run together agree, `None` if none can tell.
    ``stages`` are those of the loops that are taken apart, by the id of the statement.
    """

    shape: Shape
    plan: Plan
    split: Axis | None = None
    channels: dict[tuple[ir.Value, bool], Channel] = field(default_factory=dict)
    uniform: list[str] | None = field(default_factory=list)
    stages: dict[int, Stages] = field(default_factory=dict)


class Core:
    """The walk for one kind of core."""

    def __init__(self, shared: Lowering, core: npu.Core, both: bool, room: Room) -> None:
        self.shared, self.kind, self.both, self.room = shared, core, both, room
        grid = shared.shape.grid
        self.outer = Loop("turn", room.depth_of(grid[-1], shared.plan) if grid else room.depth)
        self.programs: Scalar = ONE
        self.marks = shared.shape.marks
        split = shared.split if core is npu.Core.VECTOR else None
        shape = shared.shape
        self.frame = Frame(
            shape.grid, shape.chip.name, shared.plan.tiles, shape.granule, shape.rank, split,
            shape.chip.cube_types, core is npu.Core.UNIFIED, shared.plan.swizzle,
        )  # fmt: skip
        for name, (axis, span) in growing_rows(shape).items() if shared.plan.flexible else ():
            if name in shared.plan.flexible:
                cores = shape.chip.vector_cores
                rows = Rows(span, shared.plan.tiles[name], shared.plan.flexible[name], cores)
                self.frame.flexible[axis] = rows
        self.vectors, self.cubes = Vectors(self.frame), Cubes(self.frame, shared.plan.steps)
        vectors = core is npu.Core.VECTOR
        self.hand = HandOver(self.frame, self.cubes, shared.channels, vectors, both)
        self.tiles: dict[ir.Value, Tile] = {}
        self.batches = Batches(
            self.frame, self.cubes, self.hand, self.marks, self.tiles,
            core is npu.Core.UNIFIED, room.depth,
        )  # fmt: skip
        self.vars: dict[ir.Var, Tile] = {}
        self.matrices: dict[ir.Value, Matrix] = {}
        self.accumulators: dict[ir.Var, Accumulator] = {}
        self.flags: list[str] = []
        self.loops: list[Loop] = []
        self.block: tuple[ir.Stmt, ...] = ()
        self.kept: dict[ir.Value, int] = {}
        self.products = 0  # in the body of the innermost loop
        self.on_vector = core is npu.Core.VECTOR
        self.unified = core is npu.Core.UNIFIED

    def program(self, keep: frozenset[str]) -> npu.CoreProgram:
        """Return the core's program, with addresses and flags, and with the variables ``keep``."""
        body, buffers = self.placed
        rings = {name: x.counter for name, x in self.frame.owners.items()}
        flagged = insert_flags(body, rings, self.outer.counter)
        return npu.CoreProgram(self.kind, buffers, drop_unused(flagged, keep))

    @cached_property
    def placed(self) -> tuple[tuple[npu.Step, ...], tuple[npu.Buffer, ...]]:
        """Return the core's steps without flags, and its buffers; raise `CapacityError`."""
        frame, shape = self.frame, self.shared.shape
        self.programs = frame.define_grid()
        with frame.block() as before:
            count = frame.size_grid()
        frame.loops.append(self.outer)
        with frame.block() as inside:
            frame.decode_grid()
            self.define_spans()
            self.find_classes()
            self.walk(shape.body)
            inside.append(npu.Assign(self.outer.counter, add(Local(self.outer.counter), 1)))
        frame.loops.pop()
        note = "grid " + ", ".join(f"{a.name} in {_domain(a)}" for a in shape.grid)
        first, step = Local("block"), Local("blocks")
        loop = npu.For("program", first, count, step, tuple(inside), note)
        counters = [x.counter for x in self.all_loops()]
        counters += [c.turn for c in self.shared.channels.values()] + self.flags
        lets = [npu.Let(name, ZERO) for name in dict.fromkeys(counters)]
        opening = (*lets, *frame.opening, *self.hand.opening(), *before)
        body: tuple[npu.Step, ...] = (*opening, loop, *self.hand.closing())
        rings = {name: x.counter for name, x in frame.owners.items()}
        capacity = {m: shape.chip.capacity[m.value] for m in npu.Memory}
        return place(body, frame.buffers, rings, capacity)

    def all_loops(self) -> list[Loop]:
        """Return the loops that count their turns, the one over programs first."""
        return [self.outer, *self.loops, *self.cubes.inner_loops]

    # ---- ranges ----------------------------------------------------------------------------------

    def define_spans(self) -> None:
        """Define the spans whose ends are known at this point: at the top, or in the loop."""
        for axis in self.shared.shape.spans:
            if axis not in self.frame.local and all(a in self.frame.local for a in axes_in(axis)):
                self.frame.define_axis(axis)

    def find_classes(self) -> None:
        """Name what decides sizes and trip counts, so that like programs can run together."""
        if self.kind is not self.shared_first():
            return
        frame, names = self.frame, self.shared.uniform
        assert names is not None
        for axis in self.shared.shape.grid:
            if not axis.is_scalar:
                suffix = "rows" if axis is frame.split else "size"
                names.append(f"{frame.local[axis]}_{suffix}")
        for axis in self.shared.shape.spans:
            if axis in frame.local and any(a.kind == "grid" for a in axes_in(axis)):
                names.append(f"{frame.local[axis]}_size")
        grid = set(self.shared.shape.grid)
        for s in ir.statements(self.shared.shape.body):
            ends: tuple[Scalar, ...] = (s.axis.lo, s.axis.hi) if isinstance(s, ir.For) else ()
            ends = (
                (s.condition,)
                if isinstance(s, ir.If) and not isinstance(s.condition, ir.Value)
                else ends
            )
            by_tile = isinstance(s, ir.If) and isinstance(s.condition, ir.Value)
            if by_tile or any(isinstance(part, Element) for end in ends for part in walk(end)):
                self.shared.uniform = None
                return
            met = {a for end in ends for a in axes_of(end)}
            if not met & grid:
                continue
            if not met <= grid:
                self.shared.uniform = None
                return
            value = frame.scalar(sub(ends[1], ends[0]) if len(ends) == 2 else ends[0])
            name = frame.fresh(f"{s.axis.name}_extent" if isinstance(s, ir.For) else "taken")
            frame.let(name, value)
            names.append(name)

    def shared_first(self) -> npu.Core:
        """Return the core that names the classes; the one on which the row split is visible."""
        if self.unified:
            return npu.Core.UNIFIED
        return npu.Core.VECTOR if self.marks.vector or not self.marks.cube else npu.Core.CUBE

    # ---- statements ------------------------------------------------------------------------------

    def walk(self, body: tuple[ir.Stmt, ...]) -> None:
        """Emit this core's share of ``body``."""
        outer = self.block
        for number, statement in enumerate(body):
            self.block = body[number:]
            self.frame.span = statement.span
            match statement:
                case ir.For():
                    self.loop(statement)
                case ir.If():
                    self.branch(statement)
                case _:
                    if not self.on_vector:
                        self.cube(statement)
                    if self.on_vector or self.unified:
                        self.vector(statement)
        self.block = outer

    def loop(self, statement: ir.For) -> None:
        """Emit a loop, unless this core has nothing to do in it."""
        axis, frame = statement.axis, self.frame
        depth = self.room.depth_of(axis, self.shared.plan)
        note = f"for {axis.name} in {_domain(axis)}"
        outside = self.products
        self.products = sum(isinstance(s, ir.Contract) for s in statement.body)
        if id(statement) in self.shared.stages:
            spans = self.shared.shape.spans
            staged(self, statement, self.shared.stages[id(statement)], spans, depth, note)
            self.products = outside
            return
        at = len(frame.steps)
        with frame.loop(axis, depth, note):
            self.define_spans()
            self.loops.append(frame.loops[-1])
            empty = len(frame.steps)
            self.walk(statement.body)
            idle = len(frame.steps) == empty
        self.products = outside
        if idle:
            del frame.steps[at:]
            return
        if not self.on_vector and self.marks.accumulates(statement, alone=True):
            whole = frame.steps[-1]
            assert isinstance(whole, npu.For)
            frame.steps[-1] = self.at_least_once(whole, axis)

    def at_least_once(self, loop: npu.For, axis: Axis) -> npu.For:
        """Return the loop with one empty turn where it has none: an empty sum is 0."""
        name = self.frame.local[axis]
        body = tuple(
            npu.Let(s.name, apply("max", s.value, ZERO))
            if isinstance(s, npu.Let) and s.name == f"{name}_size"
            else s
            for s in loop.body
        )
        return replace(loop, hi=apply("max", loop.hi, add(loop.lo, 1)), body=body)

    def branch(self, statement: ir.If) -> None:
        """Emit an ``if``, unless this core has nothing to do in it."""
        frame = self.frame
        with frame.block() as then:
            self.walk(statement.then)
        with frame.block() as orelse:
            self.walk(statement.orelse)
        frame.span = statement.span
        if then or orelse:
            condition = self.lanes().truth(statement.condition)
            frame.emit(npu.If(condition, tuple(then), tuple(orelse), span=statement.span))

    # ---- the cube's share ------------------------------------------------------------------------

    def cube(self, statement: ir.Stmt) -> None:
        """Emit what the cube core does for one statement."""
        marks = self.marks
        match statement:
            case ir.Load(result=value) if value in marks.loads:
                with self.keeping(value):
                    if is_plain(statement) and len(value.type.axes) == 2:
                        matrix = self.cubes.load(statement, statement.tensor.name)
                    else:
                        self.tell_guards_apart(statement)
                        matrix = self.cubes.load_window(statement, statement.tensor.name)
                    self.matrices[value] = matrix
            case ir.Declare(var=var) if var in marks.accumulators:
                product = next(p for p in marks.products if marks.accumulate.get(p.result) is var)
                m, n, *_ = self.roles(product)
                accumulator = self.new_accumulator(var.name, var.type.dtype, m, n)
                self.accumulators[var] = accumulator
                if may_stay_empty(self.shared.shape.body, marks):
                    self.cubes.zero(accumulator, product.a.type.dtype)
                else:
                    self.cubes.begin(accumulator)
            case ir.Contract():
                self.product(statement)
            case ir.Read(result=value, var=var) if (
                var in marks.accumulators and id(statement) not in marks.skipped
            ):
                self.deliver(value, self.accumulators[var])
            case _:
                pass
        for value in ir.results(statement):
            if value in marks.to_cube and not self.unified and self.multiplied_inside(value):
                self.batches.refuse_outside(value)
                with self.keeping(value):
                    self.matrices[value] = self.hand.receive_matrix(value)

    @contextmanager
    def keeping(self, value: ir.Value) -> Iterator[None]:
        """Let rings have room for ``value`` as long as a later stage needs it."""
        self.frame.kept = self.kept.get(value, 0)
        yield
        self.frame.kept = 0

    def multiplied_inside(self, value: ir.Value) -> bool:
        """Whether the first product of a value made here is in a block of its own.

        The value comes but once. It is received no earlier than need be: what is behind it in the
        queue waits with it.
        """
        for s in self.block[1:]:
            if isinstance(s, ir.Contract) and value in (s.a, s.b):
                return False
            if any(
                isinstance(x, ir.Contract) and value in (x.a, x.b) for x in ir.statements((s,))
            ):
                return True
        return False

    def new_accumulator(self, name: str, dtype: DType, m: Axis, n: Axis) -> Accumulator:
        """Return room in L0C: twice, where two turns' products fit side by side; or once."""
        frame = self.frame
        size = -(-frame.limit(m) // 16) * -(-frame.limit(n) // 16) * 1024
        times = self.shared.shape.chip.capacity["L0C"] // (size * len(self.marks.products))
        slots = min(times, self.room.depth) if self.room.depth > 1 else 0
        accumulator = self.cubes.accumulator(name, dtype, m, n, times > 1, slots)
        self.flags.append(accumulator.fresh)
        return accumulator

    def roles(self, product: ir.Contract) -> tuple[Axis, Axis, Axis, ir.Value, ir.Value]:
        """Return m, n, k, the left and the right matrix: m is the outer part of the result."""
        m, n, k, a, b = sides(self.frame, product)
        merge = self.frame.merge
        return merge(m), merge(n), merge(k), a, b

    def product(self, statement: ir.Contract) -> None:
        """Emit a product: into its variable, or by itself and on to where it is used."""
        marks = self.marks
        if statement.batch:
            label, dtype = self.shared.shape.labels[statement.result], statement.result.type.dtype
            self.batches.product(
                statement, label, self.block[1:],
                lambda m, n: self.new_accumulator(label, dtype, m, n),
            )  # fmt: skip
            return
        m, n, k, a, b = self.roles(statement)
        left, right = self.matrix(statement, a), self.matrix(statement, b)
        var = marks.accumulate.get(statement.result)
        shared = self.products > 1 and self.room.depth > 1
        if var is not None:
            self.cubes.multiply(left, right, k, self.accumulators[var], shared)
            return
        result = statement.result
        accumulator = self.new_accumulator(
            self.shared.shape.labels[result], result.type.dtype, m, n
        )
        self.cubes.begin(accumulator)
        self.cubes.multiply(left, right, k, accumulator, shared)
        self.deliver(result, accumulator)

    def matrix(self, product: ir.Contract, value: ir.Value) -> Matrix:
        """Return an operand of a product in L1."""
        if not self.unified or value not in self.marks.to_cube:
            if value not in self.matrices:
                with self.keeping(value):
                    self.matrices[value] = self.hand.receive_matrix(value)
            return self.matrices[value]
        rows, cols = matrix_axes(self.frame, product, value)
        if len(cols) > 1:
            raise self.frame.cannot(product.span, "a matrix whose rows have several ranges")
        return self.cubes.feed(self.tiles[value], self.frame.merge(rows), cols[0])

    def deliver(self, value: ir.Value, accumulator: Accumulator) -> None:
        """Write a finished product to where it is used."""
        direct = self.marks.direct.get(value)
        if direct is not None:
            statement = direct.store
            offset, strides = self.frame.address(statement.tensor, statement.index)
            if strides[accumulator.n] != ONE:
                raise self.frame.cannot(statement.span, "a product stored across its rows")
            target = npu.Global(statement.tensor, offset)
            self.cubes.store(accumulator, target, strides[accumulator.m], statement.tensor.dtype)
        elif value in self.marks.to_vector and self.unified:
            tile = self.frame.tile(
                self.shared.shape.labels[value], value.type.axes, value.type.dtype
            )
            self.cubes.drain(accumulator, tile)
            self.tiles[value] = tile
        elif value in self.marks.to_vector:
            self.hand.send_product(value, accumulator)

    # ---- the vectors' share ----------------------------------------------------------------------

    def vector(self, statement: ir.Stmt) -> None:
        """Emit what a vector core does for one statement."""
        frame, marks = self.frame, self.marks
        if isinstance(statement, ir.Contract | ir.Read):
            value = statement.result
            if value in marks.to_vector:
                if not self.unified:
                    with self.keeping(value):
                        self.tiles[value] = self.hand.receive_tile(value)
                    if value in marks.to_cube:
                        self.hand.send_tile(value, self.tiles[value])
                return
        if id(statement) in marks.skipped:
            return
        needed = [v for v in ir.results(statement) if v in marks.vector_values]
        if ir.results(statement) and not needed:
            return
        match statement:
            case ir.Load(result=value):
                if is_plain(statement) or self.by_rows(statement):
                    with self.keeping(value):
                        self.tiles[value] = load(frame, statement, statement.tensor.name)
                else:
                    self.tiles[value] = self.by_lanes(statement, statement.tensor.name)
            case ir.Positions(result=value, axis=axis):
                tile = self.tiles[value] = frame.tile(
                    self.shared.shape.labels[value], value.type.axes, DType.I32
                )
                first = frame.start(axis)
                self.vectors.emit(npu.Iota(tile.ref, first, frame.extent(tile.axes)))
            case ir.Compute(result=value):
                operands = [self.source(x) for x in statement.operands]
                tile = self.tiles[value] = self.destination(statement, value, operands)
                compute(self.vectors, statement, operands, tile)
            case ir.Reduce(result=value, operand=operand):
                tile = self.tiles[value] = self.destination(statement, value, [])
                reduce(frame, statement, self.tiles[operand], tile)
            case ir.Scan(result=value, operand=operand):
                tile = self.tiles[value] = self.destination(statement, value, [])
                scan(frame, statement, self.tiles[operand], tile)
            case ir.Sort(values=value, positions=at, operand=operand):
                for result in (value, at):
                    self.tiles[result] = self.destination(statement, result, [])
                sort(frame, statement, self.tiles[operand], self.tiles[value], self.tiles[at])
            case ir.Random(result=value, function=function):
                tile = self.tiles[value] = self.destination(statement, value, [])
                seed, offset = self.source(statement.seed), self.source(statement.offset)
                random(frame, seed, offset, function, tile)
            case ir.Rename(result=value, operand=operand):
                self.tiles[value] = rename(frame, statement, self.tiles[operand])
            case ir.Declare(var=var, value=initial):
                self.vars[var] = frame.tile(var.name, var.type.axes, var.type.dtype)
                self.assign(var, initial)
            case ir.Assign(var=var, value=new):
                self.assign(var, new)
            case ir.Read(result=value, var=var):
                self.tiles[value] = self.read(statement, value, var)
            case ir.Store():
                whole_bytes(frame, statement)
                self.store(statement)
            case ir.Print():
                with frame.block() as steps:
                    print_lines(self.lanes(), statement)
                values = [x for x in statement.operands if isinstance(x, ir.Value)]
                self.hand.once(steps, tuple(a for x in values for a in x.type.axes))
            case ir.Assert():
                claim(self.lanes(), statement)
            case _:
                what = type(statement).__name__.lower()
                raise frame.cannot(statement.span, f"`{what}`")
        for value in needed:
            if self.kept.get(value, 0) >= self.tiles[value].ref.buffer.slots:
                self.tiles[value] = self.copied(value)
            if value in marks.to_cube and not self.unified:
                self.hand.send_tile(value, self.tiles[value])

    def copied(self, value: ir.Value) -> Tile:
        """Return a copy of ``value`` that is kept for a later stage."""
        tile, slots = self.tiles[value], self.kept[value] + 1
        label = self.shared.shape.labels[value]
        copy = self.frame.tile(label, tile.axes, tile.dtype, slots=slots)
        self.vectors.copy(tile, copy)
        return copy

    def lanes(self) -> Lanes:
        """Return what evaluates indices lane by lane."""
        return Lanes(self.frame, self.shared.shape.defined, self.tiles, self.tell_apart)

    def tell_apart(self, index: ir.Index) -> None:
        """Let only programs run together for which ``index`` is inside at the same lanes."""
        names, shape = self.shared.uniform, self.shared.shape
        data = any(isinstance(part, Element) for part in walk(index.offset))
        axes = {axis for axis, _ in index.terms} | axes_of(index.offset)
        moved = any(a.kind == "span" and not isinstance(a.lo, Literal) for a in axes)
        if names is None or data or moved or index.gather is not None:
            self.shared.uniform = None
            return
        for axis in shape.grid:
            start = self.frame.whole(axis)[0]
            if axis in axes and isinstance(start, Local) and start.name not in names:
                names.append(start.name)

    def by_rows(self, statement: ir.Load) -> bool:
        """Whether a window can be copied row by row; if so, tell which programs differ."""
        order = self.frame.order(statement.result.type.axes)
        natural = tuple(axis for i in statement.index for axis, _ in i.terms)
        most = 1 if self.unified else MOST_APART
        if not is_window(statement, self.shared.shape.kernel.facts, most):
            return False
        if natural[-1:] != order[-1:] and (len(order) != 2 or apart(statement) > 1):
            return False
        if self.unified and may_shift(statement):
            return False
        self.tell_guards_apart(statement)
        return True

    def tell_guards_apart(self, statement: ir.Load) -> None:
        """Let only programs run together of whose windows the same part is inside."""
        for index, guard in zip(statement.index, statement.guards, strict=False):
            if guard:
                self.tell_apart(index)

    def by_lanes(self, statement: ir.Load, name: str) -> Tile:
        """Emit a load that is no plain copy."""
        return lanes.load(self.lanes(), statement, name)

    def store(self, statement: ir.Store) -> None:
        """Emit a store; where both vector cores have the same tile, one of them copies it."""
        axes = tuple(a for i in statement.index for a, _ in i.terms)
        with self.frame.block() as steps:
            if is_plain(statement):
                store(self.frame, statement, self.source(statement.value))
            else:
                order = self.frame.order(lanes.ranges_of(statement))
                tile = ready(self.frame, statement, self.source(statement.value), order)
                lanes.store(self.lanes(), statement, tile)
                axes = order
        self.split_store(steps, axes)

    def split_store(self, steps: list[npu.Step], axes: tuple[Axis, ...]) -> None:
        """Emit a store; its copy on one vector core where both have the same tile."""
        *before, copy = steps
        self.frame.steps += before
        self.hand.once([copy], axes)

    def source(self, operand: ir.Operand) -> Tile | Scalar:
        """Return what an operand is on this core."""
        return self.tiles[operand] if isinstance(operand, ir.Value) else self.frame.scalar(operand)

    def destination(
        self, statement: ir.Stmt, value: ir.Value, operands: list[Tile | Scalar]
    ) -> Tile:
        """Return where ``value`` goes: the place of an operand that dies here, or a new one."""
        frame = self.frame
        now = self.shared.shape.position[id(statement)]
        axes = frame.order(value.type.axes)
        if value in self.kept:
            label, slots = self.shared.shape.labels[value], self.kept[value] + 1
            return frame.tile(label, axes, value.type.dtype, slots=slots)
        names = [x for x in ir.operands(statement) if isinstance(x, ir.Value)]
        if isinstance(statement, ir.Compute) and statement.op.name in _IN_PLACE:
            for name, tile in zip(names, [t for t in operands if isinstance(t, Tile)], strict=True):
                dies = self.shared.shape.last_use.get(name) == now and self.is_free(name, value)
                same = tile.axes == axes and tile.dtype is value.type.dtype
                free = (self.room.thrift or not tile.ring) and name not in self.kept
                if dies and same and free and tile.dtype is not DType.BOOL:
                    return Tile(tile.ref, axes, tile.dtype, tile.padded, tile.ring)
        return frame.tile(self.shared.shape.labels[value], axes, value.type.dtype)

    def is_free(self, value: ir.Value, heir: ir.Value) -> bool:
        """Whether ``heir`` may take the place of ``value``, which dies with this statement.

        A variable's place is free where the next thing that happens to the variable is that it is
        assigned, and ``heir`` lives no longer than that.
        """
        var = next(
            (v for v, t in self.vars.items() if t.ref.buffer is self.tiles[value].ref.buffer), None
        )
        if var is None:
            return True
        position, last_use = self.shared.shape.position, self.shared.shape.last_use
        now = position[id(self.block[0])]
        for other, tile in self.tiles.items():
            if tile.ref.buffer is self.vars[var].ref.buffer and last_use.get(other, 0) > now:
                return False
        for s in self.block[1:]:
            if isinstance(s, ir.Assign) and s.var is var:
                return last_use[heir] <= position[id(s)]
            if any(
                isinstance(x, ir.Read | ir.Assign) and x.var is var for x in ir.statements((s,))
            ):
                return False
        return False

    def assign(self, var: ir.Var, value: ir.Operand) -> None:
        """Copy ``value`` to the variable's place, unless it was computed there."""
        tile = self.vars[var]
        source = self.source(value)
        if not isinstance(source, Tile):
            source = as_type(source, tile.dtype)
        if isinstance(source, Tile) and source.ref.buffer is tile.ref.buffer:
            tile.padded = source.padded
            return
        tile.padded = len(tile.axes) != 1 or not isinstance(source, Tile)
        self.vectors.copy(source, tile)

    def read(self, statement: ir.Read, value: ir.Value, var: ir.Var) -> Tile:
        """Return the variable's tile, or a copy where it changes while ``value`` is in use."""
        tile = self.vars[var]
        now, last = (
            self.shared.shape.position[id(statement)],
            self.shared.shape.last_use.get(value, 0),
        )
        changes = any(
            isinstance(s, ir.Assign)
            and s.var is var
            and now < self.shared.shape.position[id(s)] < last
            for s in ir.statements(self.shared.shape.body)
        )
        alias = Tile(tile.ref, tile.axes, tile.dtype, tile.padded)
        if not changes:
            return alias
        copy = self.frame.tile(var.name, tile.axes, tile.dtype)
        self.vectors.copy(alias, copy)
        return copy


# Ops that read each element before they write it, in one instruction.
_IN_PLACE = frozenset({"add", "sub", "mul", "div", "min", "max", "exp", "log", "sqrt", "abs"})


def _domain(axis: Axis) -> str:
    span = f"{show(axis.lo)} .. {show(axis.hi)}" if axis.lo != Literal(0) else show(axis.hi)
    return span if axis.tile is None else f"{span} by {show(axis.tile)}"
