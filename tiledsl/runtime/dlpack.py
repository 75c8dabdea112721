"""Arrays of other libraries taken through DLPack, without a copy and with every element type.

`numpy.from_dlpack` knows neither bf16 nor the 8-bit floats; this reads the same capsule.
"""

import ctypes
import math
from typing import Protocol, cast, runtime_checkable

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.types import DType

HOST = (1, 3, 11)  # kDLCPU, kDLCUDAHost, kDLROCMHost: memory that this process can read
_READ_ONLY = 1

# DLDataTypeCode and bits; codes are those of dlpack.h 1.1.
_TYPES = {
    (0, 8): DType.I8, (0, 16): DType.I16, (0, 32): DType.I32, (0, 64): DType.I64,
    (1, 8): DType.U8, (1, 16): DType.U16, (1, 32): DType.U32,
    (2, 16): DType.F16, (2, 32): DType.F32, (2, 64): DType.F64,
    (4, 16): DType.BF16, (6, 8): DType.BOOL, (10, 8): DType.F8E4M3, (12, 8): DType.F8E5M2,
}  # fmt: skip


@runtime_checkable
class Exporter(Protocol):
    """What gives its memory away through DLPack: tensors of PyTorch, JAX, CuPy, …."""

    def __dlpack__(self, *, max_version: tuple[int, int] | None = None) -> object:
        """Return the capsule."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the kind of the device, and its number."""


def from_dlpack(exporter: Exporter) -> Array:
    """Return the memory of ``exporter``, which must be the host's, as an array.

    It is read-only where its owner says so, or does not say. Raise `BufferError` where the owner
    refuses or the element type is none of the language.
    """
    capsule = _capsule(exporter)
    versioned = _name(capsule) == b"dltensor_versioned"
    address = _pointer(capsule, b"dltensor_versioned" if versioned else b"dltensor")
    if versioned:
        managed = _VersionedTensor.from_address(address)
        tensor, writable = managed.tensor, not managed.flags & _READ_ONLY
    else:
        tensor, writable = _Tensor.from_address(address), False
    dtype = _TYPES.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
    if dtype is None:
        raise BufferError(f"DLPack type {tensor.code} of {tensor.bits} bits is no element type")
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    array = _view(tensor, shape, dtype, capsule)
    if not writable:
        array.flags.writeable = False
    return array


class _Tensor(ctypes.Structure):
    """`DLTensor`, which is also how a `DLManagedTensor` begins."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    )


class _VersionedTensor(ctypes.Structure):
    """`DLManagedTensorVersioned`."""

    _fields_ = (
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


def _capsule(exporter: Exporter) -> object:
    try:
        return exporter.__dlpack__(max_version=(1, 1))
    except TypeError:  # an exporter from before versions
        return exporter.__dlpack__()


def _name(capsule: object) -> bytes:
    function = ctypes.pythonapi.PyCapsule_GetName
    function.restype, function.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    return cast(bytes, function(capsule))


def _pointer(capsule: object, name: bytes) -> int:
    function = ctypes.pythonapi.PyCapsule_GetPointer
    function.restype = ctypes.c_void_p
    function.argtypes = (ctypes.py_object, ctypes.c_char_p)
    return cast(int, function(capsule, name))


def _view(tensor: _Tensor, shape: tuple[int, ...], dtype: DType, capsule: object) -> Array:
    """Return an array over the memory; it keeps the capsule, which keeps the owner."""
    if 0 in shape:
        return np.empty(shape, dtype.numpy)
    if tensor.strides:
        steps = tuple(tensor.strides[i] for i in range(tensor.ndim))
    else:
        steps = tuple(math.prod(shape[i + 1 :]) for i in range(tensor.ndim))
    if any(step < 0 for step in steps):
        raise BufferError("a DLPack tensor with negative strides")
    count = 1 + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    memory = (ctypes.c_char * (count * dtype.size)).from_address(tensor.data + tensor.offset)
    memory.owner = capsule
    return np.ndarray(shape, dtype.numpy, memory, strides=[step * dtype.size for step in steps])
