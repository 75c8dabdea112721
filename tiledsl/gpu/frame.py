"""What the lowering knows at one place of a kernel: names, ranges in force, where values are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.diagnostics import CompileError
from tiledsl.gpu.errors import NotOnGpu
from tiledsl.gpu.names import Names
from tiledsl.gpu.plan import Plan, State
from tiledsl.gpu.program import Buffer, Coordinate, Fragment, Let, Set, Stmt, Target
from tiledsl.ir import Value, Var
from tiledsl.scalar import Axis, Local, Scalar
from tiledsl.schedule import limit_of, settle
from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType


@dataclass(frozen=True, slots=True)
class Tile:
    """A buffer that holds a tile: one index for each of ``axes``."""

    buffer: Buffer
    axes: tuple[Axis, ...]


@dataclass(slots=True)
class Scope:
    """What holds inside a block and is forgotten at its end."""

    ranges: dict[Axis, tuple[Scalar, Scalar]] = field(default_factory=dict)
    positions: dict[Axis, Scalar] = field(default_factory=dict)
    uniform: dict[Value, Scalar] = field(default_factory=dict)
    tiles: dict[Value, Tile] = field(default_factory=dict)
    fragments: dict[Value, Fragment] = field(default_factory=dict)
    seen: list[Value] = field(default_factory=list)

    def inner(self) -> "Scope":
        """Return a copy for a block inside."""
        return Scope(
            dict(self.ranges), dict(self.positions), dict(self.uniform), dict(self.tiles),
            dict(self.fragments), list(self.seen),
        )  # fmt: skip


class Frame:
    """The state of one lowering."""

    def __init__(
        self, kernel: ir.Kernel, tiles: Mapping[str, int], target: Target, plan: Plan
    ) -> None:
        self.kernel, self.sizes, self.target, self.plan = kernel, tiles, target, plan
        self.names = Names()
        self.scope = Scope()
        self.out: list[Stmt] = []
        self.buffers: list[Buffer] = []
        self.kept: dict[Value, Tile] = {}
        self.var_tiles: dict[Var, Tile] = {}
        self.var_fragments: dict[Var, Fragment] = {}
        self.var_names: dict[Var, str] = {}
        self._known: dict[object, str] = {}
        self._scratch: Buffer | None = None

    def fail(self, span: Span, what: str, way_out: str = "") -> NoReturn:
        """Raise the error that says what the target cannot do."""
        raise CompileError([NotOnGpu(span, self.target.name, what, way_out)])

    # ---- names

    def name(self, thing: object, wish: str) -> str:
        """Return the one name of ``thing``."""
        if thing not in self._known:
            self._known[thing] = self.names.take(wish)
        return self._known[thing]

    def buffer(
        self, wish: str, dtype: DType, shape: tuple[int, ...], note: str, span: Span
    ) -> Buffer:
        """Return a new buffer."""
        made = Buffer(self.names.take(wish), dtype, shape, note=note, span=span)
        self.buffers.append(made)
        return made

    def scratch(self) -> Buffer:
        """Return the buffer in which warps exchange partial results; there is one."""
        if self._scratch is None:
            self._scratch = self.buffer("exchange", DType.F64, (64,), "partial results", NOWHERE)
        return self._scratch

    # ---- blocks

    @contextmanager
    def block(self) -> Iterator[list[Stmt]]:
        """Collect statements of a block of its own; give them as a list."""
        outer, scope = self.out, self.scope
        self.out, self.scope = [], scope.inner()
        try:
            yield self.out
        finally:
            self.out, self.scope = outer, scope

    # ---- ranges

    def limit(self, axis: Axis) -> int:
        """Return the most elements that a tile of ``axis`` has."""
        found = limit_of(axis, self.sizes)
        if found is None:
            self.fail(
                axis.span, f"`{axis.name}` has no compile-time bound", "give one by a `where` line"
            )
        return max(found, 1)

    def enter(self, axis: Axis, start: Scalar, size: Scalar) -> None:
        """Put a range in force whose tile starts at ``start`` and has ``size`` elements."""
        self.scope.ranges[axis] = (start, size)
        if axis.is_scalar:
            self.scope.positions[axis] = start

    def need(self, axis: Axis, span: Span) -> None:
        """Put a span in force, if it is not yet; its bounds become locals."""
        if axis in self.scope.ranges:
            return
        assert axis.kind == "span", f"{axis.name} is not in force"
        for part in (*sc.walk(axis.lo), *sc.walk(axis.hi)):
            match part:
                case sc.Position(axis=other) | sc.Start(axis=other) | sc.End(axis=other):
                    self.need(other, span)
                case _:
                    pass
        lo, hi = self.resolve(axis.lo), self.resolve(axis.hi)
        start = self._local(lo, (axis, "start"), f"{axis.name}0", span)
        size = sc.maximum(sc.sub(hi, start), sc.ZERO)
        if start == sc.ZERO and _never_negative(axis.hi):
            size = hi
        self.enter(axis, start, self._local(size, (axis, "size"), f"{axis.name}_len", span))

    def _local(self, value: Scalar, key: object, wish: str, span: Span) -> Scalar:
        if isinstance(value, sc.Literal | Local):
            return value
        name = self.name(key, wish)
        self.out.append(Let(span, Set(name, value.dtype, value)))
        return Local(name, value.dtype)

    def coordinate(self, axis: Axis) -> Coordinate:
        """Return the names of an element's place along ``axis``."""
        start, size = self.scope.ranges[axis]
        position = self.name((axis, "position"), axis.name)
        at = position if start == sc.ZERO else self.name((axis, "at"), f"{axis.name}_i")
        return Coordinate(axis, at, position, start, size, self.limit(axis))

    def resolve(self, scalar: Scalar) -> Scalar:
        """Return ``scalar`` in terms of locals."""

        def change(part: Scalar) -> Scalar | None:
            match part:
                case sc.Dim(name=name):
                    return Local(self.name(("dim", name), name))
                case sc.ParamValue(name=name, dtype=dtype):
                    return Local(self.name(("param", name), name), dtype)
                case sc.TileSize():
                    return settle(part, self.sizes)
                case sc.Position(axis=axis):
                    return self.scope.positions[axis]
                case sc.Start(axis=axis):
                    return self.scope.ranges[axis][0]
                case sc.End(axis=axis):
                    start, size = self.scope.ranges[axis]
                    return sc.add(start, size)
                case _:
                    return None

        return sc.rewrite(scalar, change)

    # ---- state

    def depends(self, value: Value) -> frozenset[State]:
        """Return the vars and written tensors that computing ``value`` would read now."""
        known: dict[Value, frozenset[State]] = {}

        def visit(operand: ir.Operand) -> frozenset[State]:
            scope = self.scope
            if not isinstance(operand, Value) or operand in scope.uniform:
                return frozenset()
            if operand in scope.tiles or operand in scope.fragments:
                return frozenset()
            if operand not in known:
                own: frozenset[State] = frozenset()
                match self.plan.defs[operand]:
                    case ir.Read(var=var):
                        own = frozenset([var])
                    case ir.Load(tensor=tensor) if tensor in self.plan.written:
                        own = frozenset([tensor])
                    case _:
                        pass
                statement = self.plan.defs[operand]
                known[operand] = own.union(*map(visit, ir.operands(statement)))
            return known[operand]

        return visit(value)


