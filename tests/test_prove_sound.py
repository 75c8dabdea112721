"""The prover against brute force: what it claims of a random kernel holds for all small sizes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.check.bounds import show_index
from tiledsl.check.prove import prove, uncovered
from tiledsl.ops import OPS
from tiledsl.scalar import Axis, Dim, ParamValue, Tensor, TileSize
from tiledsl.source import NOWHERE, Source, Span
from tiledsl.types import DType

A, B, TILE, P = Dim("A"), Dim("B"), TileSize("BT"), ParamValue("p", DType.I32)
BINARY = ("add", "add", "sub", "mul", "floordiv", "mod", "min", "max")
COMPARE = ("lt", "le", "gt", "ge", "eq", "ne")


# ---- random kernels -----------------------------------------------------------------------------


def scalars(leaves: list[sc.Scalar], depth: int) -> st.SearchStrategy[sc.Scalar]:
    leaf = st.one_of(st.sampled_from(leaves), st.integers(-2, 5).map(sc.integer))
    if depth == 0:
        return leaf
    inner = scalars(leaves, depth - 1)
    made = st.builds(lambda op, a, b: sc.apply(op, a, b), st.sampled_from(BINARY), inner, inner)
    return st.one_of(leaf, made)


def conditions(leaves: list[sc.Scalar]) -> st.SearchStrategy[sc.Scalar]:
    side = scalars(leaves, 1)
    one = st.builds(lambda op, a, b: sc.apply(op, a, b), st.sampled_from(COMPARE), side, side)
    join = st.builds(lambda op, a, b: sc.apply(op, a, b), st.sampled_from(("and", "or")), one, one)
    return st.one_of(one, one, join, one.map(lambda c: sc.apply("not", c)))


@st.composite
def kernels(draw: st.DrawFn) -> ir.Kernel:
    base: list[sc.Scalar] = [A, B, P]
    facts = draw(st.lists(conditions(base), max_size=2))
    if draw(st.booleans()):
        divisor = B if draw(st.booleans()) else sc.integer(2)
        facts.append(sc.apply("eq", sc.apply("mod", A, divisor), sc.ZERO))
    if draw(st.booleans()):
        facts.append(sc.apply("eq", B, draw(scalars([A, P], 1))))
    leaves = list(base)
    grid = [draw(axes(f"g{n}", "grid", leaves)) for n in range(draw(st.integers(0, 2)))]
    loops = [draw(axes("f", "for", leaves))] if draw(st.booleans()) else []
    spans = [draw(axes("s", "span", leaves))] if draw(st.booleans()) else []
    tiled = [a for a in (*grid, *loops, *spans) if not a.is_scalar]
    ids = Tensor("ids", DType.I32, (A,))
    y = Tensor("y", DType.F32, tuple(draw(st.lists(scalars([A, B], 1), min_size=1, max_size=2))),
               "out")  # fmt: skip
    body: list[ir.Stmt] = []
    places = st.tuples(*(indices(tiled, leaves, ids, body) for _ in y.shape))
    if draw(st.booleans()):
        y.role = "inout"
        index = draw(places)
        lanes = dict.fromkeys(a for i in index for a in axes_of(i))
        read = ir.Value("old", ir.TileType(DType.F32, tuple(lanes)))
        body.append(ir.Load(span("y0"), read, y, index, sc.ZERO))
    body.append(ir.Store(span("y"), y, draw(places), sc.ZERO, skip=True))
    if draw(st.integers(0, 3)) == 0:
        body = [ir.If(NOWHERE, draw(conditions(leaves)), tuple(body), ())]
    for axis in loops:
        body = [ir.For(NOWHERE, axis, tuple(body))]
    known = tuple(ir.Fact(f, "") for f in facts)
    param = ir.ScalarParam("p", DType.I32, None)
    inputs = (ids, param) if y.role == "out" else (ids, param, y)
    outputs = (y,) if y.role == "out" else ()
    return ir.Kernel("k", ir.Binding(), inputs, outputs, (), ("A", "B"), known, tuple(grid),
                     tuple(body), ("BT",))  # fmt: skip


@st.composite
def indices(
    draw: st.DrawFn, tiled: list[Axis], leaves: list[sc.Scalar], ids: Tensor, body: list[ir.Stmt]
) -> ir.Index:
    offset = draw(scalars(leaves, 2))
    strides: st.SearchStrategy[sc.Scalar]
    strides = st.sampled_from([sc.ONE, sc.ONE, sc.integer(2), A, B])
    terms = tuple((axis, draw(strides)) for axis in tiled if draw(st.booleans()))
    gather = draw(gathers(tiled, leaves, ids, body)) if draw(st.booleans()) else None
    return ir.Index(terms, offset, gather)


def axes_of(index: ir.Index) -> tuple[Axis, ...]:
    gathered = index.gather.type.axes if index.gather is not None else ()
    return (*(a for a, _ in index.terms), *gathered)


@st.composite
def axes(draw: st.DrawFn, name: str, kind: str, leaves: list[sc.Scalar]) -> Axis:
    lo: sc.Scalar = sc.ZERO
    hi = draw(scalars(leaves, 1))
    if draw(st.integers(0, 2)) == 0:
        lo, hi = draw(scalars(leaves, 1)), draw(scalars(leaves, 1))
    tile = draw(st.sampled_from([None, None, TILE, sc.integer(2)]))
    if kind == "span":
        return Axis(name, "span", lo, hi)
    axis = Axis(name, "grid" if kind == "grid" else "for", lo, hi, tile)
    leaves += [sc.Position(axis)] if tile is None else [sc.Start(axis), sc.End(axis)]
    return axis


@st.composite
def gathers(
    draw: st.DrawFn, tiled: list[Axis], leaves: list[sc.Scalar], ids: Tensor, body: list[ir.Stmt]
) -> ir.Value:
    values: list[ir.Operand] = []
    for axis in tiled:
        place = ir.Value("pos", ir.TileType(DType.I32, (axis,)))
        body.append(ir.Positions(NOWHERE, place, axis))
        values.append(place)
        if draw(st.booleans()):
            read = ir.Value("id", ir.TileType(DType.I32, (axis,)))
            at = ir.Index(((axis, sc.ONE),), sc.ZERO)
            body.append(ir.Load(NOWHERE, read, ids, (at,), sc.integer(3)))
            values.append(read)
    values += draw(st.lists(scalars(leaves, 1), min_size=1, max_size=2))
    for _ in range(draw(st.integers(1, 3))):
        names = ["add", "sub", "mul", "floordiv", "mod", "min", "max", "bitand", "shr", "where"]
        op = draw(st.sampled_from(names))
        operands = [draw(st.sampled_from(values)) for _ in range(2)]
        if op == "shr":
            operands[1] = sc.integer(draw(st.integers(0, 2)))
        if op == "where":
            test = made("test", "lt", [draw(st.sampled_from(values)) for _ in range(2)], body)
            operands.insert(0, test)
        values.append(made("v", op, operands, body))
    last = values[-1]
    assert isinstance(last, ir.Value)
    return last


def made(name: str, op: str, operands: list[ir.Operand], body: list[ir.Stmt]) -> ir.Value:
    axes = dict.fromkeys(a for o in operands if isinstance(o, ir.Value) for a in o.type.axes)
    dtype = DType.BOOL if op in COMPARE else DType.I32
    value = ir.Value(name, ir.TileType(dtype, tuple(axes)))
    body.append(ir.Compute(NOWHERE, value, OPS[op], tuple(operands)))
    return value


def describe(kernel: ir.Kernel) -> str:
    lines = [f"where {sc.show(f.condition)}" for f in kernel.facts]
    axes = list(kernel.grid)
    for s in ir.statements(kernel.body):
        match s:
            case ir.For(axis=axis):
                axes.append(axis)
            case ir.If(condition=sc.Apply() as condition):
                lines.append(f"if {sc.show(condition)}")
            case ir.Compute(result=result, op=op, operands=operands):
                names = [f"{o}@{id(o)}" for o in operands]
                lines.append(f"{result}@{id(result)} = {op.name}({', '.join(names)})")
            case ir.Load(result=result, tensor=tensor, index=index) if tensor.name == "y":
                lines.append(f"{result} = y[{', '.join(map(show_index, index))}]")
                axes += [a for i in index for a in axes_of(i)]
            case ir.Positions(result=result) | ir.Load(result=result):
                lines.append(f"{result}@{id(result)}: {result.type}")
            case ir.Store(tensor=tensor, index=index):
                sizes = ", ".join(map(sc.show, tensor.shape))
                lines.append(f"y[{', '.join(map(show_index, index))}] of {sizes}")
                axes += [a for i in index for a in axes_of(i)]
            case _:
                pass
    for axis in dict.fromkeys(axes):
        tile = sc.show(axis.tile) if axis.tile is not None else "-"
        lines.append(f"{axis.kind} {axis} in {sc.show(axis.lo)} .. {sc.show(axis.hi)} by {tile}")
    return "\n".join(lines)


def span(text: str) -> Span:
    return Span(Source("k.tile", f"{text}[0] = 0"), 0, len(text) + 3)


# ---- brute force --------------------------------------------------------------------------------


class RefusedError(Exception):
    """The launch divides by zero in a fact."""


@dataclass
class Run:
    names: dict[str, int]
    junk: int
    ids: tuple[int, ...]
    places: dict[Axis, tuple[int, int, int]] = field(default_factory=dict)
    values: dict[ir.Value, ir.Stmt] = field(default_factory=dict)

    def scalar(self, s: sc.Scalar) -> int:
        match s:
            case sc.Literal(value=value):
                return int(value)
            case sc.Dim(name=name) | sc.ParamValue(name=name) | sc.TileSize(name=name):
                return self.names[name]
            case sc.Position(axis=axis):
                return self.places[axis][0]
            case sc.Start(axis=axis):
                return self.places[axis][1]
            case sc.End(axis=axis):
                return self.places[axis][2]
            case sc.Apply(op=op, args=args):
                return self.apply(op, [self.scalar(a) for a in args])
            case _:
                raise AssertionError(s)

    def operand(self, operand: ir.Operand) -> int:
        if not isinstance(operand, ir.Value):
            return self.scalar(operand)
        match self.values[operand]:
            case ir.Positions(axis=axis):
                return self.places[axis][0]
            case ir.Load(index=(index,), default=default):
                at = self.index(index)
                assert default is not None
                inside = 0 <= at < self.names["A"]
                return self.ids[at % len(self.ids)] if inside else self.operand(default)
            case ir.Compute(op=op, operands=operands):
                return self.apply(op.name, [self.operand(o) for o in operands])
            case other:
                raise AssertionError(other)

    def apply(self, op: str, v: list[int]) -> int:
        match op:
            case "where":
                return v[1] if v[0] else v[2]
            case "floordiv" | "mod" if v[1] == 0:
                if self.junk == 0:
                    raise RefusedError
                return self.junk
            case "and":
                return int(v[0] and v[1])
            case "or":
                return int(v[0] or v[1])
            case "not":
                return int(not v[0])
            case _:
                folded = sc.apply(op, *(sc.integer(x) for x in v))
                assert isinstance(folded, sc.Literal)
                return int(folded.value)

    def index(self, index: ir.Index) -> int:
        total = self.scalar(index.offset)
        for axis, mult in index.terms:
            total += self.scalar(mult) * self.places[axis][0]
        return total if index.gather is None else total + self.operand(index.gather)

    def tiles(self, axis: Axis) -> Iterator[tuple[int, int]]:
        lo, hi = self.scalar(axis.lo), self.scalar(axis.hi)
        if axis.kind == "span":
            yield lo, hi
            return
        tile = 1 if axis.tile is None else self.scalar(axis.tile)
        for start in range(lo, min(hi, lo + 40), tile):
            yield start, min(start + tile, hi)

    def nests(self, axes: tuple[Axis, ...]) -> Iterator[None]:
        """Stand at each combination of tiles in turn."""
        if not axes:
            yield
            return
        for start, end in self.tiles(axes[0]):
            self.places[axes[0]] = (start, start, end)
            yield from self.nests(axes[1:])

    def lanes(self, axes: list[Axis]) -> Iterator[tuple[int, ...]]:
        domains = []
        for axis in axes:
            if axis not in self.places:
                lo, hi = self.scalar(axis.lo), self.scalar(axis.hi)
                self.places[axis] = (lo, lo, hi)
            _, start, end = self.places[axis]
            domains.append(range(start, min(end, start + 40)))
        for places in product(*domains):
            for axis, place in zip(axes, places, strict=True):
                self.places[axis] = (place, *self.places[axis][1:])
            yield places


def launches(kernel: ir.Kernel) -> Iterator[Run]:
    for a, b, p, tile in product((0, 1, 2, 3, 4), (0, 1, 2, 3), (-1, 0, 1, 3), (1, 2)):
        run = Run({"A": a, "B": b, "p": p, "BT": tile}, 0, (0, -1, 2, 5, 1))
        try:
            if all(run.scalar(f.condition) for f in kernel.facts):
                run.junk = 90 if a % 2 else -90
                run.values = {v: s for s in ir.statements(kernel.body) for v in ir.results(s)}
                yield run
        except RefusedError:
            continue


Places = tuple[int, ...]


def touched(
    kernel: ir.Kernel, run: Run, statement: ir.Load | ir.Store
) -> Iterator[tuple[Places, Places, Places, Places]]:
    """Yield program, iteration, lane and element of everything that is read or written."""
    loops = tuple(s.axis for s in ir.statements(kernel.body) if isinstance(s, ir.For))
    tests = [s for s in ir.statements(kernel.body) if isinstance(s, ir.If)]
    lanes: dict[Axis, None] = {}
    for index in statement.index:
        lanes.update(dict.fromkeys(axes_of(index)))
    steps = (*kernel.grid, *loops)
    for _ in run.nests(steps):
        if all(run.operand(s.condition) for s in tests):
            program = tuple(run.places[g][1] for g in kernel.grid)
            turn = tuple(run.places[f][1] for f in loops)
            for place in run.lanes([a for a in lanes if not a.is_scalar]):
                yield program, turn, place, tuple(run.index(i) for i in statement.index)
        for axis in list(run.places):
            if axis.kind == "span":
                del run.places[axis]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(kernels())
def test_what_is_proven_holds(kernel: ir.Kernel) -> None:
    note(describe(kernel))
    proven, found = prove(kernel)
    missing = uncovered(kernel)
    store = next(s for s in ir.statements(proven.body) if isinstance(s, ir.Store))
    loads = [s for s in ir.statements(proven.body) if isinstance(s, ir.Load)]
    reads = [s for s in loads if s.tensor is store.tensor]
    codes = {d.code for d in found}
    for run in launches(proven):
        shape = [run.scalar(size) for size in store.tensor.shape]
        if any(size < 0 for size in shape):
            continue
        writer: dict[tuple[int, ...], tuple[int, ...]] = {}
        lanes: dict[tuple[object, ...], object] = {}
        for program, turn, lane, element in touched(proven, run, store):
            for at, size, guard in zip(element, shape, store.guards, strict=True):
                assert guard or 0 <= at < size, (run.names, run.places, element)
            if all(0 <= at < size for at, size in zip(element, shape, strict=True)):
                if "R101" not in codes:
                    assert writer.setdefault(element, program) == program, (run.names, element)
                if not codes & {"R101", "R102"}:
                    key = (program, turn, element)
                    assert lanes.setdefault(key, lane) == lane, (run.names, element)
                writer[element] = program
        for read in reads:
            for program, _, _, element in touched(proven, run, read):
                for at, size, guard in zip(element, shape, read.guards, strict=True):
                    assert guard or 0 <= at < size, (run.names, run.places, element)
                if "R104" not in codes:
                    assert writer.get(element, program) == program, (run.names, element)
        if not missing and not reads:
            assert set(writer) == set(product(*map(range, shape))), run.names
    for axis in {a for s in ir.statements(proven.body) for v in ir.results(s) for a in v.type.axes}:
        if axis.limit is not None and axis.kind == "span":
            assert axis.limit >= 1
