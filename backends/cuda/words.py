"""Numbers, types and addresses in the words of CUDA C++."""

import math
import re
from collections.abc import Mapping
from typing import assert_never

import numpy as np

from tiledsl import scalar as sc
from tiledsl.gpu.program import Buffer
from tiledsl.ops import OPS
from tiledsl.scalar import Scalar, Tensor
from tiledsl.types import DType

STORAGE = {
    DType.BOOL: "bool", DType.I8: "int8_t", DType.I16: "int16_t", DType.I32: "int",
    DType.I64: "int64_t", DType.U8: "uint8_t", DType.U16: "uint16_t", DType.U32: "uint32_t",
    DType.F16: "tdsl::f16", DType.BF16: "tdsl::bf16", DType.F32: "float", DType.F64: "double",
    DType.F8E4M3: "tdsl::f8e4m3", DType.F8E5M2: "tdsl::f8e5m2",
    DType.I4: "tdsl::i4", DType.U4: "tdsl::u4",
}  # fmt: skip
# An element in shared memory, and in a tensor, where integers of 4 bits lie two to a byte.
HELD = STORAGE | {DType.I4: "int8_t", DType.U4: "uint8_t"}
STORED = STORAGE | {DType.I4: "uint8_t", DType.U4: "uint8_t"}
_NARROW_FLOATS = (DType.F16, DType.BF16, DType.F8E4M3, DType.F8E5M2)
_FLOAT_CALL = re.compile(r"\b(\w+)f\(")
_FLOAT_NUMBER = re.compile(r"(\d\.\d+)f\b")


def value_type(dtype: DType) -> str:
    """Return the type of a register that holds a value of ``dtype``."""
    return "float" if dtype in _NARROW_FLOATS else HELD[dtype]


def number(value: int | float | bool, dtype: DType) -> str:
    """Return a literal."""
    if dtype is DType.BOOL:
        return "true" if value else "false"
    if dtype.is_float:
        return _float(value, dtype)
    whole = int(value)
    match dtype:
        case DType.I32:
            return str(whole) if whole > -(2**31) else "(-2147483647 - 1)"
        case DType.U32:
            return f"{whole}u"
        case DType.I64:
            return f"int64_t({whole}ll)" if whole > -(2**63) else "int64_t(1ull << 63)"
        case _:
            return f"{HELD[dtype]}({whole})"


def _float(value: int | float | bool, dtype: DType) -> str:
    with np.errstate(over="ignore"):
        exact = float(np.asarray(value).astype(dtype.numpy))
    if math.isnan(exact):
        return "NAN"
    if math.isinf(exact):
        return "INFINITY" if exact > 0 else "-INFINITY"
    if dtype is DType.F64:
        return repr(exact)
    text = str(np.float32(exact))
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


