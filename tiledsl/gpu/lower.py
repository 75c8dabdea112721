"""From the tile IR to the GPU program: a thread block does one program of the grid at a time."""

from collections.abc import Mapping
from functools import partial

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.diagnostics import CompileError
from tiledsl.gpu.debugging import debug
from tiledsl.gpu.errors import OverShared
from tiledsl.gpu.folds import fold, fold_product, rank, scan
from tiledsl.gpu.frame import Frame, Tile, modified
from tiledsl.gpu.group import Pending
from tiledsl.gpu.lanes import Lanes
from tiledsl.gpu.place import place, synchronise
from tiledsl.gpu.plan import plan
from tiledsl.gpu.program import (
    TARGETS,
    Accumulators,
    Branch,
    Buffer,
    Fragment,
    GridRange,
    Keep,
    Let,
    Loop,
    Map,
    Program,
    Set,
    Target,
    TensorParam,
    Update,
    Variable,
)
from tiledsl.gpu.values import accumulate, keep, prepare, prepare_product, registers
from tiledsl.ir import Value
from tiledsl.scalar import Axis, Local, Scalar, Tensor
from tiledsl.schedule import Plan as Schedule
from tiledsl.schedule import largest_fitting, limit_of, tile_of
from tiledsl.types import DType

NO_SCHEDULE = Schedule()


def lower(
    kernel: ir.Kernel, tiles: Mapping[str, int], target: str, schedule: Schedule = NO_SCHEDULE
) -> Program:
    """Return the program of ``kernel`` for ``target``; ``tiles`` gives every tile size."""
    program = smallest(kernel, tiles, target, schedule)
    if program.shared_bytes > program.target.shared_bytes:
        fits = partial(_fits, kernel, target, schedule)
        raise CompileError([_too_large(program, largest_fitting(tiles, fits))])
    return program


def _fits(kernel: ir.Kernel, target: str, schedule: Schedule, tiles: dict[str, int]) -> bool:
    program = smallest(kernel, tiles, target, schedule)
    return program.shared_bytes <= program.target.shared_bytes


def smallest(
    kernel: ir.Kernel, tiles: Mapping[str, int], target: str, schedule: Schedule = NO_SCHEDULE
) -> Program:
    """Return the program, which may want more shared memory than there is.

    Buffers that only save work are given up, largest first, while it does.
    """
    goal = TARGETS[target]
    deny: frozenset[Value] = frozenset()
    while True:
        program, optional = _Lowering(kernel, tiles, goal, deny, schedule).run()
        if program.shared_bytes <= goal.shared_bytes or not optional:
            return program
        deny |= {max(optional, key=lambda value: optional[value].bytes)}


def _swizzle(numbered: tuple[Axis, ...], schedule: Schedule) -> int:
    """Return how many tiles of the last grid range but one go through all of the last together."""
    if schedule.swizzle is None:
        return 1
    names, by = schedule.swizzle
    return by if names == tuple(a.name for a in numbered[-2:]) else 1


def _too_large(program: Program, fitting: tuple[tuple[str, int], ...]) -> OverShared:
    rows = sorted(program.buffers, key=lambda b: -b.bytes)
    table = tuple((b.name, f"{b.dtype}{list(b.shape)}", b.bytes) for b in rows if b.bytes)
    return OverShared(
        rows[0].span, program.target.name, program.target.shared_bytes, program.shared_bytes,
        table, program.tiles, fitting,
    )  # fmt: skip


