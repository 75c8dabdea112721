"""Which integer values the scalar unit can compute by itself, lane by lane."""

from collections.abc import Mapping

from tiledsl import ir
from tiledsl.npu.frame import paired

MOST_STEPS = 64
SCALAR_OPS = frozenset({
    "add", "sub", "mul", "floordiv", "mod", "min", "max", "neg", "bitand", "bitor", "bitxor",
    "shl", "shr", "where", "cast", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not",
})  # fmt: skip


def is_known(operand: ir.Operand, defined: Mapping[ir.Value, ir.Stmt]) -> bool:
    """Whether the scalar unit can compute an index from positions, parameters and inputs alone.

    What takes more than `MOST_STEPS` is left to the vector unit.
    """
    return _steps(operand, defined, {}) <= MOST_STEPS


def _steps(
    operand: ir.Operand,
    defined: Mapping[ir.Value, ir.Stmt],
    known: dict[ir.Value, int],
    at: int = 0,
) -> int:
    """Return how many steps ``operand`` takes on the scalar unit; more than the most if none do."""
    if not isinstance(operand, ir.Value):
        return 0
    if operand not in known and at <= MOST_STEPS:
        known[operand] = MOST_STEPS + 1  # until it is known to be less
        parts: list[ir.Operand] | None = None
        match defined[operand]:
            case ir.Positions():
                parts = []
            case ir.Rename(operand=inner, old=old, new=new) if paired(old) is None:
                parts = [inner] if paired(new) is None else None
            case ir.Compute(op=op, operands=operands, result=result):
                if op.name in SCALAR_OPS and not result.type.dtype.is_float:
                    parts = list(operands)
            case ir.Load(tensor=tensor, index=index, default=default):
                if tensor.role in ("in", "table") and not tensor.dtype.is_float:
                    parts = [i.gather for i in index if i.gather is not None]
                    parts += [default] if isinstance(default, ir.Value) else []
            case _:
                pass
        if parts is not None:
            total = 1 + sum(_steps(part, defined, known, at + 1) for part in parts)
            known[operand] = min(total, MOST_STEPS + 1)
    return known.get(operand, MOST_STEPS + 1)
