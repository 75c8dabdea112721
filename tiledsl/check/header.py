"""The header of a kernel or an op: types, dims, parameters, outputs, facts."""

from dataclasses import dataclass
from typing import Literal as Lit

from tiledsl import ir, scalar
from tiledsl.check import calls
from tiledsl.check.builder import Absent, Builder
from tiledsl.check.constants import number_of
from tiledsl.check.errors import UnknownName
from tiledsl.check.operators import integer_scalar
from tiledsl.check.rules import assigned, literal
from tiledsl.check.terms import Affine
from tiledsl.check.type_errors import (
    BadFact,
    BadParameter,
    FactFails,
    TypeChoice,
    WrongOperand,
)
from tiledsl.scalar import Dim, Element, Literal, ParamValue, Scalar, Tensor
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType


@dataclass(frozen=True, slots=True)
class Header:
    """What the header and the facts say, under a binding."""

    params: tuple[ir.Tensor | ir.ScalarParam, ...]
    outputs: tuple[Tensor, ...]
    dims: tuple[str, ...]
    facts: tuple[ir.Fact, ...]
    rest: tuple[tree.Stmt, ...]


def header(b: Builder, item: tree.Kernel | tree.Op, binding: ir.Binding) -> Header:
    """Bind the names of the header, and return it for one binding."""
    _types(b, item, binding)
    facts, rest = _split(item.body)
    scalars = {p.name.id: _scalar(b, p, binding) for p in item.params if p.type.dims is None}
    dims = _dims(b, item)
    present = [p for p in item.params if p.name.id not in binding.absent]
    inputs = {d for p in present for d in _named(p.type, dims)}
    shown = inputs | {d for t in _results(item) for d in _named(t, dims)}
    pins = _pins(binding, dims, facts)
    for name, place in dims.items():
        size = Literal(pins[name]) if name in pins else Dim(name)
        b.bind(place, size if name in shown else Absent(name), "a dim")
    for name, _ in binding.pinned:
        if name not in dims:
            b.error(UnknownName(item.name.span, name, tuple(dims)))
    params: list[Tensor | ir.ScalarParam] = []
    for param in item.params:
        if param.type.dims is None:
            entry = scalars[param.name.id]
            if entry is not None:
                params.append(entry)
        else:
            tensor = _input(b, param, binding)
            if tensor is not None:
                params.append(tensor)
    outputs = [_output(b, p) for p in item.outputs]
    free = tuple(d for d in dims if d in shown and d not in pins)
    defined = {d for d in free if d not in inputs}
    return Header(
        tuple(params),
        tuple(o for o in outputs if o is not None),
        free,
        tuple(f for node in facts if (f := _fact(b, node, pins, defined)) is not None),
        rest,
    )


# ---- types and scalars --------------------------------------------------------------------------


def _types(b: Builder, item: tree.Kernel | tree.Op, binding: ir.Binding) -> None:
    given = dict(binding.types)
    for generic in item.generics:
        for choice in generic.choices:
            if choice.id not in DTYPES:
                calls.dtype_named(b, tree.Type(choice.span, choice, None, None))
        choices = tuple(c.id for c in generic.choices)
        dtype = given.pop(generic.name.id, None)
        if dtype is None or str(dtype) not in choices:
            name = generic.name.id
            b.error(TypeChoice(generic.span, name, str(dtype or ""), choices))
        b.bind(generic.name, dtype, "a type")
    for name, dtype in given.items():
        known = tuple(g.name.id for g in item.generics)
        b.error(TypeChoice(item.name.span, name, str(dtype), known or ("none",)))


def _scalar(b: Builder, param: tree.Param, binding: ir.Binding) -> ir.ScalarParam | None:
    """Bind a scalar parameter; a ``const`` one is a number, or a symbol until a build fixes it."""
    name = param.name
    dtype = calls.dtype_named(b, param.type)
    default = _default(b, param, dtype) if param.default is not None else None
    if param.kind == "inout":
        hint = f"a tensor with one element: `inout {name.id}: {param.type.span.text}[1]`"
        b.error(BadParameter(param.span, "`inout` is for tensors", "this is a scalar", hint))
    if dtype is None:
        b.bind(name, None, "a parameter")
        return None
    if param.kind != "const":
        b.bind(name, ParamValue(name.id, dtype), "a parameter")
        return ir.ScalarParam(name.id, dtype, default, param.span)
    given = dict(binding.consts).get(name.id, default)
    if given is None:
        b.symbols.add(name.id)
        b.bind(name, ParamValue(name.id, dtype), "a parameter")
        return None
    value: Scalar = Literal(given, dtype)
    if dtype.is_float:  # a number with a type of its own, as it is when a launch gives it
        value = scalar.apply("cast", Literal(float(given), dtype), dtype=dtype)
    b.bind(name, value, "a parameter")
    return None


