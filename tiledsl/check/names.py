"""The words that the language itself has taken."""

from tiledsl.ops import OPS, REDUCTIONS, SCANS
from tiledsl.types import DTYPES

RESERVED_VALUES = ("true", "false", "inf", "nan", "none")

# Operators and casts are rows of the op table that have a spelling of their own.
_SPELLED = {"neg", "cast", "wrap", "bitcast", "where", "bitnot", "not"}
ELEMENTWISE = tuple(
    name for name, op in OPS.items() if name not in _SPELLED and (not op.infix or name == "pow")
)
SPECIAL_FUNCTIONS = (
    "where", "wrap", "bitcast", "lowest", "highest", "start", "end", "size", "has", "ceil_div",
    "dot", "rename", "sort", "topk", "rand", "bits", "mean", "print",
)  # fmt: skip
BUILT_IN_FUNCTIONS = frozenset((*ELEMENTWISE, *SPECIAL_FUNCTIONS, *REDUCTIONS, *SCANS))
TYPE_NAMES = tuple(DTYPES)
