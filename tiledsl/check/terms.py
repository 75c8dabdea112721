"""What an expression becomes while it is checked: a number, a tile, or positions not yet made."""

from dataclasses import dataclass

from tiledsl import ir, scalar
from tiledsl.scalar import Axis, Scalar
from tiledsl.types import DType


@dataclass(frozen=True, slots=True)
class Affine:
    """The i32 tile ``offset + sum(mult * position(axis))``: an index as it is, a tile on demand."""

    terms: tuple[tuple[Axis, Scalar], ...]
    offset: Scalar


Term = ir.Value | Scalar | Affine


def dtype_of(term: Term) -> DType:
    """Return the element type."""
    match term:
        case ir.Value(type=type_):
            return type_.dtype
        case Affine():
            return DType.I32
        case _:
            return term.dtype


def axes_of(term: Term) -> tuple[Axis, ...]:
    """Return the ranges, in no order that matters."""
    match term:
        case ir.Value(type=type_):
            return type_.axes
        case Affine(terms=terms):
            return tuple(axis for axis, _ in terms)
        case _:
            return ()


def is_scalar(term: Term) -> bool:
    """Return whether it is known before the tiles."""
    return not isinstance(term, ir.Value | Affine)


def is_free(term: Term) -> bool:
    """Return whether it takes the type it meets: a literal, or an integer without ranges."""
    if isinstance(term, scalar.Literal):
        return term.dtype is not DType.BOOL
    return not axes_of(term) and dtype_of(term).is_integer


def spell(dtype: DType, axes: tuple[Axis, ...]) -> str:
    """Return ``f32[m, n]``."""
    return f"{dtype}[{', '.join(a.name for a in axes)}]" if axes else str(dtype)


def describe(term: Term) -> str:
    """Return the type as it is written."""
    return spell(dtype_of(term), axes_of(term))


def number(value: int | float) -> scalar.Literal:
    """Return a literal that takes the type it meets."""
    if isinstance(value, float):
        return scalar.Literal(value, DType.F32)
    return scalar.Literal(value, DType.I32 if -(2**31) <= value < 2**31 else DType.I64)


def affine(op: str, a: Scalar | Affine, b: Scalar | Affine) -> Scalar | Affine | None:
    """Return ``a op b`` of i32 numbers where it is affine again; ``op`` is add, sub or mul."""
    left = a if isinstance(a, Affine) else Affine((), a)
    right = b if isinstance(b, Affine) else Affine((), b)
    match op:
        case "mul" if not left.terms:
            return _scaled(right, left.offset)
        case "mul" if not right.terms:
            return _scaled(left, right.offset)
        case "add" | "sub":
            mults = dict(left.terms)
            for axis, mult in right.terms:
                mults[axis] = scalar.apply(op, mults.get(axis, scalar.ZERO), mult)
            return _affine(mults, scalar.apply(op, left.offset, right.offset))
        case _:
            return None


def _scaled(tile: Affine, by: Scalar) -> Scalar | Affine:
    mults = {axis: scalar.mul(mult, by) for axis, mult in tile.terms}
    return _affine(mults, scalar.mul(tile.offset, by))


def _affine(mults: dict[Axis, Scalar], offset: Scalar) -> Scalar | Affine:
    terms = tuple((axis, mult) for axis, mult in mults.items() if mult != scalar.ZERO)
    return Affine(terms, offset) if terms else offset
