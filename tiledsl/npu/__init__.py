"""From the tile IR to the program of an Ascend NPU."""

from tiledsl.npu.choose import choose_tiles, fit
from tiledsl.npu.effects import without_effect
from tiledsl.npu.lower import lower
from tiledsl.npu.program import Program

__all__ = ["Program", "choose_tiles", "fit", "lower", "without_effect"]
