"""What is decided before lowering: homes of vars, ways of products, values worth keeping."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tiledsl import ir
from tiledsl.gpu.layouts import layout_of, sides
from tiledsl.gpu.program import Layout, product
from tiledsl.ir import Value, Var
from tiledsl.scalar import Axis, Tensor
from tiledsl.types import DType

State = Var | Tensor

# Relative costs of computing one element, in additions.
_COSTS = {
    "div": 4, "floordiv": 6, "mod": 6, "sqrt": 5, "rsqrt": 6, "exp": 12, "exp2": 10, "expm1": 16,
    "log": 12, "log2": 12, "log1p": 16, "tanh": 16, "erf": 16, "sin": 16, "cos": 16, "pow": 24,
    "sigmoid": 16,
}  # fmt: skip
_LOAD, _RANDOM, _GATHER = 3, 40, 2
_CHEAP = 6  # what costs less is computed again
_LOOP = 8  # a loop is taken to run this often
_PASS = 2000  # a pass with its barrier, in additions


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions, and the facts about the kernel that they rest on.

    ``position`` numbers statements (by identity) in order; ``end`` is the last number inside a
    statement. ``last_use`` is the number of the last statement that reads a value itself, moved to
    the end of loops that the value crosses. ``keep`` are the values that are kept in a buffer when
    first needed, ``deny`` those for which there is no room. ``layouts`` has the products that
    accumulate in registers, ``homes`` the vars that live there.
    """

    threads: int
    defs: dict[Value, ir.Stmt]
    position: dict[int, int]
    end: dict[int, int]
    last_use: dict[Value, int]
    uses: dict[Value, int]
    keep: frozenset[Value]
    deny: frozenset[Value]
    layouts: dict[Value, Layout]
    homes: dict[Var, Layout]
    written: frozenset[Tensor]


def plan(
    kernel: ir.Kernel, limit: Callable[[Axis], int], deny: frozenset[Value], warps: int | None
) -> Plan:
    """Decide for ``kernel``; values of ``deny`` are not kept even where it would pay.

    ``warps`` is how many a block has, where a schedule says so.
    """
    walk = _Walk()
    walk.block(kernel.body, ())
    contracts = [s for s in walk.defs.values() if isinstance(s, ir.Contract)]
    threads = 32 * warps if warps else _threads(contracts, limit)
    layouts = {c.result: layout_of(c, limit, threads) for c in contracts}
    plain = {value: layout for value, layout in layouts.items() if layout is not None}
    homes = {}
    for statement in ir.statements(kernel.body):
        match statement:
            case ir.Declare(var=var) if var.type.axes:
                found = _home(var, walk, plain)
                if found is not None:
                    homes[var] = found
            case _:
                pass
    return Plan(
        threads=threads,
        defs=walk.defs,
        position=walk.position,
        end=walk.end,
        last_use=walk.last_use,
        uses={value: len(found) for value, found in walk.uses.items()},
        keep=_worth_keeping(walk, limit, plain) - deny,
        deny=deny,
        layouts=plain,
        homes=homes,
        written=frozenset(s.tensor for s in ir.statements(kernel.body) if isinstance(s, ir.Store)),
    )


@dataclass(slots=True)
class _Walk:
    defs: dict[Value, ir.Stmt] = field(default_factory=dict)
    position: dict[int, int] = field(default_factory=dict)
    end: dict[int, int] = field(default_factory=dict)
    loops: dict[int, tuple[ir.For, ...]] = field(default_factory=dict)
    last_use: dict[Value, int] = field(default_factory=dict)
    uses: dict[Value, list[ir.Stmt]] = field(default_factory=dict)
    assigned: dict[Var, list[ir.Assign]] = field(default_factory=dict)

    def block(self, body: tuple[ir.Stmt, ...], loops: tuple[ir.For, ...]) -> None:
        for statement in body:
            self.position[id(statement)] = len(self.position)
            self.loops[id(statement)] = loops
            for value in ir.results(statement):
                self.defs[value] = statement
                self.uses.setdefault(value, [])
            for operand in set(ir.operands(statement)):
                if isinstance(operand, Value):
                    self.uses[operand].append(statement)
            match statement:
                case ir.For(body=inner):
                    self.block(inner, (*loops, statement))
                case ir.If(then=then, orelse=orelse):
                    self.block(then, loops)
                    self.block(orelse, loops)
                case ir.Assign(var=var):
                    self.assigned.setdefault(var, []).append(statement)
                case _:
                    pass
            self.end[id(statement)] = len(self.position) - 1
        if not loops:
            for value, found in self.uses.items():
                self.last_use[value] = max((self._use(value, s) for s in found), default=-1)

    def _use(self, value: Value, statement: ir.Stmt) -> int:
        known = self.loops[id(self.defs[value])]
        crossed = self.loops[id(statement)][len(known) :]
        return self.end[id(crossed[0])] if crossed else self.position[id(statement)]


