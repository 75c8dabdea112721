"""Put a kernel into the ops that the NPU has: composite ops expanded, thin products on vectors.

Before: ``%y = sigmoid(%x)``. After: ``%a = mul(%x, -1.0); %b = exp(%a); %c = add(%b, 1.0);
%y = div(1.0, %c)``.
"""

from collections.abc import Mapping, Set
from dataclasses import replace

from tiledsl import ir
from tiledsl.npu.known import is_known
from tiledsl.npu.lifting import vectors_alone
from tiledsl.ops import OPS, REDUCTIONS, Op
from tiledsl.scalar import Literal, apply
from tiledsl.source import Span
from tiledsl.types import DType


def prepare(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
    """Return ``body`` in ops that have an instruction, as far as the table knows a way.

    What only lookups ask for stays as it is: the scalar unit divides whole numbers by itself.
    """
    return _expanded(body, _looked_up(body))


def _expanded(body: tuple[ir.Stmt, ...], kept: Set[ir.Value]) -> tuple[ir.Stmt, ...]:
    out: list[ir.Stmt] = []
    for statement in body:
        match statement:
            case ir.For():
                inner = _expanded(statement.body, kept)
                out.append(ir.For(statement.span, statement.axis, inner))
            case ir.If():
                then, orelse = _expanded(statement.then, kept), _expanded(statement.orelse, kept)
                out.append(ir.If(statement.span, statement.condition, then, orelse))
            case ir.Compute(op=op) if _composite(statement) and statement.result not in kept:
                make = Maker(out, statement.span)
                assert op.expand is not None
                target = (statement.result.type.dtype,) if op.family == "cast" else ()
                term = op.expand(make, *(Part(make, x) for x in statement.operands), *target)
                if op.name not in ("sin", "cos"):
                    make.name(statement.result, term)
                    continue
                near = ir.Value(f"{statement.result.name}.near", statement.result.type)
                make.name(near, term)  # which large angles replace: see `tiledsl.npu.angles`
                out.append(replace(statement, operands=(*statement.operands, near)))
            case ir.Contract() if _thin(statement):
                out += _on_vectors(statement)
            case _:
                out.append(statement)
    return tuple(out)


def _looked_up(body: tuple[ir.Stmt, ...]) -> set[ir.Value]:
    """Return the values that nothing but the scalar unit asks for, on its way to an index."""
    every = list(ir.statements(body))
    defined = {value: s for s in every for value in ir.results(s)}
    found: set[ir.Value] = set()
    others: list[ir.Operand] = []
    for s in reversed(every):  # users stand before what they use
        match s:
            case ir.Load(index=index) | ir.Store(index=index):
                gathers = {i.gather for i in index if i.gather is not None}
                known = {g for g in gathers if is_known(g, defined)}
                found |= known
                others += [x for x in ir.operands(s) if x not in known]
            case ir.Compute(result=result) | ir.Rename(result=result) if result in found:
                found |= {x for x in ir.operands(s) if isinstance(x, ir.Value)}
            case _:
                others += ir.operands(s)
    shared = [x for x in others if isinstance(x, ir.Value)]
    while shared:  # what a vector unit computes it computes from the start
        value = shared.pop()
        found.discard(value)
        match defined[value]:
            case ir.Compute() | ir.Rename() as source:
                shared += [x for x in ir.operands(source) if x in found]
            case _:
                pass
        if not shared:
            shared = [v for v in found if not _stays_known(v, defined, found)]
    return found


def _stays_known(
    value: ir.Value, defined: Mapping[ir.Value, ir.Stmt], kept: Set[ir.Value]
) -> bool:
    """Whether the scalar unit can still compute ``value`` if all but ``kept`` is expanded."""
    source = defined[value]
    if isinstance(source, ir.Compute) and _composite(source) and value not in kept:
        return False
    return all(
        _stays_known(x, defined, kept) for x in ir.operands(source) if isinstance(x, ir.Value)
    )


def _composite(statement: ir.Compute) -> bool:
    op = statement.op
    if op.name == "pow" and not statement.result.type.dtype.is_float:
        return False  # logarithms do not give whole numbers: see `tiledsl.npu.integers`
    if any(_dtype(x) is DType.I64 for x in statement.operands):
        return False  # the scalar unit does them as they are
    return op.expand is not None and not op.npu and len(statement.operands) == op.arity


def _thin(statement: ir.Contract) -> bool:
    """Tell a matrix times a vector, or rows times rows, from a matrix product."""
    left, right = set(statement.a.type.axes), set(statement.b.type.axes)
    return not (left - right and right - left)


def _on_vectors(statement: ir.Contract) -> list[ir.Stmt]:
    """Multiply and sum; in f32 where the operands are narrow floats."""
    out: list[ir.Stmt] = []
    span, wide = statement.span, statement.result.type.dtype
    sides: list[ir.Operand] = []
    for side in (statement.a, statement.b):
        if side.type.dtype is wide:
            sides.append(side)
            continue
        cast = ir.Value(f"{side.name}.wide", ir.TileType(wide, side.type.axes))
        out.append(ir.Compute(span, cast, OPS["cast"], (side,)))
        sides.append(cast)
    axes = _union(tuple(sides))
    product = ir.Value(f"{statement.result.name}.products", ir.TileType(wide, axes))
    out.append(ir.Compute(span, product, OPS["mul"], tuple(sides)))
    out.append(ir.Reduce(span, statement.result, REDUCTIONS["sum"], product, statement.axes))
    return out


def _union(operands: tuple[ir.Operand, ...]) -> tuple[ir.Axis, ...]:
    axes: dict[ir.Axis, None] = {}
    for operand in operands:
        if isinstance(operand, ir.Value):
            axes.update(dict.fromkeys(operand.type.axes))
    return tuple(axes)


class Part:
    """An operand in an expansion."""

    def __init__(self, make: "Maker", operand: ir.Operand) -> None:
        self.make, self.operand = make, operand

    def __add__(self, other: "Part | float") -> "Part":
        return self.make("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: "Part | float") -> "Part":
        return self.make("sub", self, other)

    def __rsub__(self, other: float) -> "Part":
        return self.make("sub", other, self)

    def __mul__(self, other: "Part | float") -> "Part":
        return self.make("mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: "Part | float") -> "Part":
        return self.make("div", self, other)

    def __rtruediv__(self, other: float) -> "Part":
        return self.make("div", other, self)

    def __neg__(self) -> "Part":
        return self.make("mul", self, -1.0)

    def __lt__(self, other: "Part | float") -> "Part":
        return self.make("lt", self, other)

    def __le__(self, other: "Part | float") -> "Part":
        return self.make("le", self, other)

    def __gt__(self, other: "Part | float") -> "Part":
        return self.make("gt", self, other)

    def __ge__(self, other: "Part | float") -> "Part":
        return self.make("ge", self, other)


class Maker:
    """Builds statements for an expansion; what it makes may itself be composite."""

    def __init__(self, out: list[ir.Stmt], span: Span) -> None:
        self.out, self.span, self.count = out, span, 0

    def __call__(self, op: str, *operands: "Part | float") -> Part:
        """Return an op of the table; a number is of the type of the first tile."""
        row = OPS[op]
        raw = [x.operand if isinstance(x, Part) else x for x in operands]
        typed = [x for x in raw if not isinstance(x, int | float)]
        dtype = next((_dtype(x) for x in typed if _dtype(x) is not DType.BOOL), DType.F32)
        whole: tuple[ir.Operand, ...] = tuple(
            Literal(int(x) if dtype.is_integer else float(x), dtype)
            if isinstance(x, int | float)
            else x
            for x in raw
        )
        result = (
            DType.BOOL if row.family in ("compare", "logic") or op in ("isnan", "isinf") else dtype
        )
        numbers = [x for x in whole if not isinstance(x, ir.Value)]
        if len(numbers) == len(whole):
            number = apply(op, *numbers, dtype=result)
            if not vectors_alone(number):
                return Part(self, number)
        if op == "mul" and isinstance(whole[1], Literal) and whole[1].value == 1:
            return Part(self, whole[0])
        self.count += 1
        value = ir.Value(f"{op}.{self.count}", ir.TileType(result, _union(whole)))
        self._compute(value, row, whole)
        return Part(self, value)

    def cast(self, operand: object, dtype: DType) -> Part:
        """Return ``operand`` as another type; a number at once."""
        assert isinstance(operand, Part)
        source = operand.operand
        if _dtype(source) is dtype:
            return operand
        if isinstance(source, Literal):
            number = float(source.value) if dtype.is_float else int(source.value)
            return Part(self, Literal(number, dtype))
        if not isinstance(source, ir.Value):
            return Part(self, apply("cast", source, dtype=dtype))
        self.count += 1
        value = ir.Value(f"cast.{self.count}", ir.TileType(dtype, source.type.axes))
        self._compute(value, OPS["cast"], (source,))
        return Part(self, value)

    def bitcast(self, part: object, dtype: DType) -> Part:
        """Return the same bits as another type of the same width."""
        assert isinstance(part, Part)
        source = part.operand
        if not isinstance(source, ir.Value):
            return Part(self, apply("bitcast", source, dtype=dtype))
        if source.type.dtype is dtype:
            return part
        self.count += 1
        value = ir.Value(f"bits.{self.count}", ir.TileType(dtype, source.type.axes))
        self._compute(value, OPS["bitcast"], (source,))
        return Part(self, value)

    def wrap(self, part: Part, dtype: DType) -> Part:
        """Return the low bits of an i64."""
        source = part.operand
        if not isinstance(source, ir.Value):
            return Part(self, apply("wrap", source, dtype=dtype))
        self.count += 1
        value = ir.Value(f"wrap.{self.count}", ir.TileType(dtype, source.type.axes))
        self._compute(value, OPS["wrap"], (source,))
        return Part(self, value)

    def whole(self, *operands: object) -> bool:
        """Return whether all are integers."""
        return all(isinstance(x, Part) and _dtype(x.operand).is_integer for x in operands)

    def _compute(self, value: ir.Value, row: Op, operands: tuple[ir.Operand, ...]) -> None:
        self.out += _expanded((ir.Compute(self.span, value, row, operands),), frozenset())

    def name(self, result: ir.Value, term: object) -> None:
        """Let the last statement define ``result``."""
        assert isinstance(term, Part)
        last = self.out[-1] if self.out else None
        if isinstance(last, ir.Compute) and last.result is term.operand:
            self.out[-1] = ir.Compute(last.span, result, last.op, last.operands)
        else:
            self.out.append(ir.Compute(self.span, result, OPS["cast"], (term.operand,)))


def _dtype(operand: ir.Operand) -> DType:
    return operand.type.dtype if isinstance(operand, ir.Value) else operand.dtype
