"""The GPU side of the compiler: from the tile IR to a GPU program."""

from tiledsl.gpu.effects import without_effect
from tiledsl.gpu.lower import lower
from tiledsl.gpu.tiles import choose_tiles, shared_bytes

__all__ = ["choose_tiles", "lower", "shared_bytes", "without_effect"]
