"""The type rules of element-wise operations: which type operands meet at, and what it costs."""

import math
from collections.abc import Sequence

import numpy as np

from tiledsl import ir, scalar
from tiledsl.check.builder import Builder
from tiledsl.check.terms import (
    Affine,
    Term,
    affine,
    axes_of,
    describe,
    dtype_of,
    is_free,
    number,
    spell,
)
from tiledsl.check.type_errors import (
    IntegerMeetsFloat,
    LiteralDoesNotFit,
    NeedsCast,
    NoCommonType,
    OuterProduct,
    TooLarge,
    WrongOperand,
)
from tiledsl.ops import OPS, Op
from tiledsl.scalar import Literal, Scalar
from tiledsl.source import Span
from tiledsl.types import DType

_MOST_PARTS, _DEEPEST = 1000, 100


def elementwise(
    b: Builder, op: str, terms: Sequence[Term], places: Sequence[Span], span: Span
) -> Term | None:
    """Apply a row of the op table under the rules of its family; ``places`` are the operands'."""
    row = OPS[op]
    if op in ("floordiv", "mod") and isinstance(terms[1], Literal) and terms[1].value == 0:
        b.error(WrongOperand(places[1], row.infix, "a divisor other than 0", "0"))
        return None
    folded = _fold(op, terms)
    if folded is not None:
        if isinstance(folded.value, int) and not -(2**63) <= folded.value < 2**63:
            b.error(TooLarge(span, "this number", "it does not fit 64 bits"))
            return None
        return folded
    match row.family:
        case "logic":
            return _logic(b, row, terms, places, span)
        case "where":
            return _where(b, terms, places, span)
        case "select":
            dtype = meet(b, terms, places, span)
            result = dtype
        case "compare":
            dtype = _compared(b, terms, places, span)
            result = DType.BOOL
        case "bits":
            if not _all_integers(b, row, terms, places):
                return None
            dtype = meet(b, terms, places, span, widen=True)
            result = DType.I32 if op == "popcount" else dtype
        case _:
            dtype = meet(b, terms, places, span, widen=True)
            if row.family == "float" and dtype is not None and not dtype.is_float:
                return _needs_float(b, row, terms, places)
            result = DType.BOOL if op in ("isnan", "isinf") else dtype
    if dtype is None or result is None or not outer_is_spelled(b, terms, span):
        return None
    if dtype is DType.BOOL and row.family != "compare":
        place = next(p for t, p in zip(terms, places, strict=True) if dtype_of(t) is DType.BOOL)
        hint = f"write `i32({_flat(place)})`" if row.family == "arithmetic" else "use `and`, `or`"
        name = "-" if op == "neg" else row.infix or op
        b.error(WrongOperand(place, name, "numbers", "bool", hint))
        return None
    cast = [convert(b, t, dtype, p) for t, p in zip(terms, places, strict=True)]
    return make(b, op, cast, result, span)


def make(
    b: Builder, op: str, terms: Sequence[Term | None], dtype: DType, span: Span
) -> Term | None:
    """Apply ``op`` to operands of the right types: at once to numbers, as a statement to tiles."""
    ready = [t for t in terms if t is not None]
    if len(ready) < len(terms):
        return None
    numbers = [t for t in ready if not isinstance(t, ir.Value | Affine)]
    if len(numbers) == len(ready):
        number_ = scalar.apply(op, *numbers, dtype=dtype)
        return number_ if _bearable(b, (number_,), span) else None
    if dtype is DType.I32 and op in ("add", "sub", "mul", "neg"):
        indices = [t for t in ready if not isinstance(t, ir.Value)]
        if len(indices) == len(ready):
            one = indices if op != "neg" else [indices[0], Literal(-1)]
            result = affine("mul" if op == "neg" else op, one[0], one[1])
            if result is not None:
                if isinstance(result, Affine):
                    parts = (result.offset, *(mult for _, mult in result.terms))
                else:
                    parts = (result,)
                return result if _bearable(b, parts, span) else None
    return b.compute(op, tuple(b.operand(t, span) for t in ready), dtype, span)


