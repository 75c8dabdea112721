"""Calls: functions of the table, casts, reductions, and functions of the file expanded in place."""

from collections.abc import Callable

from tiledsl import ir, scalar
from tiledsl.check import functions, ranges
from tiledsl.check.builder import Absent, Builder
from tiledsl.check.errors import Misplaced, UnknownFunction, UnknownType, WrongKind
from tiledsl.check.folds import dot, mean, reduction, rename, scan, several
from tiledsl.check.names import BUILT_IN_FUNCTIONS, ELEMENTWISE, TYPE_NAMES
from tiledsl.check.operators import power, use_names
from tiledsl.check.rules import cast, elementwise
from tiledsl.check.terms import Affine, Term, describe, dtype_of, number
from tiledsl.check.type_errors import (
    BitcastWidth,
    PrintArguments,
    ResultCount,
    WrongArguments,
    WrongOperand,
)
from tiledsl.ops import OPS, REDUCTIONS, SCANS
from tiledsl.scalar import Axis, Literal, Tensor
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType


def call(b: Builder, node: tree.Call) -> Term | None:
    """Return the one value of a call."""
    results = calls(b, node)
    if results is None:
        return None
    if len(results) != 1:
        b.error(ResultCount(node.span, 1, len(results), node.function.id))
        return None
    return results[0]


def calls(b: Builder, node: tree.Call) -> tuple[Term | None, ...] | None:
    """Return all values of a call; None after an error that has been reported."""
    name = node.function.id
    if name in b.module.fns:
        return functions.expand(b, node, b.module.fns[name])
    if name in ("sort", "topk"):
        return several(b, node)
    return (_one(b, node, name),)


def print_statement(b: Builder, node: tree.Call) -> None:
    """Emit a ``print``; report any other call that is made for nothing."""
    if node.function.id != "print":
        why = "its value goes nowhere"
        b.error(Misplaced(node.span, "a call", why, "bind its value: `x = ...`"))
        return
    if not node.args or not isinstance(node.args[0], tree.String):
        text = 'a text and then values: `print("m = {}", m)`'
        b.error(WrongArguments(node.span, "print", text, "there is no text"))
        return
    text_node, *value_nodes = node.args
    assert isinstance(text_node, tree.String)
    values = [b.expression(n) for n in _plain(b, node, tuple(value_nodes))]
    holes = text_node.value.count("{}")
    if holes != len(value_nodes):
        b.error(PrintArguments(node.span, holes, len(value_nodes)))
        return
    ready = tuple(b.operand(v, node.span) for v in values if v is not None)
    if len(ready) == len(values):
        b.emit(ir.Print(node.span, text_node.value, ready))


def _one(b: Builder, node: tree.Call, name: str) -> Term | None:
    if name in DTYPES or _is_type(b, name):
        return _cast(b, node)
    if node.over:
        if name == "mean":
            return mean(b, node)
        if name == "dot":
            return dot(b, node)
        if name in REDUCTIONS:
            return reduction(b, node, REDUCTIONS[name])
        if name in SCANS:
            return scan(b, node, SCANS[name])
    special = _SPECIAL.get(name)
    if special is not None and not node.over:
        return special(b, node)
    if name in ELEMENTWISE and not node.over:
        return _elementwise(b, node, name)
    if name in BUILT_IN_FUNCTIONS:
        return _wrong_form(b, node, name)
    bound = b.scope.find(name)
    what = ""
    if bound is not None:
        bound.used = True
        what = "a tensor" if isinstance(bound.meaning, Tensor) else bound.kind
    known = (*b.module.fns, *BUILT_IN_FUNCTIONS, *TYPE_NAMES)
    b.error(UnknownFunction(node.function.span, name, known, what))
    for argument in _plain_quietly(node):
        use_names(b, argument)
    return None


def _elementwise(b: Builder, node: tree.Call, name: str) -> Term | None:
    arguments = _plain(b, node, node.args)
    terms = [b.expression(a) for a in arguments]
    arity = OPS[name].arity
    many = name in ("max", "min") and len(terms) > 2
    if len(terms) != arity and not many:
        if name in REDUCTIONS and len(terms) == 1:
            _wrong_form(b, node, name)
        else:
            _count(b, node, _plural(arity))
        return None
    ready = [t for t in terms if t is not None]
    if len(ready) < len(terms):
        return None
    places = [a.span for a in arguments]
    if name == "pow":
        return power(b, ready[0], ready[1], (places[0], places[1]), node.span)
    if not many:
        return elementwise(b, name, ready, places, node.span)
    result: Term | None = ready[0]
    for term, place in zip(ready[1:], places[1:], strict=True):
        if result is not None:
            result = elementwise(b, name, (result, term), (places[0], place), node.span)
    return result


