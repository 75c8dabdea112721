"""Arrays of 4 bits as devices have them: two elements to a byte along the last axis."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from tiledsl.ir import Kernel
from tiledsl.ops.registry import Array


@contextmanager
def packed(kernel: Kernel, arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Give ``arrays`` in the form of a device; what it wrote is theirs at the end."""
    narrow = {t.name: t for t in kernel.tensors if t.dtype.bits < 8}
    ours = {n: pack(a) if n in narrow else a for n, a in arrays.items()}
    yield ours
    for name, tensor in narrow.items():
        if tensor.role != "in":
            array = arrays[name]
            array[...] = unpack(ours[name], array)


def pack(array: Array) -> Array:
    """Return bytes: the first of two elements in the low half; each row from a byte of its own."""
    bits = array.astype(np.int8).astype(np.uint8) & 15
    if array.shape[-1] % 2:
        bits = np.concatenate([bits, np.zeros((*array.shape[:-1], 1), np.uint8)], axis=-1)
    return np.ascontiguousarray(bits[..., 0::2] | bits[..., 1::2] << 4)


def unpack(bytes_: Array, like: Array) -> Array:
    """Return the elements of bytes, in shape and type like an array."""
    halves = np.stack([bytes_ & 15, bytes_ >> 4], axis=-1)
    bits = halves.reshape(*bytes_.shape[:-1], 2 * bytes_.shape[-1])
    bits = bits[..., : like.shape[-1]].astype(np.int8)
    if like.dtype.name == "int4":
        bits = (bits ^ 8) - 8
    return bits.astype(like.dtype)