def _bearable(b: Builder, numbers: tuple[Scalar, ...], span: Span) -> bool:
    """Report numbers that have grown, binding by binding, beyond what later stages can walk."""
    for number_ in numbers:
        parts, depth = b.weigh(number_)
        if parts > _MOST_PARTS or depth > _DEEPEST:
            limit = f"at most {_MOST_PARTS} operations, {_DEEPEST} deep, on numbers"
            b.error(TooLarge(span, "this expression, with all that it is made of,", limit))
            return False
    return True


def meet(
    b: Builder, terms: Sequence[Term], places: Sequence[Span], span: Span, *, widen: bool = False
) -> DType | None:
    """Return the type at which ``terms`` meet; with ``widen`` the one arithmetic happens in."""
    pairs = list(zip(terms, places, strict=True))
    fixed = [(t, p) for t, p in pairs if not is_free(t)]
    if not fixed:
        literals = [t for t in terms if isinstance(t, Literal)]
        if any(t.dtype.is_float for t in literals):
            return DType.F32
        kinds = [dtype_of(t) for t in terms if not isinstance(t, Literal)]
        kinds = kinds or [t.dtype for t in literals]
        found = kinds[0].arithmetic if widen else kinds[0]
        for kind in kinds[1:]:
            joined = _join(found, kind.arithmetic if widen else kind)
            if joined is None:
                b.error(NoCommonType(span, str(found), str(kind)))
                return None
            found = joined
        return found
    floats = [(t, p) for t, p in fixed if dtype_of(t).is_float]
    whole = [(t, p) for t, p in fixed if dtype_of(t).is_integer]
    bools = [(t, p) for t, p in fixed if dtype_of(t) is DType.BOOL]
    if floats and whole:
        b.error(IntegerMeetsFloat(whole[0][1], describe(whole[0][0]), describe(floats[0][0])))
        return None
    if bools and len(bools) < len(terms):
        other = next(t for t in terms if dtype_of(t) is not DType.BOOL)
        b.error(NoCommonType(bools[0][1], "bool", str(dtype_of(other))))
        return None
    dtype = dtype_of(fixed[0][0])
    if widen and dtype is not DType.BOOL:
        dtype = dtype.arithmetic
    for term, _ in fixed[1:]:
        kind = dtype_of(term)
        joined = _join(dtype, kind.arithmetic if widen and kind is not DType.BOOL else kind)
        if joined is None:
            b.error(NoCommonType(span, str(dtype), str(kind)))
            return None
        dtype = joined
    return dtype


def _join(a: DType, b: DType) -> DType | None:
    """Return the narrowest type that holds both, or None."""
    if a is b:
        return a
    if a.is_float and b.is_float:
        for wide, narrow in ((a, b), (b, a)):
            if wide.bits > narrow.bits and wide.bits != 16:
                return wide
            if wide.bits == 16 and narrow.bits == 8 and (wide is DType.BF16 or "5" in str(narrow)):
                return wide
        return DType.F32
    if a.is_integer and b.is_integer:
        for wide, narrow in ((a, b), (b, a)):
            low, high = wide.limits
            if low <= narrow.limits[0] and narrow.limits[1] <= high:
                return wide
        return DType.I32 if max(a.bits, b.bits) < 32 else None
    return None


def convert(b: Builder, term: Term, dtype: DType, place: Span) -> Term | None:
    """Return ``term`` as ``dtype`` by a cast that nobody had to write."""
    have = dtype_of(term)
    if isinstance(term, Literal) and term.dtype is not DType.BOOL:
        return literal(b, term, dtype, place)
    return term if have is dtype else cast(b, term, dtype, place)


def cast(b: Builder, term: Term, dtype: DType, span: Span) -> Term:
    """Return ``term`` cast to ``dtype``."""
    if dtype_of(term) is dtype and not isinstance(term, Literal):
        return term
    if isinstance(term, ir.Value | Affine):
        tile = b.operand(term, span)
        assert isinstance(tile, ir.Value)
        return b.cast(tile, dtype, span)
    if isinstance(term, Literal) and dtype.is_integer and isinstance(term.value, int):
        low, high = dtype.limits
        return Literal(int(min(max(int(term.value), low), high)), dtype)
    return scalar.apply("cast", term, dtype=dtype)


