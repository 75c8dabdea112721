"""The op table, and what a row of it is."""

from tiledsl.ops.meanings import bitcast, convert, wrap
from tiledsl.ops.registry import Expansion, Maker, Op, Reduction, Term
from tiledsl.ops.table import OPS, REDUCTIONS, SCANS

__all__ = [
    "OPS", "REDUCTIONS", "SCANS", "Expansion", "Maker", "Op", "Reduction", "Term", "bitcast",
    "convert", "wrap",
]  # fmt: skip
