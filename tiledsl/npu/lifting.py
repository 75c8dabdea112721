"""Numbers that only vectors can compute become values without ranges.

The scalar unit has no exponential; of dims and parameters the host computes one. Where a number
read from a tensor, or a position, goes into such a function, a vector of one element does it.

Before: ``store y[t] = exp(x[t])``. After: ``%exp = exp(x[t]); store y[t] = %exp``.
"""

from dataclasses import replace

from tiledsl import ir
from tiledsl.ops import OPS, REDUCTIONS
from tiledsl.passes.rewriting import rebuild
from tiledsl.scalar import Apply, Dim, Literal, ParamValue, Scalar, walk
from tiledsl.types import DType

_THERE = frozenset({"div", "isnan", "isinf"})  # of floats, on the scalar unit too


def lift(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
    """Return ``body`` with functions of numbers that the host does not know as values."""
    out: list[ir.Stmt] = []
    for statement in body:
        match statement:
            case ir.Compute(operands=operands) | ir.Print(operands=operands):
                new = tuple(_lifted(x, out, statement) for x in operands)
                out.append(replace(statement, operands=new))
            case ir.Store(value=x) | ir.Declare(value=x) | ir.Assign(value=x):
                out.append(replace(statement, value=_lifted(x, out, statement)))
            case ir.If(condition=x):
                done = rebuild(statement, lift)
                assert isinstance(done, ir.If)
                out.append(replace(done, condition=_lifted(x, out, statement)))
            case ir.Assert(condition=ir.Value() as tile) if tile.type.axes:
                every = ir.Value("every", ir.TileType(DType.BOOL))
                axes = tile.type.axes
                out.append(ir.Reduce(statement.span, every, REDUCTIONS["all"], tile, axes))
                out.append(replace(statement, condition=every))
            case ir.Assert(condition=x):
                out.append(replace(statement, condition=_lifted(x, out, statement)))
            case _:
                out.append(rebuild(statement, lift))
    return tuple(out)


def _lifted(operand: ir.Operand, out: list[ir.Stmt], at: ir.Stmt) -> ir.Operand:
    """Return what takes the place of ``operand``, computed by statements before ``at``."""
    if isinstance(operand, ir.Value) or not any(map(vectors_alone, walk(operand))):
        return operand
    assert isinstance(operand, Apply)
    parts = tuple(_lifted(part, out, at) for part in operand.args)
    value = ir.Value(operand.op, ir.TileType(operand.dtype))
    out.append(ir.Compute(at.span, value, OPS[operand.op], parts))
    return value


def vectors_alone(part: Scalar) -> bool:
    """Whether neither the scalar unit nor the host can compute ``part``."""
    if not isinstance(part, Apply) or not part.dtype.is_float or part.op in _THERE:
        return False
    function = OPS[part.op].family == "float" or part.op == "pow"
    return function and not all(
        isinstance(x, Literal | Dim | ParamValue | Apply) for x in walk(part)
    )