def literal(b: Builder, term: Literal, dtype: DType, place: Span) -> Literal | None:
    """Return the number as a ``dtype``; report one that ``dtype`` does not hold."""
    value = term.value
    if dtype.is_float:
        return Literal(float(value), dtype)
    if dtype is DType.BOOL:
        b.error(NoCommonType(place, "bool", str(term.dtype)))
        return None
    low, high = dtype.limits
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        why = "a float literal meets an integer tile"
        b.error(LiteralDoesNotFit(place, repr(value), str(dtype), why))
        return None
    if isinstance(value, float) or not low <= value <= high:
        why = "it takes the type of the tile that it meets"
        b.error(LiteralDoesNotFit(place, repr(value), str(dtype), why))
        return None
    return Literal(value, dtype)


def assigned(b: Builder, term: Term, dtype: DType, place: Span, what: str) -> Term | None:
    """Return ``term`` as a store or a ``var`` of ``dtype`` takes it.

    Floats round to floats, integers widen, what is free takes the type; all else is written.
    """
    have = dtype_of(term)
    if isinstance(term, Literal) and term.dtype is not DType.BOOL:
        if term.dtype.is_float and not dtype.is_float:
            b.error(NeedsCast(place, what, str(have), str(dtype)))
            return None
        return literal(b, term, dtype, place)
    widens = have.is_integer and dtype.is_integer and _join(have, dtype) is dtype
    rounds = have.is_float and dtype.is_float
    free = is_free(term) and dtype is not DType.BOOL
    if have is not dtype and not (widens or rounds or free):
        b.error(NeedsCast(place, what, str(have), str(dtype)))
        return None
    return term if have is dtype else cast(b, term, dtype, place)


def outer_is_spelled(b: Builder, terms: Sequence[Term], span: Span) -> bool:
    """Report float tiles of which none has all ranges, unless the statement lists them all."""
    tiles = [set(axes_of(t)) for t in terms if dtype_of(t).is_float and axes_of(t)]
    if len(tiles) < 2:
        return True
    union = set().union(*tiles)
    if any(len(t) == len(union) for t in tiles) or union <= b.listed:
        return True
    left = tiles[0]
    right = next(t for t in tiles if not t <= left)
    both = b.in_order(left | right)
    names = [tuple(a.name for a in b.in_order(t)) for t in (left, right)]
    b.error(OuterProduct(span, names[0], names[1], spell(DType.F32, both)))
    return False


# ---- families that need more --------------------------------------------------------------------


def _fold(op: str, terms: Sequence[Term]) -> Literal | None:
    """Compute on literals at once; floats in double precision."""
    values = [t.value for t in terms if isinstance(t, Literal) and t.dtype is not DType.BOOL]
    if len(values) < len(terms) or OPS[op].family in ("logic", "where", "cast"):
        return None
    integers = [v for v in values if isinstance(v, int)]
    if len(integers) == len(values) and op not in ("div", "pow") and OPS[op].family != "float":
        if op in ("floordiv", "mod") and integers[1] == 0:
            return None
        if op in ("shl", "shr") and not 0 <= integers[1] < 64:
            return None
        result = scalar.apply(op, *(Literal(v, DType.I64) for v in integers))
        return _number(result.value) if isinstance(result, Literal) else None
    if op == "pow" and len(integers) == 2 and 0 <= integers[1] <= 64:
        power: int = integers[0] ** integers[1]
        return _number(power)
    if op in ("floordiv", "mod") or OPS[op].family == "bits":
        return None
    arrays = tuple(np.asarray(float(v)) for v in values)
    result_type = DType.BOOL if _is_test(op) else DType.F64
    value = OPS[op].evaluate(arrays, result_type)
    return _number(bool(value)) if _is_test(op) else number(float(value))


