"""The op table, and what a row of it is."""

from tiledsl.ops.meanings import bitcast, convert, philox, uniform, wrap
from tiledsl.ops.registry import Expansion, Maker, Op, Reduction, Term
from tiledsl.ops.table import OPS, REDUCTIONS, SCANS

__all__ = [
    "OPS", "REDUCTIONS", "SCANS", "Expansion", "Maker", "Op", "Reduction", "Term", "bitcast",
    "convert", "philox", "uniform", "wrap",
]  # fmt: skip
