"""NumPy arrays and the element types of the language."""

from collections.abc import Sequence

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.runtime.dlpack import HOST, Exporter, from_dlpack
from tiledsl.runtime.errors import ArgumentError
from tiledsl.types import DType

_BY_NUMPY = {dtype.numpy: dtype for dtype in DType}


def element_type(array: Array) -> DType | None:
    """Return the element type of ``array``; `None` where the language has none like it."""
    return _BY_NUMPY.get(array.dtype)


def describe(array: Array) -> str:
    """Return the type of ``array`` in the words of the language: ``f16[3, 5]``."""
    dtype = element_type(array)
    return f"{dtype or array.dtype}[{', '.join(map(str, array.shape))}]"


def as_array(name: str, value: object, expected: str) -> Array:
    """Return ``value`` as an array; an `ArgumentError` that names the argument if it is none.

    Arrays of other libraries (``__array_interface__``, DLPack) are taken without a copy.
    """
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.generic) or hasattr(value, "__array_interface__"):
        return np.asarray(value)
    if isinstance(value, Exporter):
        return _exported(name, value)
    if hasattr(value, "__cuda_array_interface__"):
        raise ArgumentError(_elsewhere(name))
    if hasattr(value, "__array__") and not isinstance(value, int | float | bool):
        return np.asarray(value)
    raise ArgumentError(f"{name}: expected an array {expected}, got {type(value).__name__}")


def _exported(name: str, value: Exporter) -> Array:
    if value.__dlpack_device__()[0] not in HOST:
        raise ArgumentError(_elsewhere(name))
    try:
        return from_dlpack(value)
    except (BufferError, RuntimeError) as refusal:
        raise ArgumentError(f"{name}: its memory cannot be taken: {refusal}") from refusal


def _elsewhere(name: str) -> str:
    return (
        f"{name}: is in the memory of a device: copy it to the host, or use the kernel as an "
        "operator of PyTorch (tiledsl.torch), which works on such memory in place"
    )


def poisoned(shape: Sequence[int], dtype: DType) -> Array:
    """Return a new array filled with what no kernel writes by chance: NaN, or bytes of 0x5A."""
    array = np.empty(shape, dtype.numpy)
    poison(array, dtype)
    return array


def poison(array: Array, dtype: DType) -> None:
    """Fill a contiguous array with what no kernel writes by chance."""
    if dtype.is_float:
        array[...] = np.nan
    elif dtype.bits < 8:
        array[...] = 5
    else:
        array.reshape(-1).view(np.uint8)[...] = 0x5A