class _Lowering:
    def __init__(
        self, kernel: ir.Kernel, tiles: Mapping[str, int], target: Target, deny: frozenset[Value],
        schedule: Schedule,
    ) -> None:  # fmt: skip
        def limit(axis: Axis) -> int:
            return max(1, limit_of(axis, tiles) or 1)

        self.kernel, self.schedule = kernel, schedule
        self.frame = Frame(kernel, tiles, target, plan(kernel, limit, deny, schedule.warps))
        self.pending = Pending(self.frame)

    def run(self) -> tuple[Program, dict[Value, Buffer]]:
        """Return the program, and the buffers that it could do without."""
        frame, kernel = self.frame, self.kernel
        self._reject_types()
        tensors = tuple(self._tensor(t) for t in kernel.tensors)
        tables = tuple(self._tensor(t) for t in kernel.tables)
        dims = tuple((d, frame.name(("dim", d), d)) for d in kernel.dims)
        scalars = tuple((p, frame.name(("param", p.name), p.name)) for p in kernel.scalars)
        grid = tuple(self._grid(axis) for axis in kernel.grid)
        walked = max((_decided_by(a, kernel.grid) for a in kernel.grid), default=0)
        with frame.block() as body:
            self._block(kernel.body)
            self.pending.flush(len(frame.plan.position))
        shared = place(tuple(body), tuple(frame.buffers))
        program = Program(
            name=kernel.name,
            target=frame.target,
            threads=frame.plan.threads,
            tensors=tensors,
            tables=tables,
            dims=dims,
            scalars=scalars,
            facts=tuple((f, frame.resolve(f.condition)) for f in kernel.facts if _at_launch(f)),
            grid=grid,
            walked=walked,
            swizzle=_swizzle(kernel.grid[walked:], self.schedule),
            host_counts=walked == 0 and not any(map(_reads_tensor, kernel.grid)),
            body=synchronise(tuple(body)),
            buffers=tuple(b for b in frame.buffers if b.offset >= 0),
            shared_bytes=shared,
            tiles=tuple((name, frame.sizes[name]) for name in kernel.tile_sizes),
            doc=kernel.doc,
            span=kernel.span,
        )
        optional = {v: t.buffer for v, t in frame.kept.items() if t.buffer.optional}
        return program, optional

    def _reject_types(self) -> None:
        for tensor in self.kernel.tables:
            if tensor.dtype.bits < 8:
                span = tensor.span or self.kernel.span
                self.frame.fail(span, f"a table of `{tensor.dtype}`", "use i8 or u8")
        for s in ir.statements(self.kernel.body):
            if isinstance(s, ir.Store) and s.atomic and s.tensor.dtype.bits < 8:
                self.frame.fail(s.span, f"an `atomic` store of {s.tensor.dtype}")

    def _tensor(self, tensor: Tensor) -> TensorParam:
        read = any(
            isinstance(s, ir.Load) and s.tensor is tensor for s in ir.statements(self.kernel.body)
        )
        shape = tuple(map(self.frame.resolve, tensor.shape))
        name = self.frame.name(tensor, tensor.name)
        return TensorParam(name, tensor, shape, tensor in self.frame.plan.written, read)

    # ---- the grid

    def _grid(self, axis: Axis) -> GridRange:
        frame = self.frame
        start = frame.name((axis, "start"), axis.name if axis.is_scalar else f"{axis.name}0")
        size = "" if axis.is_scalar else frame.name((axis, "size"), f"{axis.name}_len")
        names = [frame.name((axis, what), f"{axis.name}_{what}") for what in ("lo", "hi", "tiles")]
        frame.enter(axis, Local(start), Local(size) if size else sc.ONE)
        lo, hi = frame.resolve(axis.lo), frame.resolve(axis.hi)
        tile = tile_of(axis, frame.sizes) or 1
        return GridRange(axis, lo, hi, tile, names[0], names[1], names[2], start, size)

    # ---- statements

    def _block(self, body: tuple[ir.Stmt, ...]) -> None:
        for statement in body:
            for axis in _axes_named(statement):
                self.frame.need(axis, statement.span)
            self._statement(statement)

    def _statement(self, statement: ir.Stmt) -> None:
        frame, here = self.frame, self.frame.plan.position[id(statement)]
        match statement:
            case ir.Read(result=result, var=var):
                self.pending.before_read(var, here)
                self._value(result, statement)
            case ir.Load(result=result, tensor=tensor):
                self.pending.before_read(tensor, here)
                self._value(result, statement)
            case (
                ir.Compute(result=result)
                | ir.Positions(result=result)
                | ir.Rename(result=result)
                | ir.Random(result=result)
            ):
                self._value(result, statement)
            case ir.Contract(result=result):
                if result in frame.plan.layouts:
                    frame.scope.seen.append(result)
                elif frame.plan.uses[result]:
                    fold_product(frame, statement)
            case ir.Reduce(result=result):
                if frame.plan.uses[result]:
                    fold(frame, statement)
            case ir.Scan(result=result):
                if frame.plan.uses[result]:
                    scan(frame, statement)
            case ir.Sort(values=values, positions=positions):
                if frame.plan.uses[values] or frame.plan.uses[positions]:
                    rank(frame, statement)
            case ir.Store():
                self.pending.add(statement)
            case ir.Declare():
                self._declare(statement)
            case ir.Assign():
                self._assign(statement, here)
            case ir.For():
                self._for(statement, here)
            case ir.If():
                self._if(statement, here)
            case ir.Print() | ir.Assert():
                self.pending.flush(here)
                debug(frame, statement)

    def _value(self, value: Value, statement: ir.Stmt) -> None:
        """Put off what has ranges; compute what has none at once, in every thread."""
        frame = self.frame
        if value.type.axes:
            frame.scope.seen.append(value)
            return
        if not frame.plan.uses[value]:
            return
        if isinstance(statement, ir.Read):
            var = statement.var
            local = Local(frame.var_names[var], var.type.dtype)
            name = frame.name((value, 0, 0), value.name)
            frame.out.append(Let(statement.span, Set(name, value.type.dtype, local)))
            frame.scope.uniform[value] = Local(name, value.type.dtype)
            return
        lanes = Lanes(frame)
        held = lanes.operand(value, {})
        frame.out += [Let(statement.span, step) for step in lanes.steps]
        frame.scope.uniform[value] = held

    def _declare(self, statement: ir.Declare) -> None:
        frame, var = self.frame, statement.var
        if not var.type.axes:
            name = frame.name(var, var.name)
            frame.var_names[var] = name
            start = self._uniform(statement.value)
            frame.out.append(Variable(statement.span, name, var.type.dtype, start))
            return
        if var in frame.plan.homes:
            layout = frame.plan.homes[var]
            fragment = Fragment(frame.name(var, var.name), var.type.dtype, layout)
            frame.var_fragments[var] = fragment
            frame.out.append(Accumulators(statement.span, fragment))
            if _is_zero(statement.value):
                return
        else:
            shape = tuple(map(frame.limit, var.type.axes))
            note = f"var {var.name}: {var.type}"
            buffer = frame.buffer(var.name, var.type.dtype, shape, note, statement.span)
            frame.var_tiles[var] = Tile(buffer, var.type.axes)
        self.pending.add(statement)

    def _assign(self, statement: ir.Assign, here: int) -> None:
        frame, var = self.frame, statement.var
        if not var.type.axes:
            name = frame.var_names[var]
            frame.out.append(Update(statement.span, name, self._uniform(statement.value)))
            return
        split = self._accumulation(statement)
        if split is None:
            self.pending.add(statement)
            return
        rest, contract = split
        fragment = frame.var_fragments[var]
        self.pending.before_read(var, here)
        self.pending.before_write(frozenset([var]), here + 1)
        if rest is not None:
            prepare(frame, rest, fragment.layout)
        prepare_product(frame, contract)
        if rest is not None:
            lanes = Lanes(frame, fragment.layout)
            env = {axis: frame.coordinate(axis) for axis in var.type.axes}
            held = lanes.operand(rest, env)
            domain = registers(frame, fragment.layout)
            effect = Keep(fragment, held)
            frame.out.append(Map(statement.span, domain, tuple(lanes.steps), (effect,)))
        accumulate(frame, contract, fragment)

    def _accumulation(self, statement: ir.Assign) -> tuple[Value | None, ir.Contract] | None:
        """Split ``acc = rest + a @ b``; ``rest`` is None where it is ``acc`` itself."""
        frame, defs = self.frame, self.frame.plan.defs
        fragment = frame.var_fragments.get(statement.var)
        if fragment is None or not isinstance(statement.value, Value):
            return None
        total = defs[statement.value]
        if not isinstance(total, ir.Compute) or total.op.name != "add":
            return None
        once = frame.plan.uses[statement.value] == 1
        for product, rest in (total.operands, total.operands[::-1]):
            if not isinstance(product, Value) or not isinstance(rest, Value) or not once:
                continue
            contract = defs[product]
            if (
                isinstance(contract, ir.Contract)
                and frame.plan.layouts.get(product) == fragment.layout
                and frame.plan.uses[product] == 1
                and product not in frame.scope.fragments
                and product not in frame.scope.tiles
            ):
                own = defs[rest]
                same = isinstance(own, ir.Read) and own.var is statement.var
                return (None if same else rest), contract
        return None

    def _uniform(self, operand: ir.Operand) -> Scalar:
        return Lanes(self.frame).operand(operand, {})

    def _for(self, statement: ir.For, here: int) -> None:
        frame, axis = self.frame, statement.axis
        self._before_block(statement.body, here)
        for part in (*sc.walk(axis.lo), *sc.walk(axis.hi)):
            match part:
                case sc.Position(axis=other) | sc.Start(axis=other) | sc.End(axis=other):
                    frame.need(other, statement.span)
                case _:
                    pass
        lo = self._bound(axis, "lo", frame.resolve(axis.lo), statement)
        hi = self._bound(axis, "hi", frame.resolve(axis.hi), statement)
        tile = tile_of(axis, frame.sizes) or 1
        name = frame.name((axis, "start"), axis.name if axis.is_scalar else f"{axis.name}0")
        with frame.block() as body:
            if axis.is_scalar:
                frame.enter(axis, Local(name), sc.ONE)
            else:
                size = frame.name((axis, "size"), f"{axis.name}_len")
                left = sc.minimum(sc.integer(tile), sc.sub(hi, Local(name)))
                body.append(Let(statement.span, Set(size, DType.I32, left)))
                frame.enter(axis, Local(name), Local(size))
            self._block(statement.body)
            self.pending.flush(frame.plan.end[id(statement)] + 1)
        unroll = self.schedule.unrolls.get(axis.name)
        frame.out.append(Loop(statement.span, name, lo, hi, tile, tuple(body), axis, unroll))

    def _bound(self, axis: Axis, what: str, value: Scalar, statement: ir.For) -> Scalar:
        """Name a bound, so that it is computed once."""
        if isinstance(value, sc.Literal | Local):
            return value
        name = self.frame.name((axis, what), f"{axis.name}_{what}")
        self.frame.out.append(Let(statement.span, Set(name, DType.I32, value)))
        return Local(name)

    def _if(self, statement: ir.If, here: int) -> None:
        frame = self.frame
        self._before_block((statement,), here)
        condition = self._uniform(statement.condition)
        branches = []
        for side in (statement.then, statement.orelse):
            with frame.block() as body:
                self._block(side)
                self.pending.flush(frame.plan.end[id(statement)] + 1)
            branches.append(tuple(body))
        frame.out.append(Branch(statement.span, condition, branches[0], branches[1]))

    def _before_block(self, body: tuple[ir.Stmt, ...], here: int) -> None:
        """Do what is put off; keep what the block needs of state that it changes."""
        frame = self.frame
        self.pending.flush(here)
        self.pending.before_write(modified(body), here)
        for value in list(frame.scope.seen):
            if value in frame.plan.keep and frame.plan.last_use[value] >= here:
                prepare(frame, value, None)
                if value not in frame.scope.tiles and value not in frame.scope.fragments:
                    keep(frame, value)


