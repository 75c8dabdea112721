"""The GPU side of the compiler: from the tile IR to a GPU program."""

from tiledsl.gpu.lower import lower

__all__ = ["lower"]
