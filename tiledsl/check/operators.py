"""What expressions and statements share: values of names, operators, conditions, products."""

from tiledsl import ir, scalar
from tiledsl.check.builder import Absent, Bound, Builder
from tiledsl.check.errors import AbsentParameter, WrongKind
from tiledsl.check.rules import elementwise
from tiledsl.check.terms import Affine, Term, axes_of, describe, dtype_of, number
from tiledsl.check.type_errors import NotScalar, ProductTypes, WrongOperand
from tiledsl.scalar import Axis, Literal, Scalar, Tensor
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.types import DType

_BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod", "**": "pow",
    "&": "bitand", "|": "bitor", "^": "bitxor", "<<": "shl", ">>": "shr",
}  # fmt: skip
_VALUES: dict[str, Term] = {
    "true": Literal(True, DType.BOOL),
    "false": Literal(False, DType.BOOL),
    "inf": number(float("inf")),
    "nan": number(float("nan")),
}


def name_value(b: Builder, node: tree.Name) -> Term | None:
    """Return the value of a name."""
    if node.id in _VALUES:
        return _VALUES[node.id]
    meaning = b.look(node)
    match meaning:
        case None:
            return None
        case Axis():
            return position(meaning)
        case ir.Var(type=type_):
            value = b.value(type_.dtype, type_.axes)
            value.name = f"{node.id}.{value.name}"
            b.emit(ir.Read(node.span, value, meaning))
            return value
        case Tensor():
            dims = ", ".join(["..."] * len(meaning.shape))
            hint = f"read it with brackets: `{node.id}[{dims}]`"
            b.error(WrongKind(node.span, node.id, "a tensor", "a value", hint))
            return None
        case DType():
            hint = f"a cast has an argument: `{node.id}(x)`"
            b.error(WrongKind(node.span, node.id, "a type", "a value", hint))
            return None
        case Absent():
            b.error(AbsentParameter(node.span, node.id))
            return None
        case ir.Value() | Affine():
            return meaning
        case scalar.Literal() | scalar.Apply() | scalar.Dim() | scalar.ParamValue():
            return meaning
        case scalar.Position() | scalar.Start() | scalar.End() | scalar.Element():
            return meaning
        case _:
            raise AssertionError(meaning)


def position(axis: Axis) -> Term:
    """Return a range as a value: the positions of its tile, or the one where it stands."""
    if axis.is_scalar:
        return scalar.Position(axis)
    return Affine(((axis, scalar.ONE),), scalar.ZERO)


def binary(
    b: Builder,
    op: str,
    left: Term | None,
    right: Term | None,
    left_node: tree.Node,
    right_node: tree.Node,
    span: Span,
) -> Term | None:
    """Return ``left op right`` for an operator of the language other than ``@``."""
    if left is None or right is None:
        return None
    if op in ("max", "min"):
        name = op
    elif op == "@":
        raise AssertionError("`@` is no element-wise operator")
    else:
        name = _BINARY[op]
    if name == "pow":
        return power(b, left, right, (left_node.span, right_node.span), span)
    return elementwise(b, name, (left, right), (left_node.span, right_node.span), span)


def power(
    b: Builder, base: Term, exponent: Term, places: tuple[Span, Span], span: Span
) -> Term | None:
    """Return ``base ** exponent``; a square, cube or fourth power is a product of tiles."""
    small = isinstance(exponent, Literal) and exponent.value in (2, 3, 4)
    if not small or not isinstance(base, ir.Value) or dtype_of(base) is DType.BOOL:
        return elementwise(b, "pow", (base, exponent), places, span)
    assert isinstance(exponent, Literal)
    square = elementwise(b, "mul", (base, base), (places[0], places[0]), span)
    if square is None or exponent.value == 2:
        return square
    other = base if exponent.value == 3 else square
    return elementwise(b, "mul", (square, other), (span, places[0]), span)


def truth(b: Builder, node: tree.Expr, what: str) -> Term | None:
    """Return a condition without ranges; report what is none."""
    term = b.expression(node)
    if term is None:
        return None
    if axes_of(term):
        hint = "a tile takes `where(c, a, b)`; `any(... over i)` makes one truth value of many"
        b.error(NotScalar(node.span, what, describe(term), hint))
        return None
    if dtype_of(term) is not DType.BOOL:
        hint = f"compare it: `{' '.join(node.span.text.split())} != 0`"
        b.error(WrongOperand(node.span, what, "a truth value", describe(term), hint))
        return None
    return term


def use_names(b: Builder, dead: object) -> None:
    """Count the names in a branch that this build leaves out as read."""
    stack = [dead]
    while stack:
        part = stack.pop()
        match part:
            case tree.Name(id=name):
                bound: Bound | None = b.scope.find(name)
                if bound is not None:
                    bound.used = True
            case tree.Node():
                stack.extend(getattr(part, f) for f in part.__dataclass_fields__ if f != "span")
            case tuple():
                stack.extend(part)
            case _:
                pass


def contract(
    b: Builder,
    left: Term,
    right: Term,
    axes: tuple[Axis, ...],
    places: tuple[Span, Span],
    span: Span,
) -> Term | None:
    """Return the sum of products over ``axes``, which both tiles have."""
    one, two = dtype_of(left), dtype_of(right)
    for dtype, term, place in ((one, left, places[0]), (two, right, places[1])):
        if dtype is DType.BOOL:
            hint = f"cast it: `f16({' '.join(place.text.split())})`"
            b.error(WrongOperand(place, "@", "numbers", describe(term), hint))
            return None
    if one is not two:
        b.error(ProductTypes(span, describe(left), describe(right)))
        return None
    a, c = b.operand(left, places[0]), b.operand(right, places[1])
    assert isinstance(a, ir.Value)
    assert isinstance(c, ir.Value)
    kept = (set(a.type.axes) | set(c.type.axes)) - set(axes)
    value = b.value(one.arithmetic, b.in_order(kept))
    b.emit(ir.Contract(span, value, a, c, axes))
    return value


def integer_scalar(b: Builder, node: tree.Expr, what: str, hint: str = "") -> Scalar | None:
    """Return an i32 that is known before the tiles; report anything else."""
    term = b.expression(node)
    if term is None:
        return None
    if isinstance(term, ir.Value | Affine):
        if isinstance(term, ir.Value) and not term.type.axes:
            hint = hint or "it must come from inputs, dims and positions, not from tiles or state"
        b.error(NotScalar(node.span, what, describe(term), hint))
        return None
    if not term.dtype.is_integer:
        hint = hint or f"cast it: `i32({' '.join(node.span.text.split())})`"
        b.error(WrongOperand(node.span, what, "an integer", describe(term), hint))
        return None
    if isinstance(term, Literal):
        return Literal(term.value) if term.dtype is not DType.I32 else term
    return term if term.dtype is DType.I32 else scalar.apply("cast", term, dtype=DType.I32)
