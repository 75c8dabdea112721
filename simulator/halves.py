"""f16 made wide: NumPy converts element by element, this by whole vectors."""

import numpy as np

from tiledsl.ops.registry import Array

_INFINITE = 0x7C00  # as f16: the bits from which on there are no numbers
_BIAS = np.float32(2.0**112)  # f32 counts exponents from 127, f16 from 15


def widen(halves: Array) -> Array:
    """Return an array of f16 as f32, contiguous; exact, with infinities and NaNs."""
    if halves.size < 1 << 10:
        return halves.astype(np.float32)
    words = np.ascontiguousarray(halves).view(np.int16)
    if int((words & 0x7FFF).max()) >= _INFINITE:
        return halves.astype(np.float32)
    # The bits in their new places; the multiplication also makes numbers of subnormals.
    wide = words.astype(np.int32)
    np.left_shift(wide, 13, out=wide)
    np.bitwise_and(wide, ~0x70000000, out=wide)
    found: Array = wide.view(np.float32)
    np.multiply(found, _BIAS, out=found)
    return found
