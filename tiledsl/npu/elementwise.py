"""One op of the table on tiles: by an instruction, or by one of the ways that take many."""

from tiledsl import ir
from tiledsl.npu.angles import replace_far
from tiledsl.npu.frame import Tile
from tiledsl.npu.integers import power
from tiledsl.npu.vector import Source, Vectors
from tiledsl.types import DType


def compute(vectors: Vectors, statement: ir.Compute, operands: list[Source], dst: Tile) -> None:
    """Emit an op; ``sin`` and ``cos`` come with what they are of small angles."""
    match statement.op.name, operands:
        case "pow", [base, exponent] if dst.dtype is DType.I32:
            power(vectors, base, exponent, dst)
        case ("sin" | "cos") as name, [angle, Tile() as near]:
            replace_far(vectors, name, angle, near, dst)
        case _:
            vectors.compute(statement, operands, dst)
