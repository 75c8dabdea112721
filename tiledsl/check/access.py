"""Reading and writing tensors: indices become positions in each dim."""

from tiledsl import ir, scalar
from tiledsl.check.builder import Absent, Builder
from tiledsl.check.errors import AbsentParameter, Misplaced, WrongKind
from tiledsl.check.rules import as_index, assigned
from tiledsl.check.terms import Affine, Term, axes_of, describe
from tiledsl.check.type_errors import ExtraRanges, WrongRank
from tiledsl.check.write_errors import AtomicNeedsInitial, CannotWrite
from tiledsl.scalar import Axis, Element, Literal, Scalar, Tensor
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.types import DType


def load(b: Builder, node: tree.Index) -> Term | None:
    """Return the tile, or the number, that ``node`` reads."""
    tensor = _tensor_of(b, node.base)
    index = indices(b, tensor, node.indices, node.span) if tensor is not None else None
    default: Term | None = None
    if node.default is not None:
        default = b.expression(node.default)
        if tensor is None or default is None:
            return None
        what = f"`{tensor.name}`"
        default = assigned(b, default, tensor.dtype, node.default.span, what)
        if default is None:
            return None
    if tensor is None or index is None:
        return None
    if tensor.role == "table":
        b.tables[tensor] = None
    known = all(not p.terms and p.gather is None for p in index)
    operand = b.operand(default, node.span) if default is not None else None
    if known and tensor.role in ("in", "table") and not isinstance(operand, ir.Value):
        return _element(tensor, tuple(p.offset for p in index), operand, node.span)
    axes = {axis for p in index for axis in _axes(p)}
    if isinstance(operand, ir.Value):
        axes.update(operand.type.axes)
    value = b.value(tensor.dtype, b.in_order(axes))
    b.emit(ir.Load(node.span, value, tensor, index, operand))
    return value


def store(b: Builder, node: tree.Store) -> None:
    """Emit the store that ``node`` is."""
    tensor = _tensor_of(b, node.tensor)
    if tensor is None:
        b.expression(node.value)
        return
    if tensor.role not in ("out", "inout"):
        b.error(CannotWrite(node.tensor.span, tensor.name, tensor.span))
    if node.mode == "atomic" and tensor.role == "out" and tensor.initial is None:
        start = {"max": f"lowest({tensor.dtype})", "min": f"highest({tensor.dtype})"}
        first = start.get(node.op, "0")
        written = shape_text(tensor)
        b.error(AtomicNeedsInitial(node.span, tensor.name, written, tensor.span, first))
    index = indices(b, tensor, node.indices, node.span)
    axes = {axis for p in index for axis in _axes(p)} if index is not None else set()
    with b.listing(tuple(axes)):
        value = b.expression(node.value)
    if value is None or index is None:
        return
    place = node.value.span
    extra = b.in_order(set(axes_of(value)) - axes)
    if extra:
        names = tuple(a.name for a in extra)
        b.error(ExtraRanges(place, f"the index of `{tensor.name}`", names, describe(value)))
        return
    ready = assigned(b, value, tensor.dtype, place, f"`{tensor.name}`")
    if ready is None:
        return
    operand = b.operand(ready, place)
    match node.mode, node.op:
        case "atomic", "+":
            b.emit(ir.Store(node.span, tensor, index, operand, "atomic", "add", node.skip))
        case "atomic", "max":
            b.emit(ir.Store(node.span, tensor, index, operand, "atomic", "max", node.skip))
        case "atomic", "min":
            b.emit(ir.Store(node.span, tensor, index, operand, "atomic", "min", node.skip))
        case "atomic", op:
            hint = "`atomic` adds, or takes the larger or the smaller: `+=`, `max=`, `min=`"
            b.error(Misplaced(node.span, f"`atomic ... {op}=`", "there is no such atomic", hint))
        case mode, _:
            b.emit(ir.Store(node.span, tensor, index, operand, mode, "", node.skip))


def indices(
    b: Builder, tensor: Tensor, nodes: tuple[tree.Expr | tree.Slice, ...], span: Span
) -> tuple[ir.Index, ...] | None:
    """Return the position in each dim of ``tensor``."""
    found: list[ir.Index | None] = []
    for node in nodes:
        if isinstance(node, tree.Slice):
            hint = "declare the range: `span j in L[lo .. hi]`, then index by its name"
            b.error(Misplaced(node.span, "a slice", "tensors are indexed by ranges", hint))
            found.append(None)
            continue
        term = b.expression(node)
        found.append(_index(b, term, node.span) if term is not None else None)
    if len(nodes) != len(tensor.shape):
        rank = len(tensor.shape)
        b.error(WrongRank(span, tensor.name, shape_text(tensor), rank, len(nodes)))
        return None
    whole = tuple(p for p in found if p is not None)
    return whole if len(whole) == len(found) else None


def shape_text(tensor: Tensor) -> str:
    """Return the type of ``tensor`` as it is declared."""
    stars = tensor.star or (False,) * len(tensor.shape)
    pairs = zip(tensor.shape, stars, strict=True)
    dims = [("*" if star else "") + _bare(scalar.show(size)) for size, star in pairs]
    return f"{tensor.dtype}[{', '.join(dims)}]"


def _bare(text: str) -> str:
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _tensor_of(b: Builder, base: tree.Expr) -> Tensor | None:
    if not isinstance(base, tree.Name):
        why = "only tensors are indexed"
        b.error(Misplaced(base.span, "an index", why, "a tile is used whole, by its name"))
        return None
    meaning = b.look(base)
    match meaning:
        case Tensor():
            return meaning
        case None:
            return None
        case Absent(name=name):
            b.error(AbsentParameter(base.span, name))
            return None
        case ir.Value() | Affine() | ir.Var():
            type_ = str(meaning.type) if isinstance(meaning, ir.Var) else describe(meaning)
            hint = f"it is `{type_}` already: write `{base.id}`"
            b.error(WrongKind(base.span, base.id, "a tile", "a tensor", hint))
            return None
        case Axis():
            b.error(WrongKind(base.span, base.id, "a range", "a tensor"))
            return None
        case DType():
            b.error(WrongKind(base.span, base.id, "a type", "a tensor"))
            return None
        case _:
            hint = f"a slice of it is a domain: `for k in {base.id}[lo .. hi] by BK:`"
            b.error(WrongKind(base.span, base.id, "a number", "a tensor", hint))
            return None


def _index(b: Builder, term: Term, place: Span) -> ir.Index | None:
    whole = as_index(b, term, place)
    match whole:
        case None:
            return None
        case Affine(terms=terms, offset=offset):
            return ir.Index(terms, offset)
        case ir.Value():
            return ir.Index((), scalar.ZERO, whole)
        case _:
            return ir.Index((), whole)


def _axes(index: ir.Index) -> tuple[Axis, ...]:
    own = tuple(axis for axis, _ in index.terms)
    return own if index.gather is None else own + index.gather.type.axes


def _element(
    tensor: Tensor, index: tuple[Scalar, ...], default: Scalar | None, span: Span
) -> Scalar:
    """Return one element; that of a table at a known place is its number."""
    if tensor.role == "table" and default is None:
        at = 0
        for position, size in zip(index, tensor.shape, strict=True):
            if not isinstance(position, Literal) or not isinstance(size, Literal):
                break
            if not 0 <= position.value < size.value:
                break
            at = at * int(size.value) + int(position.value)
        else:
            return _constant(tensor.values[at], tensor.dtype)
    return Element(tensor, index, tensor.dtype, default, (), span)


def _constant(value: int | float, dtype: DType) -> Scalar:
    return Literal(value, dtype)
