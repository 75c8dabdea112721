"""Put a kernel into the ops that the NPU has: composite ops expanded, thin products on vectors.

Before: ``%y = sigmoid(%x)``. After: ``%a = mul(%x, -1.0); %b = exp(%a); %c = add(%b, 1.0);
%y = div(1.0, %c)``.
"""

from tiledsl import ir
from tiledsl.ops import OPS, REDUCTIONS, Op
from tiledsl.scalar import Literal, apply
from tiledsl.source import Span
from tiledsl.types import DType


def prepare(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
    """Return ``body`` in ops that have an instruction, as far as the table knows a way."""
    out: list[ir.Stmt] = []
    for statement in body:
        match statement:
            case ir.For():
                out.append(ir.For(statement.span, statement.axis, prepare(statement.body)))
            case ir.If():
                then, orelse = prepare(statement.then), prepare(statement.orelse)
                out.append(ir.If(statement.span, statement.condition, then, orelse))
            case ir.Compute(op=op) if _composite(statement):
                make = _Make(out, statement.span)
                assert op.expand is not None
                target = (statement.result.type.dtype,) if op.family == "cast" else ()
                term = op.expand(make, *(_Tile(make, x) for x in statement.operands), *target)
                make.name(statement.result, term)
            case ir.Contract() if _thin(statement):
                out += _on_vectors(statement)
            case _:
                out.append(statement)
    return tuple(out)


def _composite(statement: ir.Compute) -> bool:
    op = statement.op
    if op.name == "pow" and not statement.result.type.dtype.is_float:
        return False  # logarithms do not give whole numbers: see `tiledsl.npu.integers`
    return op.expand is not None and not op.npu


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


class _Tile:
    """An operand in an expansion."""

    def __init__(self, make: "_Make", operand: ir.Operand) -> None:
        self.make, self.operand = make, operand

    def __add__(self, other: "_Tile | float") -> "_Tile":
        return self.make("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: "_Tile | float") -> "_Tile":
        return self.make("sub", self, other)

    def __rsub__(self, other: float) -> "_Tile":
        return self.make("sub", other, self)

    def __mul__(self, other: "_Tile | float") -> "_Tile":
        return self.make("mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: "_Tile | float") -> "_Tile":
        return self.make("div", self, other)

    def __rtruediv__(self, other: float) -> "_Tile":
        return self.make("div", other, self)

    def __neg__(self) -> "_Tile":
        return self.make("mul", self, -1.0)

    def __lt__(self, other: "_Tile | float") -> "_Tile":
        return self.make("lt", self, other)

    def __le__(self, other: "_Tile | float") -> "_Tile":
        return self.make("le", self, other)

    def __gt__(self, other: "_Tile | float") -> "_Tile":
        return self.make("gt", self, other)

    def __ge__(self, other: "_Tile | float") -> "_Tile":
        return self.make("ge", self, other)


class _Make:
    """Builds statements for an expansion; what it makes may itself be composite."""

    def __init__(self, out: list[ir.Stmt], span: Span) -> None:
        self.out, self.span, self.count = out, span, 0

    def __call__(self, op: str, *operands: "_Tile | float") -> _Tile:
        row = OPS[op]
        raw = [x.operand if isinstance(x, _Tile) else x for x in operands]
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
            return _Tile(self, apply(op, *numbers, dtype=result))
        if op == "mul" and isinstance(whole[1], Literal) and whole[1].value == 1:
            return _Tile(self, whole[0])
        self.count += 1
        value = ir.Value(f"{op}.{self.count}", ir.TileType(result, _union(whole)))
        self._compute(value, row, whole)
        return _Tile(self, value)

    def cast(self, operand: object, dtype: DType) -> _Tile:
        """Return ``operand`` as another type; a number at once."""
        assert isinstance(operand, _Tile)
        source = operand.operand
        if _dtype(source) is dtype:
            return operand
        if isinstance(source, Literal):
            number = float(source.value) if dtype.is_float else int(source.value)
            return _Tile(self, Literal(number, dtype))
        if not isinstance(source, ir.Value):
            return _Tile(self, apply("cast", source, dtype=dtype))
        self.count += 1
        value = ir.Value(f"cast.{self.count}", ir.TileType(dtype, source.type.axes))
        self._compute(value, OPS["cast"], (source,))
        return _Tile(self, value)

    def bitcast(self, operand: object, dtype: DType) -> _Tile:
        """Return the bits of ``operand`` as another type."""
        assert isinstance(operand, _Tile)
        source = operand.operand
        if not isinstance(source, ir.Value):
            return _Tile(self, apply("bitcast", source, dtype=dtype))
        self.count += 1
        value = ir.Value(f"bitcast.{self.count}", ir.TileType(dtype, source.type.axes))
        self._compute(value, OPS["bitcast"], (source,))
        return _Tile(self, value)

    def whole(self, *operands: object) -> bool:
        """Return whether all are integers."""
        return all(isinstance(x, _Tile) and _dtype(x.operand).is_integer for x in operands)

    def _compute(self, value: ir.Value, row: Op, operands: tuple[ir.Operand, ...]) -> None:
        self.out += prepare((ir.Compute(self.span, value, row, operands),))

    def name(self, result: ir.Value, term: object) -> None:
        """Let the last statement define ``result``."""
        assert isinstance(term, _Tile)
        last = self.out[-1] if self.out else None
        if isinstance(last, ir.Compute) and last.result is term.operand:
            self.out[-1] = ir.Compute(last.span, result, last.op, last.operands)
        else:
            self.out.append(ir.Compute(self.span, result, OPS["cast"], (term.operand,)))


def _dtype(operand: ir.Operand) -> DType:
    return operand.type.dtype if isinstance(operand, ir.Value) else operand.dtype
