"""From the syntax tree to the proved tile IR: names, types, bounds, races."""

from tiledsl.check.elaborate import elaborate
from tiledsl.check.modules import Module, load_module, load_text

__all__ = ["Module", "elaborate", "load_module", "load_text"]