def _default(b: Builder, param: tree.Param, dtype: DType | None) -> int | float | bool | None:
    assert param.default is not None
    if isinstance(param.default, tree.Name) and param.default.id == "none":
        why = "a scalar is always given"
        hint = f"a number as default: `{param.name.id}: f32 = 1.0`"
        b.error(BadParameter(param.default.span, "only tensors may be left out", why, hint))
        return None
    value = number_of(b, param.default, f"the default of `{param.name.id}`")
    if value is None or dtype is None:
        return None
    if (value.dtype is DType.BOOL) != (dtype is DType.BOOL):
        name = param.name.id
        b.error(WrongOperand(param.default.span, f"{name} =", f"`{dtype}`", str(value.dtype)))
        return None
    if dtype is DType.BOOL:
        return value.value
    fitted = literal(b, value, dtype, param.default.span)
    return fitted.value if fitted is not None else None


# ---- dims and tensors ---------------------------------------------------------------------------


def _dims(b: Builder, item: tree.Kernel | tree.Op) -> dict[str, tree.Name]:
    """Return the names in shapes that are nothing else: the dims, in order of appearance."""
    found: dict[str, tree.Name] = {}
    types = [*(p.type for p in item.params), *_results(item)]
    tensors = {p.name.id for p in (*item.params, *item.outputs) if p.type.dims is not None}
    for type_ in types:
        for dim in type_.dims or ():
            for name in _names(dim):
                known = b.scope.find(name.id) is not None or name.id in b.module.consts
                if name.id in found or known:
                    continue
                if name.id in tensors:
                    why = "it is the name of a tensor too"
                    b.error(BadParameter(name.span, f"`{name.id}` cannot be a dim", why))
                elif name.id[0].isupper():
                    found[name.id] = name
                elif not _bound_later(item, name.id):
                    hint = f"a dim starts with a capital: `{name.id.upper()}`; else a parameter"
                    why = "it is no parameter"
                    b.error(BadParameter(name.span, f"unknown size `{name.id}`", why, hint))
                    b.bind(name, None, "a dim")
    return found


def _bound_later(item: tree.Kernel | tree.Op, name: str) -> bool:
    """Return whether an op binds ``name`` for the shapes of its temporaries."""
    binds = (s for s in item.body if isinstance(s, tree.Bind))
    return isinstance(item, tree.Op) and any(n.id == name for s in binds for n in s.names)


def _names(node: object) -> list[tree.Name]:
    """Return the names inside a size, in order; those of functions are none."""
    match node:
        case tree.Name(id=word):
            return [node] if word not in ("true", "false", "inf", "nan", "none") else []
        case tree.Star(name=name):
            return [name]
        case tree.Call(args=args):
            return _names(args)
        case tree.Index():  # `k[0]` is no size, and is reported where sizes are read
            return []
        case tree.Node():
            fields = node.__dataclass_fields__
            return [n for f in fields if f != "span" for n in _names(getattr(node, f))]
        case tuple():
            return [n for part in node for n in _names(part)]
        case _:
            return []


def _results(item: tree.Kernel | tree.Op) -> list[tree.Type]:
    """Return the types of the outputs, and of an op's temporaries."""
    temps = (s.type for s in item.body if isinstance(s, tree.Temp))
    return [*(o.type for o in item.outputs), *temps]


def _named(type_: tree.Type, dims: dict[str, tree.Name]) -> list[str]:
    return [n.id for d in type_.dims or () for n in _names(d) if n.id in dims]


def _pins(
    binding: ir.Binding, dims: dict[str, tree.Name], facts: tuple[tree.Expr, ...]
) -> dict[str, int]:
    """Return the dims that the build or a fact ``D == 64`` makes numbers."""
    pins: dict[str, int] = {}
    for fact in facts:
        match fact:
            case tree.Compare(first=tree.Name(id=name), rest=(("==", tree.Number(value=value)),)):
                if name in dims and isinstance(value, int):
                    pins[name] = value
            case _:
                pass
    return pins | {name: value for name, value in binding.pinned if name in dims}


def _input(b: Builder, param: tree.Param, binding: ir.Binding) -> Tensor | None:
    name = param.name
    absent = name.id in binding.absent
    tensor = None if absent else _tensor(b, param, "inout" if param.kind == "inout" else "in")
    if param.kind == "const":
        why = "this is a tensor"
        hint = "a table is an item of its own: `const W = [...]`"
        b.error(BadParameter(param.span, "`const` is for scalars", why, hint))
    optional = isinstance(param.default, tree.Name) and param.default.id == "none"
    if param.default is not None and not optional:
        why = "an input has no default but `none`"
        b.error(BadParameter(param.default.span, "a default for an input tensor", why))
    if optional and param.kind == "inout":
        why = "it is written"
        b.error(BadParameter(param.span, f"`inout {name.id}` cannot be left out", why))
    if absent:
        b.bind(name, Absent(name.id), "a parameter")
        return None
    b.bind(name, tensor, "a tensor")
    return tensor