# ---- functions that are no rows of the table ----------------------------------------------------


def _where(b: Builder, node: tree.Call) -> Term | None:
    terms = _arguments(b, node, 3, "a condition and two values")
    if terms is None:
        return None
    return elementwise(b, "where", terms, [a.span for a in node.args], node.span)


def _ceil_div(b: Builder, node: tree.Call) -> Term | None:
    terms = _arguments(b, node, 2, "two integers")
    if terms is None:
        return None
    a, by = terms
    one, places = number(1), [n.span for n in node.args]
    for term, place in zip(terms, places, strict=True):
        if not dtype_of(term).is_integer:
            b.error(WrongOperand(place, "ceil_div", "integers", describe(term)))
            return None
    less = elementwise(b, "sub", (by, one), (places[1], node.span), node.span)
    if less is None:
        return None
    total = elementwise(b, "add", (a, less), places, node.span)
    return None if total is None else elementwise(b, "floordiv", (total, by), places, node.span)


def _limit(b: Builder, node: tree.Call) -> Term | None:
    dtype = _type_argument(b, node, 1, "one type")
    if dtype is None:
        return None
    return Literal(dtype.limits[0 if node.function.id == "lowest" else 1], dtype)


def _bits_of(b: Builder, node: tree.Call) -> Term | None:
    """``wrap(T, x)`` and ``bitcast(T, x)``."""
    dtype = _type_argument(b, node, 2, "a type and a value")
    if dtype is None:
        return None
    argument = node.args[1]
    assert not isinstance(argument, tree.Becomes)
    term = b.expression(argument)
    if term is None:
        return None
    name, have = node.function.id, dtype_of(term)
    if name == "bitcast" and have.bits != dtype.bits:
        b.error(BitcastWidth(node.span, describe(term), str(dtype)))
        return None
    if name == "wrap" and not dtype.is_integer:
        hint = f"write `{dtype}(...)`: only integers wrap"
        b.error(WrongOperand(node.args[0].span, name, "an integer type", str(dtype), hint))
        return None
    if isinstance(term, ir.Value | Affine):
        return b.compute(name, (b.operand(term, node.span),), dtype, node.span)
    return scalar.apply(name, term, dtype=dtype)


def _edge(b: Builder, node: tree.Call) -> Term | None:
    """``start(m)``, ``end(m)``, ``size(m)``."""
    argument = node.args[0] if len(node.args) == 1 else None
    if not isinstance(argument, tree.Name):
        _count(b, node, "the name of a range")
        return None
    meaning = b.look(argument)
    if meaning is None:
        return None
    if not isinstance(meaning, Axis):
        kind = "a tensor" if isinstance(meaning, Tensor) else "a value"
        b.error(WrongKind(argument.span, argument.id, kind, "a range"))
        return None
    if node.function.id == "size":
        return ranges.size(meaning)
    lo, hi = ranges.ends(meaning)
    return lo if node.function.id == "start" else hi


def _has(b: Builder, node: tree.Call) -> Term | None:
    argument = node.args[0] if len(node.args) == 1 else None
    if not isinstance(argument, tree.Name):
        _count(b, node, "the name of a parameter")
        return None
    meaning = b.look(argument)
    if meaning is None:
        return None
    if not isinstance(meaning, Absent | Tensor):
        b.error(WrongKind(argument.span, argument.id, "no tensor", "a parameter `= none`"))
        return None
    return Literal(not isinstance(meaning, Absent), DType.BOOL)


def _random(b: Builder, node: tree.Call) -> Term | None:
    terms = _arguments(b, node, 2, "a seed and an offset")
    if terms is None:
        return None
    for term, argument in zip(terms, node.args, strict=True):
        if not dtype_of(term).is_integer:
            hint = "the seed and the offset are integers"
            name = node.function.id
            b.error(WrongOperand(argument.span, name, "integers", describe(term), hint))
            return None
    seed, offset = (b.operand(t, node.span) for t in terms)
    axes = {a for t in (seed, offset) if isinstance(t, ir.Value) for a in t.type.axes}
    floats = node.function.id == "rand"
    value = b.value(DType.F32 if floats else DType.U32, b.in_order(axes))
    b.emit(ir.Random(node.span, value, "rand" if floats else "bits", seed, offset))
    return value


def _print(b: Builder, node: tree.Call) -> Term | None:
    b.error(Misplaced(node.span, "`print`", "it has no value", "give it a line of its own"))
    return None