def _axes_named(statement: ir.Stmt) -> list[Axis]:
    """Return the ranges that a statement itself names."""
    axes: list[Axis] = []
    for value in (*ir.results(statement), *ir.operands(statement)):
        if isinstance(value, Value):
            axes += value.type.axes
        else:
            axes += _axes_of_scalar(value)
    match statement:
        case ir.Reduce(axes=more) | ir.Contract(axes=more):
            axes += more
        case ir.Scan(axis=axis) | ir.Positions(axis=axis):
            axes.append(axis)
        case ir.Sort(axis=axis, into=into):
            axes += [axis] if into is None else [axis, into]
        case ir.Rename(old=old, new=new):
            axes += [old, new]
        case ir.Load(index=index) | ir.Store(index=index):
            axes += [axis for part in index for axis, _ in part.terms]
        case ir.Declare(var=var) | ir.Assign(var=var):
            axes += var.type.axes
        case _:
            pass
    return [a for a in dict.fromkeys(axes) if a.kind == "span"]


def _axes_of_scalar(scalar: Scalar) -> list[Axis]:
    found = []
    for part in sc.walk(scalar):
        match part:
            case sc.Position(axis=axis) | sc.Start(axis=axis) | sc.End(axis=axis):
                found.append(axis)
            case _:
                pass
    return found


def _decided_by(axis: Axis, grid: tuple[Axis, ...]) -> int:
    """Return how many of the first grid ranges the domain of ``axis`` needs."""
    named = [*_axes_of_scalar(axis.lo), *_axes_of_scalar(axis.hi)]
    return max((grid.index(a) + 1 for a in named if a in grid), default=0)


def _reads_tensor(axis: Axis) -> bool:
    return any(isinstance(p, sc.Element) for p in (*sc.walk(axis.lo), *sc.walk(axis.hi)))


def _at_launch(fact: ir.Fact) -> bool:
    """Whether the launcher can check ``fact``: it has numbers, not arrays."""
    return not any(isinstance(p, sc.Element) for p in sc.walk(fact.condition))


def _is_zero(operand: ir.Operand) -> bool:
    return isinstance(operand, sc.Literal) and operand.value == 0
