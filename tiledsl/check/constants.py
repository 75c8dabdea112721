"""Constants: numbers, and tables of numbers that are indexed like tensors."""

from tiledsl.check import calls
from tiledsl.check.builder import Builder, Meaning, Scope
from tiledsl.check.errors import Recursion
from tiledsl.check.rules import literal
from tiledsl.check.terms import Term, number
from tiledsl.check.type_errors import BadTable, NotConstant, TooLarge
from tiledsl.scalar import Literal, Tensor
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.types import DType

_DEEPEST = 40


def constant(b: Builder, name: str) -> Meaning | None:
    """Return what a constant of the module means, evaluated among the names of its own file."""
    definition = b.module.consts[name]
    if definition in b.constants:
        return b.constants[definition]
    item = definition.item
    if definition in b.evaluating or len(b.evaluating) > _DEEPEST:
        if definition in b.evaluating:
            b.error(Recursion(item.name.span, "constant", item.name.id))
        else:
            limit = f"constants need each other at most {_DEEPEST} deep"
            b.error(TooLarge(item.name.span, f"`{item.name.id}`", limit))
        b.constants[definition] = None
        return None
    b.evaluating.append(definition)
    outer = (b.module, b.scope)
    b.module, b.scope = definition.module, Scope()
    meaning = _evaluate(b, item)
    b.module, b.scope = outer
    b.evaluating.pop()
    b.constants[definition] = meaning
    return meaning


def _evaluate(b: Builder, item: tree.Const) -> Meaning | None:
    dtype = calls.dtype_named(b, item.type) if item.type is not None else None
    if item.type is not None and dtype is None:
        return None
    if isinstance(item.value, tree.List):
        return _table(b, item, dtype)
    value = number_of(b, item.value, f"the constant `{item.name.id}`")
    if value is None or dtype is None or value.dtype is DType.BOOL:
        return value
    return literal(b, value, dtype, item.value.span)


def number_of(b: Builder, node: tree.Expr, what: str) -> Literal | None:
    """Return a number that is known at compile time; report any other expression."""
    match node:
        case tree.Number(value=value):  # the many entries of a table
            term: Term | None = number(value)
        case tree.Unary(op="-", operand=tree.Number(value=value)):
            term = number(-value)
        case _:
            term = b.expression(node)
    if term is None or isinstance(term, Literal):
        return term
    b.error(NotConstant(node.span, what, "write a number, or arithmetic on constants"))
    return None


def _table(b: Builder, item: tree.Const, dtype: DType | None) -> Tensor | None:
    assert isinstance(item.value, tree.List)
    values: list[Literal] = []
    places: list[Span] = []
    shape = _rows(b, item.value, values, places)
    if shape is None:
        return None
    if dtype is None:
        dtype = DType.F32 if any(v.dtype.is_float for v in values) else DType.I32
    found = [literal(b, v, dtype, p) for v, p in zip(values, places, strict=True)]
    numbers = tuple(v.value for v in found if v is not None)
    if len(numbers) < len(values):
        return None
    sizes = tuple(Literal(n) for n in shape)
    stars = (False,) * len(shape)
    return Tensor(item.name.id, dtype, sizes, "table", stars, None, numbers, item.name.span)


def _rows(
    b: Builder, node: tree.List, values: list[Literal], places: list[Span]
) -> tuple[int, ...] | None:
    """Append the numbers of ``node``, row by row; return its shape."""
    inner: tuple[int, ...] | None = None
    good = bool(node.items)
    if not node.items:
        b.error(BadTable(node.span, "this row is empty"))
    for at, part in enumerate(node.items):
        if isinstance(part, tree.List):
            shape = _rows(b, part, values, places)
        else:
            value = number_of(b, part, "an entry of a table")
            shape = () if value is not None and value.dtype is not DType.BOOL else None
            if value is not None and shape is None:
                b.error(BadTable(part.span, "this is no number"))
            if value is not None:
                values.append(value)
                places.append(part.span)
        good = good and shape is not None
        if at and good and shape != inner:
            b.error(BadTable(part.span, f"this has {_entries(shape)}, the first {_entries(inner)}"))
            return None
        inner = shape
    return (len(node.items), *inner) if good and inner is not None else None


def _entries(shape: tuple[int, ...] | None) -> str:
    return "no entries of its own" if not shape else f"{shape[0]} entries"
