"""Tensors of PyTorch and arrays of NumPy over the same memory."""

import numpy as np
import torch

from tiledsl.ops.registry import Array
from tiledsl.runtime.dlpack import from_dlpack
from tiledsl.runtime.errors import ArgumentError
from tiledsl.types import DType

_TORCH = {
    DType.BOOL: torch.bool, DType.I8: torch.int8, DType.I16: torch.int16, DType.I32: torch.int32,
    DType.I64: torch.int64, DType.U8: torch.uint8, DType.U16: torch.uint16,
    DType.U32: torch.uint32, DType.F16: torch.float16, DType.BF16: torch.bfloat16,
    DType.F32: torch.float32, DType.F64: torch.float64, DType.F8E4M3: torch.float8_e4m3fn,
    DType.F8E5M2: torch.float8_e5m2,
}  # fmt: skip
_ELEMENTS = {theirs: ours for ours, theirs in _TORCH.items()}
# Types that NumPy has from ml_dtypes only cross as integers of the same width.
_CARRIERS = {1: np.uint8, 2: np.int16}


def torch_type(name: str, dtype: DType) -> torch.dtype:
    """Return the type of a tensor ``name`` of ``dtype``; PyTorch has no 4-bit ones."""
    if dtype not in _TORCH:
        raise ArgumentError(f"{name}: PyTorch has no tensors of {dtype}")
    return _TORCH[dtype]


def element_type(name: str, tensor: torch.Tensor) -> DType:
    """Return the element type of a tensor in the words of the language."""
    if tensor.dtype not in _ELEMENTS:
        raise ArgumentError(f"{name}: {tensor.dtype} is no element type of the language")
    return _ELEMENTS[tensor.dtype]


def to_numpy(tensor: torch.Tensor) -> Array:
    """Return the memory of a tensor on the host as an array."""
    return from_dlpack(tensor.detach().resolve_neg())


def to_torch(array: Array) -> torch.Tensor:
    """Return the memory of an array as a tensor."""
    ours = next(dtype for dtype in DType if dtype.numpy == array.dtype)
    theirs = torch_type("an output", ours)
    if array.dtype.isbuiltin == 1:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(_CARRIERS[array.dtype.itemsize])).view(theirs)