def _output(b: Builder, param: tree.Param) -> Tensor | None:
    name = param.name
    if param.type.dims is None or param.kind:
        why = "a scalar comes back as a tensor of one element"
        hint = f"write `{name.id}: {param.type.span.text}[1]`"
        if param.kind:
            why, hint = f"`{param.kind}` stands before `->`", "leave it out"
        b.error(BadParameter(param.span, "an output is a tensor", why, hint))
        b.bind(name, None, "a tensor")
        return None
    tensor = _tensor(b, param, "out")
    if tensor is not None and param.default is not None:
        first = number_or_param(b, param.default, tensor.dtype)
        tensor.initial = first
    b.bind(name, tensor, "a tensor")
    return tensor


def number_or_param(b: Builder, node: tree.Expr, dtype: DType) -> Scalar | None:
    """Return the value with which a tensor starts."""
    term = b.expression(node)
    if term is None:
        return None
    if isinstance(term, ir.Value | Affine) or any(
        isinstance(s, Element) for s in scalar.walk(term)
    ):
        what = "the first value of an output is a number or a parameter"
        b.error(BadParameter(node.span, what))
        return None
    ready = assigned(b, term, dtype, node.span, "the output")
    assert ready is None or not isinstance(ready, ir.Value | Affine)
    return ready


def _tensor(b: Builder, param: tree.Param, role: Lit["in", "out", "inout"]) -> Tensor | None:
    dtype = calls.dtype_named(b, param.type)
    shape = sizes(b, param.type)
    if dtype is None or shape is None:
        return None
    stars = tuple(isinstance(d, tree.Star) for d in param.type.dims or ())
    if sum(stars) > 1:
        why = "where the first ends is not known"
        b.error(BadParameter(param.type.span, "two dims with a star in one tensor", why))
        return None
    return Tensor(param.name.id, dtype, shape, role, stars, span=param.name.span)


def sizes(b: Builder, node: tree.Type) -> tuple[Scalar, ...] | None:
    """Return the shape that a type spells."""
    found: list[Scalar | None] = []
    for dim in node.dims or ():
        name = dim.name if isinstance(dim, tree.Star) else dim
        size = integer_scalar(b, name, "a size")
        if size is not None and _reads(size):
            why = "it is read from a tensor, whose size is not known yet"
            b.error(BadParameter(name.span, "a size comes from dims and parameters", why))
            size = None
        if isinstance(size, Literal) and size.value < 0:
            b.error(BadParameter(name.span, f"a size of {size.value}", "sizes start at 0"))
            size = None
        found.append(size)
    good = tuple(s for s in found if s is not None)
    return good if len(good) == len(found) else None


def _reads(size: Scalar) -> bool:
    return any(isinstance(s, Element) for s in scalar.walk(size))


# ---- facts --------------------------------------------------------------------------------------


def _split(body: tuple[tree.Stmt, ...]) -> tuple[tuple[tree.Expr, ...], tuple[tree.Stmt, ...]]:
    """Return the facts that open a body, and the rest of it."""
    at = 0
    facts: tuple[tree.Expr, ...] = ()
    while at < len(body):
        line = body[at]
        if not isinstance(line, tree.Where):
            break
        facts += line.facts
        at += 1
    return facts, body[at:]


def _fact(b: Builder, node: tree.Expr, pins: dict[str, int], defined: set[str]) -> ir.Fact | None:
    text = " ".join(node.span.text.split())
    term = b.expression(node)
    if term is None:
        return None
    if isinstance(term, ir.Value | Affine) or any(
        isinstance(s, Element) for s in scalar.walk(term)
    ):
        b.error(BadFact(node.span, "what a tensor holds is not known at launch"))
        return None
    if term.dtype is not DType.BOOL:
        b.error(BadFact(node.span, f"this is a number, `{term.dtype}`"))
        return None
    if isinstance(term, Literal):
        if not term.value:
            names = {n.id for n in _names(node)}
            values = tuple(f"{k} = {v}" for k, v in pins.items() if k in names)
            b.error(FactFails(node.span, text, values))
        return None
    name, value = _definition(term, defined)
    return ir.Fact(term, text, node.span, name, value)


def _definition(term: Scalar, defined: set[str]) -> tuple[str, Scalar | None]:
    """Return the output's dim that ``P == ...`` gives a size, and that size."""
    if isinstance(term, scalar.Apply) and term.op == "eq":
        for dim, value in (term.args, term.args[::-1]):
            if isinstance(dim, Dim) and dim.name in defined and dim not in scalar.walk(value):
                return dim.name, value
    return "", None