def _is_test(op: str) -> bool:
    return OPS[op].family == "compare" or op in ("isnan", "isinf")


def _number(value: int | float | bool) -> Literal:
    return Literal(value, DType.BOOL) if isinstance(value, bool) else number(value)


def _logic(
    b: Builder, row: Op, terms: Sequence[Term], places: Sequence[Span], span: Span
) -> Term | None:
    name = row.infix or row.name
    good = [is_truth(b, name, t, p) for t, p in zip(terms, places, strict=True)]
    if not all(good):
        return None
    return make(b, row.name, terms, DType.BOOL, span)


def is_truth(b: Builder, op: str, term: Term, place: Span) -> bool:
    """Return whether ``term`` is of truth values; report what is not."""
    if dtype_of(term) is DType.BOOL:
        return True
    hint = f"compare it: `{_flat(place)} != 0`"
    if op in ("and", "or", "not") and dtype_of(term).is_integer:
        hint += f", or for bits write `{ {'and': '&', 'or': '|', 'not': '~'}[op] }`"
    b.error(WrongOperand(place, op, "truth values", describe(term), hint))
    return False


def _where(b: Builder, terms: Sequence[Term], places: Sequence[Span], span: Span) -> Term | None:
    condition, yes, no = terms
    good = is_truth(b, "where", condition, places[0])
    dtype = meet(b, (yes, no), places[1:], span)
    if dtype is None or not good or not outer_is_spelled(b, (yes, no), span):
        return None
    if isinstance(condition, Literal):
        chosen, place = (yes, places[1]) if condition.value else (no, places[2])
        if set(axes_of(yes)) == set(axes_of(no)):
            return convert(b, chosen, dtype, place)
    cases = [convert(b, t, dtype, p) for t, p in zip((yes, no), places[1:], strict=True)]
    return make(b, "where", (condition, *cases), dtype, span)


def _compared(
    b: Builder, terms: Sequence[Term], places: Sequence[Span], span: Span
) -> DType | None:
    if all(dtype_of(t) is DType.BOOL for t in terms):
        return DType.BOOL
    return meet(b, terms, places, span, widen=True)


def _all_integers(b: Builder, row: Op, terms: Sequence[Term], places: Sequence[Span]) -> bool:
    for term, place in zip(terms, places, strict=True):
        if not dtype_of(term).is_integer:
            words = {"bitand": "and", "bitor": "or", "bitnot": "not"}
            hint = ""
            if dtype_of(term) is DType.BOOL and row.name in words:
                hint = f"truth values take `{words[row.name]}`"
            elif dtype_of(term).is_float:
                hint = "for its bits write `bitcast(i32, ...)`"
            b.error(WrongOperand(place, row.infix or row.name, "integers", describe(term), hint))
            return False
    return True


def _needs_float(b: Builder, row: Op, terms: Sequence[Term], places: Sequence[Span]) -> Term | None:
    name = row.infix or row.name
    term, place = terms[0], places[0]
    if dtype_of(term) is DType.BOOL:
        hint = f"cast it: `f32({_flat(place)})`"
    elif name == "/":
        hint = f"write `//` to round down, or `f32({_flat(place)}) / ...`"
    else:
        hint = f"write `{name}(f32({_flat(place)}))`"
    b.error(WrongOperand(place, name, "floats", describe(term), hint))
    return None


def _flat(place: Span) -> str:
    text = " ".join(place.text.split())
    return text if len(text) <= 40 else "..."


def as_index(b: Builder, term: Term, place: Span) -> Scalar | Affine | ir.Value | None:
    """Return an integer term as an i32; report what is no integer."""
    if not dtype_of(term).is_integer:
        hint = f"cast it: `i32({_flat(place)})`"
        b.error(WrongOperand(place, "[]", "integers", describe(term), hint))
        return None
    if isinstance(term, Literal):
        return literal(b, term, DType.I32, place)
    return term if dtype_of(term) is DType.I32 else cast(b, term, DType.I32, place)