class Words:
    """Renders scalars; knows the names and shapes of the tensors."""

    def __init__(self, tensors: Mapping[Tensor, tuple[str, tuple[Scalar, ...]]]) -> None:
        self.tensors = tensors

    def text(self, scalar: Scalar) -> str:
        """Return ``scalar`` as an expression that can stand anywhere."""
        match scalar:
            case sc.Literal(value=value, dtype=dtype):
                word = number(value, dtype)
                return f"({word})" if word.startswith("-") else word
            case sc.Local(name=name):
                return name
            case sc.Element(tensor=tensor, index=index, default=default, guards=guards):
                return self.fetch(tensor, index, guards, default)
            case sc.Apply(op=op, args=args, dtype=dtype):
                return self._apply(op, args, dtype)
            case sc.Dim() | sc.ParamValue() | sc.TileSize() | sc.Position() | sc.Start() | sc.End():
                raise AssertionError(f"not resolved: {scalar}")
            case _:
                assert_never(scalar)

    def plain(self, scalar: Scalar) -> str:
        """Return ``scalar`` as the right side of an assignment, or an argument."""
        word = self.text(scalar)
        return word[1:-1] if _wrapped(word) else word

    def fetch(
        self,
        tensor: Tensor,
        index: tuple[Scalar, ...],
        guards: tuple[bool, ...],
        default: Scalar | None,
    ) -> str:
        """Return the element of a tensor, or the default outside it."""
        name = self.tensors[tensor][0]
        if tensor.dtype.bits < 8:
            element = f"tdsl::half_byte<{STORAGE[tensor.dtype]}>({self.half_byte(tensor, index)})"
        else:
            element = f"{name}[{self.offset(tensor, index)}]"
        tests = self.tests(tensor, index, guards)
        if not tests:
            return element
        assert default is not None
        return f"({' && '.join(tests)} ? {self._value(element, tensor)} : {self.text(default)})"

    def tests(
        self, tensor: Tensor, index: tuple[Scalar, ...], guards: tuple[bool, ...]
    ) -> list[str]:
        """Return the conditions under which the guarded indices are inside."""
        shape = self.tensors[tensor][1]
        return [
            f"tdsl::inside({self.plain(i)}, {self.plain(size)})"
            for i, size, guarded in zip(index, shape, guards, strict=False)
            if guarded
        ]

    def half_byte(self, tensor: Tensor, index: tuple[Scalar, ...]) -> str:
        """Return tensor, first byte of the row and place in it of an element of 4 bits."""
        name, shape = self.tensors[tensor]
        row = self._linear(index[:-1], shape[:-1])
        if row != "0":
            row = f"int64_t({row}) * (({self.text(shape[-1])} + 1) / 2)"
        return f"{name}, {row}, {self.plain(index[-1])}"

    def offset(self, tensor: Tensor, index: tuple[Scalar, ...]) -> str:
        """Return where an element is, row by row; in 64 bits where sizes are multiplied."""
        return self._linear(index, self.tensors[tensor][1])

    def _linear(self, index: tuple[Scalar, ...], shape: tuple[Scalar, ...]) -> str:
        total, wide = "0", False
        for i, size in zip(index, shape, strict=True):
            if total == "0":
                total = self.text(i)
                continue
            first = f"({total})" if wide else f"int64_t({total})"
            total, wide = f"{first} * {self.text(size)}", True
            if i != sc.ZERO:
                total += f" + {self.text(i)}"
        if _wrapped(total):
            total = total[1:-1]
        return total

    def place(self, buffer: Buffer, index: tuple[Scalar, ...]) -> str:
        """Return where an element is in a buffer."""
        pitches = [1] * len(buffer.shape)
        for k in range(len(buffer.shape) - 2, -1, -1):
            last = k == len(buffer.shape) - 2
            pitches[k] = pitches[k + 1] * (
                (buffer.pitch or buffer.shape[-1]) if last else buffer.shape[k + 1]
            )
        parts = [
            self.text(i) if pitch == 1 else f"{self.text(i)} * {pitch}"
            for i, pitch in zip(index, pitches, strict=True)
            if i != sc.ZERO
        ]
        return " + ".join(parts) or "0"

    def _value(self, element: str, tensor: Tensor) -> str:
        return f"float({element})" if tensor.dtype in _NARROW_FLOATS else element

    def _apply(self, op: str, args: tuple[Scalar, ...], dtype: DType) -> str:
        words = [self.text(a) for a in args]
        if op in ("rand", "bits"):
            return f"tdsl::{op}({', '.join(words)})"
        row = OPS[op]
        kind = args[0].dtype
        if row.family in ("select", "where"):
            words = [_same_type(w, a, dtype) for w, a in zip(words, args, strict=True)]
        if op == "bitcast" and kind in _NARROW_FLOATS:
            words[0] = f"{STORAGE[kind]}({words[0]})"
        pattern = row.cuda_integer if kind.is_integer and row.cuda_integer else row.cuda
        if DType.F64 in (kind, dtype) and op not in ("cast", "wrap", "bitcast"):
            pattern = _FLOAT_NUMBER.sub(r"\1", _FLOAT_CALL.sub(r"\1(", pattern))
        return pattern.format(*words, T=STORAGE[dtype])


def _same_type(word: str, scalar: Scalar, dtype: DType) -> str:
    """All that a selection chooses from has one type; small integers would become int."""
    if scalar.dtype is not dtype:  # the condition
        return word
    if dtype in _NARROW_FLOATS:
        return f"float({word})" if isinstance(scalar, sc.Element) else word
    small = dtype.is_integer and dtype.bits < 32
    return f"{HELD[dtype]}({word})" if small else word


def _wrapped(word: str) -> bool:
    """Whether one pair of parentheses encloses all of ``word``."""
    if not (word.startswith("(") and word.endswith(")")):
        return False
    depth = 0
    for i, c in enumerate(word):
        depth += (c == "(") - (c == ")")
        if depth == 0 and i < len(word) - 1:
            return False
    return True
