"""From the syntax tree to the proved tile IR: names, types, bounds, races."""

from tiledsl.check.elaborate import elaborate
from tiledsl.check.modules import Module, library, load_module, load_text
from tiledsl.check.whole import check_module, instantiate

__all__ = [
    "Module",
    "check_module",
    "elaborate",
    "instantiate",
    "library",
    "load_module",
    "load_text",
]