def modified(body: tuple[ir.Stmt, ...]) -> frozenset[State]:
    """Return the vars and tensors that ``body`` changes."""
    found: set[State] = set()
    for statement in ir.statements(body):
        match statement:
            case ir.Assign(var=var):
                found.add(var)
            case ir.Store(tensor=tensor):
                found.add(tensor)
            case _:
                pass
    return frozenset(found)


def renamed(env: Mapping[Axis, Coordinate], old: Axis, new: Axis, frame: Frame) -> dict[
    Axis, Coordinate
]:  # fmt: skip
    """Return ``env`` with ``old`` standing where ``new`` stands."""
    frame.need(old, NOWHERE)
    at = env[new].at
    start, size = frame.scope.ranges[old]
    position = at if start == sc.ZERO else ""
    there = replace(
        env[new], axis=old, position=position, start=start, size=size, limit=frame.limit(old)
    )
    return {**env, old: there}


def position_of(coordinate: Coordinate) -> Scalar:
    """Return the position in the range of an element."""
    if coordinate.position:
        return Local(coordinate.position)
    return sc.add(coordinate.start, Local(coordinate.at))


def _never_negative(scalar: Scalar) -> bool:
    """Whether it is plain that ``scalar`` is 0 or more; sizes of tensors are."""
    match scalar:
        case sc.Literal(value=value):
            return value >= 0
        case sc.Dim() | sc.TileSize():
            return True
        case sc.Apply(op="add" | "mul" | "floordiv" | "min", args=args):
            return all(map(_never_negative, args))
        case _:
            return False