def _threads(contracts: list[ir.Contract], limit: Callable[[Axis], int]) -> int:
    products = [c for c in contracts if sides(c) is not None]
    areas = [product(tuple(map(limit, c.result.type.axes))) for c in products]
    return 128 if areas and max(areas) <= 64 * 64 else 256


def _home(var: Var, walk: _Walk, layouts: dict[Value, Layout]) -> Layout | None:
    """Return the layout of the first product that is assigned to ``var``, element by element."""
    axes = set(var.type.axes)

    def find(operand: ir.Operand) -> Layout | None:
        if not isinstance(operand, Value) or set(operand.type.axes) != axes:
            return None
        if operand in layouts:
            return layouts[operand]
        match walk.defs[operand]:
            case ir.Compute(operands=operands):
                return next((f for f in map(find, operands) if f is not None), None)
            case _:
                return None

    for statement in walk.assigned.get(var, []):
        found = find(statement.value)
        if found is not None:
            return found
    return None


def _worth_keeping(
    walk: _Walk, limit: Callable[[Axis], int], layouts: dict[Value, Layout]
) -> frozenset[Value]:
    """Return the values that cost less kept in shared memory than computed for each use."""
    keep: set[Value] = set()
    costs: dict[Value, float] = {}
    sinks: dict[Value, list[tuple[float, ir.Stmt]]] = {}

    def elements(axes: tuple[Axis, ...]) -> float:
        return float(product(tuple(map(limit, axes))))

    for value, statement in walk.defs.items():
        costs[value] = _cost(statement, costs)
    for value, statement in reversed(walk.defs.items()):
        found: list[tuple[float, ir.Stmt]] = []
        for use in walk.uses[value]:
            match use:
                case (
                    ir.Compute(result=result)
                    | ir.Rename(result=result)
                    | ir.Load(result=result)
                    | ir.Random(result=result)
                ):
                    if result in keep:
                        found.append((elements(result.type.axes), use))
                    else:
                        found += sinks[result]
                case ir.Store() | ir.Assign() | ir.Declare():
                    found.append((elements(_axes_of(use)), use))
                case _:
                    found.append((elements(_axes_of(use)), use))
        sinks[value] = found
        lazy = isinstance(statement, ir.Compute | ir.Load | ir.Random)
        if not lazy or not value.type.axes or costs[value] < _CHEAP:
            continue
        own = elements(value.type.axes)
        depth = len(walk.loops[id(statement)])
        computed = read = 0.0
        for count, use in found:
            often = float(_LOOP ** max(0, len(walk.loops[id(use)]) - depth))
            # A value of fewer ranges than the pass is computed once a row.
            count = count if count <= own else max(own, count / 4)
            computed += often * count * costs[value]
            read += often * count
        kept = own * (costs[value] + 2) + read + _PASS
        if len(found) + depth > 0 and computed > 1.4 * kept:
            keep.add(value)
    # What costs little, now that the tiles that it is made of are kept, need not be.
    for value, statement in walk.defs.items():
        costs[value] = _cost(statement, costs)
        if value in keep:
            keep -= {value} if costs[value] < _CHEAP else set()
            costs[value] = 1 if value in keep else costs[value]
    return frozenset(keep)


def _cost(statement: ir.Stmt, costs: dict[Value, float]) -> float:
    below = sum(costs[o] for o in set(ir.operands(statement)) if isinstance(o, Value))
    match statement:
        case ir.Compute(op=op, result=result):
            if op.name == "cast":  # mostly of a narrow float, which a register holds as f32
                return below
            if result.type.dtype is DType.BOOL or op.name not in _COSTS:
                return below + 1
            return below + _COSTS[op.name]
        case ir.Load(index=index):
            return below + _LOAD + sum(_GATHER for i in index if i.gather is not None)
        case ir.Random():
            return below + _RANDOM
        case ir.Rename():
            return below
        case ir.Positions():
            return 0
        case _:  # in a buffer or in registers already
            return 1


def _axes_of(statement: ir.Stmt) -> tuple[Axis, ...]:
    """Return the ranges over which a statement runs."""
    match statement:
        case ir.Store(index=index):
            axes = list(store_axes(statement.value, index))
        case ir.Assign(var=var) | ir.Declare(var=var):
            axes = list(var.type.axes)
        case _:
            axes = []
            for operand in ir.operands(statement):
                if isinstance(operand, Value):
                    axes += [x for x in operand.type.axes if x not in axes]
    return tuple(axes)


def store_axes(value: ir.Operand, index: tuple[ir.Index, ...]) -> tuple[Axis, ...]:
    """Return the ranges of the lanes of a store."""
    axes: list[Axis] = []
    for position in index:
        axes += [a for a, _ in position.terms if a not in axes]
        if position.gather is not None:
            axes += [a for a in position.gather.type.axes if a not in axes]
    if isinstance(value, Value):
        axes += [a for a in value.type.axes if a not in axes]
    return tuple(axes)