def _cast(b: Builder, node: tree.Call) -> Term | None:
    dtype = _dtype(b, node.function)
    terms = _arguments(b, node, 1, "one value")
    if terms is None or dtype is None:
        return None
    return cast(b, terms[0], dtype, node.span)


_SPECIAL: dict[str, Callable[[Builder, tree.Call], Term | None]] = {
    "where": _where, "ceil_div": _ceil_div, "lowest": _limit, "highest": _limit,
    "wrap": _bits_of, "bitcast": _bits_of, "start": _edge, "end": _edge, "size": _edge,
    "has": _has, "rename": rename, "rand": _random, "bits": _random, "print": _print,
}  # fmt: skip


# ---- arguments ----------------------------------------------------------------------------------


def _arguments(b: Builder, node: tree.Call, count: int, wanted: str) -> list[Term] | None:
    arguments = _plain(b, node, node.args)
    terms = [b.expression(a) for a in arguments]
    if len(terms) != count:
        _count(b, node, wanted)
        return None
    ready = [t for t in terms if t is not None]
    return ready if len(ready) == count else None


def _plain(
    b: Builder, node: tree.Call, arguments: tuple[tree.Expr | tree.Becomes, ...]
) -> list[tree.Expr]:
    found: list[tree.Expr] = []
    for argument in arguments:
        if isinstance(argument, tree.Becomes):
            hint = "`rename(t, i -> j)` is the one function that takes it"
            b.error(Misplaced(argument.span, "`->`", f"in a call of `{node.function.id}`", hint))
        else:
            found.append(argument)
    return found


def _plain_quietly(node: tree.Call) -> tuple[tree.Expr, ...]:
    return tuple(a for a in node.args if not isinstance(a, tree.Becomes))


def _type_argument(b: Builder, node: tree.Call, count: int, wanted: str) -> DType | None:
    if len(node.args) != count:
        _count(b, node, wanted)
        return None
    argument = node.args[0]
    if isinstance(argument, tree.Call) and argument.function.id == "wide":
        inner = argument.args[0] if len(argument.args) == 1 else argument
        dtype = _dtype(b, inner) if isinstance(inner, tree.Name) else None
        return None if dtype is None else wide(dtype)
    if not isinstance(argument, tree.Name):
        b.error(WrongArguments(argument.span, node.function.id, wanted, "this is no type"))
        return None
    return _dtype(b, argument)


def _is_type(b: Builder, name: str) -> bool:
    bound = b.scope.find(name)
    return bound is not None and isinstance(bound.meaning, DType)


def _dtype(b: Builder, name: tree.Name) -> DType | None:
    if name.id in DTYPES:
        return DTYPES[name.id]
    bound = b.scope.find(name.id)
    if bound is not None and isinstance(bound.meaning, DType):
        bound.used = True
        return bound.meaning
    if bound is None or not isinstance(bound.meaning, DType):
        generic = tuple(n for n in b.scope.visible() if _is_type(b, n))
        b.error(UnknownType(name.span, name.id, (*generic, *TYPE_NAMES)))
    return None


def dtype_named(b: Builder, node: tree.Type) -> DType | None:
    """Return the element type that ``f32``, ``T`` or ``wide(T)`` names."""
    if node.argument is None:
        return _dtype(b, node.name)
    inner = _dtype(b, node.argument)
    if node.name.id != "wide":
        b.error(UnknownType(node.name.span, node.name.id, ("wide",)))
        return None
    return None if inner is None else wide(inner)


def wide(dtype: DType) -> DType:
    """Return the type of the sums of ``dtype``."""
    return DType.I32 if dtype is DType.BOOL else dtype.arithmetic


def _count(b: Builder, node: tree.Call, wanted: str) -> None:
    got = f"here are {len(node.args)}" if node.args else "here is none"
    got = "here is 1" if len(node.args) == 1 else got
    b.error(WrongArguments(node.span, node.function.id, wanted, got))


def _plural(arity: int) -> str:
    return "1 argument" if arity == 1 else f"{arity} arguments"


def _wrong_form(b: Builder, node: tree.Call, name: str) -> Term | None:
    """Say how ``name`` is called."""
    span: Span = node.span
    if name in ("sum", "mean", "prod", "any", "all", "argmax", "argmin", "max", "min") or (
        name in SCANS
    ):
        form = f"a tile and ranges: `{name}(x over i)`"
        got = "there is no `over`" if not node.over else "`over` is not for it"
    elif name == "dot":
        form, got = "two tiles and ranges: `dot(a, b over k)`", "there is no `over`"
    else:
        form, got = "no `over`", "ranges are for sums and the like"
    b.error(WrongArguments(span, name, form, got))
    return None
