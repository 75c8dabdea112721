"""The places of an NPU program: memories and queues of a core, buffers, and views of them."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal as Lit

from tiledsl.scalar import ZERO, Scalar, Tensor
from tiledsl.types import DType


class Memory(Enum):
    """An on-chip memory."""

    UB = "UB"
    L1 = "L1"
    L0A = "L0A"
    L0B = "L0B"
    L0C = "L0C"


class Queue(Enum):
    """An instruction queue of a core; the values are the names that Ascend C uses."""

    S = "S"
    MTE1 = "MTE1"
    MTE2 = "MTE2"
    MTE3 = "MTE3"
    V = "V"
    M = "M"
    FIXP = "FIX"


class Core(Enum):
    """A kind of core: vector (AIV), cube (AIC), or one that has both units."""

    VECTOR = "vector"
    CUBE = "cube"
    UNIFIED = "unified"


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes of an on-chip memory: ``slots`` areas of ``size`` bytes from ``offset`` on.

    ``note`` says for people what lives there, in the words of the ``.tile`` file.
    """

    name: str
    memory: Memory
    offset: int
    size: int
    slots: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ref:
    """Elements of ``dtype`` in slot ``slot`` of a buffer, from element ``offset`` on."""

    buffer: Buffer
    dtype: DType
    offset: Scalar = ZERO
    slot: Scalar = ZERO


@dataclass(frozen=True, slots=True)
class Workspace:
    """Scratch in global memory through which the cores of one block exchange tiles.

    Each block of the launch has ``slots`` areas of ``elements`` elements of its own.
    """

    name: str
    dtype: DType
    elements: int
    slots: int


@dataclass(frozen=True, slots=True)
class Global:
    """Elements in global memory: of a tensor from ``offset`` on, or of a slot of a workspace."""

    place: Tensor | Workspace
    offset: Scalar = ZERO
    slot: Scalar = ZERO


@dataclass(frozen=True, slots=True)
class View:
    """A source of a two-dimensional vector instruction: what it reads at ``(row, column)``.

    ``full``: element ``row * stride + column``. ``row``: element ``column`` (one row for all).
    ``col``: 32-byte block ``row``, which holds one value throughout (see `Spread`).
    ``one``: the first 32-byte block, which holds one value throughout.
    """

    ref: Ref
    kind: Lit["full", "row", "col", "one"] = "full"
    stride: Scalar = ZERO
