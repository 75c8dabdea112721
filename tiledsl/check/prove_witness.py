"""A search for small numbers with which an access falls outside: what a message shows as proof."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.types import DType

_TRIES = 400
_OPS = frozenset({"add", "sub", "mul", "floordiv", "mod", "neg", "min", "max", "eq", "ne", "lt",
                  "le", "gt", "ge", "and", "or", "not", "bitand", "bitor", "bitxor", "bitnot",
                  "shl", "shr"})  # fmt: skip

# An axis that is entered, or a condition that holds (True) or does not (False).
Step = sc.Axis | tuple[ir.Operand, bool]


class _UnknownError(Exception):
    """A number that cannot be evaluated, or not with these choices."""


@dataclass(slots=True)
class _Launch:
    """One choice of numbers for everything that a program can see."""

    definitions: Mapping[ir.Value, ir.Stmt]
    random: random.Random
    size: int
    names: dict[str, int] = field(default_factory=dict)
    places: dict[sc.Axis, tuple[int, int, int]] = field(default_factory=dict)
    elements: dict[tuple[sc.Tensor, tuple[int, ...]], int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def number(self, name: str, low: int) -> int:
        """Return the value of a dim, a parameter or a tile size; chosen on the first call."""
        if name not in self.names:
            self.names[name] = self.random.randint(low, max(low, self.size))
        self.used[name] = self.names[name]
        return self.names[name]

    def enter(self, axis: sc.Axis) -> None:
        """Choose a position on ``axis``."""
        lo, hi = self.scalar(axis.lo), self.scalar(axis.hi)
        if hi <= lo:
            raise _UnknownError
        place = self.random.randint(lo, min(hi - 1, lo + 3 * self.size))
        if self.random.random() < 0.5:
            place = hi - 1
        start, end = (lo, hi) if axis.kind == "span" else (place, place + 1)
        if axis.tile is not None:
            tile = self.scalar(axis.tile)
            if tile < 1:
                raise _UnknownError
            start = lo + (place - lo) // tile * tile
            end = min(start + tile, hi)
        self.places[axis] = (place, start, end)

    def place(self, axis: sc.Axis) -> tuple[int, int, int]:
        """Return position, start and end."""
        if axis not in self.places:
            self.enter(axis)
        self.used[axis.name] = self.places[axis][0]
        return self.places[axis]

    def operand(self, operand: ir.Operand) -> int:
        """Return the integer, or truth value, of an operand at the chosen positions."""
        if not isinstance(operand, ir.Value):
            return self.scalar(operand)
        match self.definitions.get(operand):
            case ir.Positions(axis=axis):
                return self.place(axis)[0]
            case ir.Compute(op=op, operands=operands, result=result):
                if result.type.dtype.is_float:
                    raise _UnknownError
                return self.apply(op.name, operands, result.type.dtype)
            case ir.Load(tensor=tensor, index=index, default=default):
                if tensor.dtype.is_float:
                    raise _UnknownError
                return self.element(tensor, tuple(map(self.index, index)), default)
            case _:
                raise _UnknownError

    def scalar(self, scalar: sc.Scalar) -> int:
        """Return the value of a scalar."""
        match scalar:
            case sc.Literal(value=int() as value):
                return int(value)
            case sc.Dim(name=name):
                return self.number(name, 0)
            case sc.TileSize(name=name):
                return self.number(name, 1)
            case sc.ParamValue(name=name, dtype=dtype) if not dtype.is_float:
                return self.number(name, -1 if dtype.is_signed else 0)
            case sc.Position(axis=axis):
                return self.place(axis)[0]
            case sc.Start(axis=axis):
                self.place(axis)
                return self.places[axis][1]
            case sc.End(axis=axis):
                self.place(axis)
                return self.places[axis][2]
            case sc.Element(tensor=tensor, index=index, default=default) if (
                not tensor.dtype.is_float
            ):
                return self.element(tensor, tuple(map(self.scalar, index)), default)
            case sc.Apply(op=op, args=args, dtype=dtype) if not dtype.is_float:
                return self.apply(op, args, dtype)
            case _:
                raise _UnknownError

    def apply(self, op: str, args: tuple[ir.Operand, ...], dtype: DType) -> int:
        """Return ``op`` of operands."""
        values = [self.operand(a) for a in args]
        match op:
            case "where":
                return values[1] if values[0] else values[2]
            case "cast":
                low, high = (int(v) for v in dtype.limits)
                return min(max(values[0], low), high)
            case "clamp":
                return min(max(values[0], values[1]), values[2])
            case "abs":
                return abs(values[0])
            case "floordiv" | "mod" if values[1] == 0:
                raise _UnknownError
            case "shl" | "shr" if not 0 <= values[1] < 32:
                raise _UnknownError
            case _ if op in _OPS:
                result = sc.apply(op, *(sc.integer(v) for v in values), dtype=dtype)
                assert isinstance(result, sc.Literal)
                return int(result.value)
            case _:
                raise _UnknownError

    def element(
        self, tensor: sc.Tensor, index: tuple[int, ...], default: ir.Operand | None
    ) -> int:
        """Return an element: of a table the true one, of a tensor any that its type has."""
        sizes = [self.scalar(size) for size in tensor.shape]
        if any(not 0 <= i < size for i, size in zip(index, sizes, strict=True)):
            if default is None:
                raise _UnknownError
            return self.operand(default)
        if tensor.values:
            flat = 0
            for i, size in zip(index, sizes, strict=True):
                flat = flat * size + i
            return int(tensor.values[flat])
        key = (tensor, index)
        if key not in self.elements:
            low, high = (int(v) for v in tensor.dtype.limits)
            choice = self.random.randint(-1, self.size)
            self.elements[key] = min(max(choice, low), high)
        value = self.elements[key]
        self.used[f"{tensor.name}[{', '.join(map(str, index))}]"] = value
        return value

    def index(self, index: ir.Index) -> int:
        """Return the position that ``index`` names."""
        total = self.scalar(index.offset)
        for axis, mult in index.terms:
            total += self.scalar(mult) * self.place(axis)[0]
        return total if index.gather is None else total + self.operand(index.gather)


def witness(
    kernel: ir.Kernel,
    definitions: Mapping[ir.Value, ir.Stmt],
    path: tuple[Step, ...],
    index: ir.Index,
    size: sc.Scalar,
) -> str:
    """Return numbers with which ``index`` is outside of ``0 .. size``; "" when none were found."""
    source = random.Random(0)
    for attempt in range(_TRIES):
        launch = _Launch(definitions, source, 1 + attempt * 12 // _TRIES)
        try:
            if not _reached(kernel, path, launch):
                continue
            launch.used = {}
            place, extent = launch.index(index), launch.scalar(size)
        except _UnknownError:
            continue
        if not 0 <= place < extent:
            first = sorted(launch.used.items(), key=lambda item: item[0] not in launch.names)
            numbers = ", ".join(f"{name} = {value}" for name, value in first)
            when = f"with {numbers} " if numbers else ""
            elements = f"{extent} element{'' if extent == 1 else 's'}"
            return f"{when}the index is {place}, of {elements}"
    return ""


def _reached(kernel: ir.Kernel, path: tuple[Step, ...], launch: _Launch) -> bool:
    """Choose numbers; whether the facts and the conditions on the way hold."""
    for fact in kernel.facts:
        _satisfy(fact.condition, launch)
    if not all(launch.scalar(fact.condition) for fact in kernel.facts):
        return False
    for tensor in kernel.tensors:
        if any(launch.scalar(size) < 0 for size in tensor.shape):
            return False
    for step in path:
        if isinstance(step, tuple):
            condition, wanted = step
            if bool(launch.operand(condition)) != wanted:
                return False
        else:
            launch.enter(step)
    return True


def _satisfy(condition: sc.Scalar, launch: _Launch) -> None:
    """Give the dim that an equality is about the value that makes it hold."""
    match condition:
        case sc.Apply(op="and", args=args):
            for each in args:
                _satisfy(each, launch)
        case sc.Apply(op="eq", args=(sc.Dim(name=name), value)):
            launch.names[name] = launch.scalar(value)
        case sc.Apply(op="eq", args=(value, sc.Dim(name=name))):
            launch.names[name] = launch.scalar(value)
        case sc.Apply(op="eq", args=(sc.Apply(op="mod", args=(sc.Dim(name=name), by)), _)):
            launch.names[name] = launch.number(name, 0) * launch.scalar(by)
        case _:
            pass
