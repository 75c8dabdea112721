"""Element types, and the types of tiles."""

from enum import Enum
from functools import cached_property
from typing import Any

import ml_dtypes
import numpy as np


class DType(Enum):
    """An element type; its value is its spelling in ``.tile`` source."""

    BOOL = "bool"
    I4 = "i4"
    I8 = "i8"
    I16 = "i16"
    I32 = "i32"
    I64 = "i64"
    U4 = "u4"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"
    F8E4M3 = "f8e4m3"
    F8E5M2 = "f8e5m2"

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        """The same type in NumPy; bf16, f8 and the 4-bit types are those of ml_dtypes."""
        found: np.dtype[Any] = np.dtype(_NUMPY[self.value])
        return found

    @cached_property
    def bits(self) -> int:
        """Bits that one element takes in memory: 4-bit types pack two to a byte."""
        if self in (DType.I4, DType.U4):
            return 4
        return self.numpy.itemsize * 8

    @cached_property
    def size(self) -> int:
        """Bytes that one element takes in memory; an error for 4-bit types."""
        assert self.bits >= 8, self
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        """Whether it is one of f16, bf16, f32, f64, f8."""
        return self.value.startswith(("f", "bf"))

    @property
    def is_integer(self) -> bool:
        """Whether it is a signed or unsigned integer; bool is none."""
        return self.value[0] in "iu"

    @property
    def is_signed(self) -> bool:
        """Whether it holds negative numbers."""
        return self.value[0] != "u" and self is not DType.BOOL

    @cached_property
    def arithmetic(self) -> "DType":
        """The type in which arithmetic on it happens: narrow types are storage."""
        if self.is_float:
            return DType.F64 if self is DType.F64 else DType.F32
        if self is DType.I64:
            return DType.I64
        if self is DType.U32:
            return DType.U32
        return DType.I32

    @cached_property
    def limits(self) -> tuple[int | float, int | float]:
        """The lowest and the highest value; for floats these are the infinities (f8e4m3: ±448)."""
        if self is DType.BOOL:
            return 0, 1
        if self is DType.F8E4M3:
            return -448.0, 448.0
        if self.is_float:
            return float("-inf"), float("inf")
        bits = self.bits
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.is_signed else (0, (1 << bits) - 1)

    def __str__(self) -> str:
        return str(self.value)


_NUMPY: dict[str, Any] = {
    "bool": np.bool_, "i4": ml_dtypes.int4, "i8": np.int8, "i16": np.int16, "i32": np.int32,
    "i64": np.int64, "u4": ml_dtypes.uint4, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32,
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
    "f8e4m3": ml_dtypes.float8_e4m3fn, "f8e5m2": ml_dtypes.float8_e5m2,
}  # fmt: skip

DTYPES: dict[str, DType] = {d.value: d for d in DType}
