"""What an operation is: one row of the op table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from tiledsl.types import DType

Array = npt.NDArray[Any]

# How the checker types an op, and what its operands are cast to:
#   arithmetic  numbers; computed in the arithmetic type (f16 -> f32, i8 -> i32); the result has it
#   float       floats only, computed in f32 (f64); an integer tile is an error
#   select      numbers; operands meet at one type, which the result keeps (max, clamp, round …)
#   compare     numbers or bools that meet at one type (as for arithmetic); the result is bool
#   logic       bools
#   bits        integers; computed in the arithmetic type
#   where       a bool, then two operands that meet at one type, which the result keeps
#   cast        one operand of any type; the result's type is given
Family = Literal["arithmetic", "float", "select", "compare", "logic", "bits", "where", "cast"]


class Term(Protocol):
    """A tile in an expansion: arithmetic with tiles and numbers gives tiles."""

    def __add__(self, other: "Term | float") -> "Term": ...
    def __radd__(self, other: float) -> "Term": ...
    def __sub__(self, other: "Term | float") -> "Term": ...
    def __rsub__(self, other: float) -> "Term": ...
    def __mul__(self, other: "Term | float") -> "Term": ...
    def __rmul__(self, other: float) -> "Term": ...
    def __truediv__(self, other: "Term | float") -> "Term": ...
    def __rtruediv__(self, other: float) -> "Term": ...
    def __neg__(self) -> "Term": ...
    def __lt__(self, other: "Term | float") -> "Term": ...
    def __le__(self, other: "Term | float") -> "Term": ...
    def __gt__(self, other: "Term | float") -> "Term": ...
    def __ge__(self, other: "Term | float") -> "Term": ...


class Maker(Protocol):
    """What an expansion builds with: any op of the table by name."""

    def __call__(self, op: str, *operands: "Term | float") -> Term:
        """Return the tile that ``op`` gives for ``operands``."""

    def cast(self, operand: "Term", dtype: DType) -> "Term":
        """Return ``operand`` as another type."""

    def bitcast(self, operand: "Term", dtype: DType) -> "Term":
        """Return the bits of ``operand`` as another type."""

    def whole(self, *operands: "Term") -> bool:
        """Return whether all are integers."""


Expansion = Callable[..., Term]


@dataclass(frozen=True, slots=True)
class Op:
    """Everything tiledsl knows about one element-wise operation.

    ``numpy`` is the meaning: arrays of the operands' types in, an array out (rounded to the result
    type by `evaluate`). ``cuda`` is an expression on registers with ``{0} {1} {2}`` to fill in,
    ``cuda_integer`` the one for integers where it differs; the functions of namespace ``tdsl`` are
    leaf operations of ``tiledsl_cuda.cuh``. ``npu`` is the vector instruction's name, or ``expand``
    builds the op out of others (``expand(make, *operands)``, for a cast also the type); an op with
    neither is not there on the NPU. ``infix`` is its spelling as an operator.
    """

    name: str
    arity: int
    family: Family
    summary: str
    numpy: Callable[..., Array] = field(compare=False, repr=False)
    cuda: str = field(compare=False, repr=False)
    cuda_integer: str = field(default="", compare=False, repr=False)
    npu: str = field(default="", compare=False, repr=False)
    expand: Expansion | None = field(default=None, compare=False, repr=False)
    infix: str = field(default="", compare=False, repr=False)

    def evaluate(self, operands: tuple[Array, ...], dtype: DType) -> Array:
        """Apply the meaning and round to ``dtype``; no floating-point warnings."""
        with np.errstate(all="ignore"):
            return np.asarray(self.numpy(*operands)).astype(dtype.numpy, copy=False)


@dataclass(frozen=True, slots=True)
class Reduction:
    """Everything tiledsl knows about one way to fold the elements along axes.

    ``combine`` is the op that joins two elements (``""`` for argmax and argmin). ``numpy`` takes
    an array and an axis tuple. ``identity`` is the result over nothing, for a type. ``scan`` is
    the function's name as a scan. ``reduced_in`` is the type in which elements of a type are
    reduced, ``result`` the type of the result.
    """

    name: str
    combine: str
    summary: str
    numpy: Callable[[Array, tuple[int, ...]], Array] = field(compare=False, repr=False)
    identity: Callable[[DType], int | float] = field(compare=False, repr=False)
    reduced_in: Callable[[DType], DType] = field(compare=False, repr=False)
    result: Callable[[DType], DType] = field(compare=False, repr=False)
    scan: str = ""
    numpy_scan: Callable[[Array, int], Array] | None = field(
        default=None, compare=False, repr=False
    )
