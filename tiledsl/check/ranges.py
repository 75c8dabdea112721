"""Domains and ranges: ``m in M[lo .. hi] by BM``."""

from typing import Literal as Lit

from tiledsl import scalar
from tiledsl.check.builder import Builder
from tiledsl.check.errors import Misplaced, WrongKind
from tiledsl.check.operators import integer_scalar
from tiledsl.check.type_errors import BadParameter, NotConstant
from tiledsl.scalar import Axis, Literal, Scalar
from tiledsl.syntax import tree


def declare(b: Builder, node: tree.Range, kind: Lit["grid", "for", "span"]) -> Axis | None:
    """Bind the range that ``node`` declares, and return it."""
    bounds = domain(b, node.domain)
    tile = _tile(b, node, kind) if node.by is not None else None
    if bounds is None or (node.by is not None and tile is None):
        b.bind(node.name, None, "a range")
        return None
    lo, hi, source = bounds
    named = source if kind == "span" else None
    axis = b.axis(Axis(node.name.id, kind, lo, hi, tile, source=named, span=node.span))
    b.bind(node.name, axis, "a range", watched=kind == "span")
    return axis


def domain(b: Builder, node: tree.Domain) -> tuple[Scalar, Scalar, Axis | None] | None:
    """Return where a domain starts and ends, and the range whose positions it names again."""
    match node:
        case tree.Between(lo=lo_node, hi=hi_node):
            lo = integer_scalar(b, lo_node, "the start of a domain")
            hi = integer_scalar(b, hi_node, "the end of a domain")
            return None if lo is None or hi is None else (lo, hi, None)
        case tree.Index(base=base, indices=(tree.Slice() as part,), default=None):
            return _slice(b, base, part)
        case tree.Name():
            return _whole(b, node)
        case _:
            size = integer_scalar(b, node, "a domain")
            return None if size is None else (scalar.ZERO, size, None)


def ends(axis: Axis) -> tuple[Scalar, Scalar]:
    """Return the first position of the current tile, and one past its last."""
    if axis.kind == "span":
        return axis.lo, axis.hi
    if axis.is_scalar:
        return scalar.Position(axis), scalar.add(scalar.Position(axis), 1)
    return scalar.Start(axis), scalar.End(axis)


def size(axis: Axis) -> Scalar:
    """Return how many positions the current tile has."""
    if axis.is_scalar:
        return scalar.ONE
    lo, hi = ends(axis)
    extent = scalar.sub(hi, lo)
    plain = axis.kind != "span" or (lo == scalar.ZERO and isinstance(hi, scalar.Dim | Literal))
    return extent if plain else scalar.maximum(extent, scalar.ZERO)


def _whole(b: Builder, node: tree.Name) -> tuple[Scalar, Scalar, Axis | None] | None:
    bound = b.scope.find(node.id)
    if bound is not None and isinstance(bound.meaning, Axis) and not bound.meaning.is_scalar:
        bound.used = True
        lo, hi = ends(bound.meaning)
        return lo, hi, bound.meaning.source or bound.meaning
    size_ = integer_scalar(b, node, "a domain")
    return None if size_ is None else (scalar.ZERO, size_, None)


def _slice(
    b: Builder, base: tree.Expr, part: tree.Slice
) -> tuple[Scalar, Scalar, Axis | None] | None:
    """Return a slice, clipped to what it is a slice of."""
    whole = domain(b, base)
    lo = integer_scalar(b, part.lo, "the start of a slice") if part.lo is not None else None
    hi = integer_scalar(b, part.hi, "the end of a slice") if part.hi is not None else None
    missing = (part.lo is not None and lo is None) or (part.hi is not None and hi is None)
    if whole is None or missing:
        return None
    first, last, _ = whole
    start = first if lo is None else scalar.maximum(lo, first)
    end = last if hi is None else scalar.minimum(hi, last)
    return start, end, None


def _tile(b: Builder, node: tree.Range, kind: str) -> Scalar | None:
    """Return what follows ``by``: a number, or a tile size by name."""
    by = node.by
    assert by is not None
    if kind == "span":
        hint = f"leave `by` out, or write a loop: `for {node.name.id} in ... by BN:`"
        b.error(Misplaced(by.span, "`by`", "a span is one tile", hint))
        return None
    if isinstance(by, tree.Name) and b.scope.find(by.id) is None and by.id not in b.module.consts:
        if not by.id[0].isupper():
            why, hint = "a tile size starts with a capital", f"write `by {by.id.upper()}`"
            b.error(BadParameter(by.span, f"`{by.id}` is no tile size", why, hint))
            return None
        b.tile_sizes[by.id] = None
        return scalar.TileSize(by.id)
    tile = integer_scalar(b, by, "a tile size")
    match tile:
        case None:
            return None
        case Literal(value=value) if value >= 1:
            return tile
        case Literal(value=value):
            why = "a tile has at least one position"
            b.error(BadParameter(by.span, f"a tile size of {value}", why))
            return None
        case scalar.ParamValue(name=name) if name in b.symbols:  # the build will fix it
            return tile
        case scalar.Dim(name=name):
            hint = f"choose a name of its own, `by B{name}`: a schedule, or the compiler, sets it"
            b.error(WrongKind(by.span, name, "a dim", "a tile size", hint))
            return None
        case _:
            hint = "write a number, or a new name that schedules set: `by BM`"
            b.error(NotConstant(by.span, "the tile size", hint))
            return None
