"""Expressions: what is written becomes typed values, statement by statement."""

from tiledsl.check import access, calls
from tiledsl.check.builder import Builder
from tiledsl.check.errors import Misplaced
from tiledsl.check.operators import binary, contract, name_value, truth, use_names
from tiledsl.check.rules import elementwise, is_truth, make
from tiledsl.check.terms import Term, axes_of, describe, number
from tiledsl.check.type_errors import SharedRange
from tiledsl.scalar import Literal
from tiledsl.syntax import tree
from tiledsl.types import DType

_COMPARE = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def expression(b: Builder, node: tree.Expr) -> Term | None:
    """Return what ``node`` is; None after an error that has been reported."""
    match node:
        case tree.Name():
            return name_value(b, node)
        case tree.Number(value=value):
            return number(value)
        case tree.Binary():
            return _chain(b, node)
        case tree.Index():
            return access.load(b, node)
        case tree.Call():
            return calls.call(b, node)
        case tree.Compare():
            return _comparison(b, node)
        case tree.Unary():
            return _unary(b, node)
        case tree.Logical():
            return _logical(b, node)
        case tree.Conditional():
            return _conditional(b, node)
        case tree.String():
            why = "a text is no number"
            b.error(Misplaced(node.span, "a text", why, "texts belong to `print` and `assert`"))
        case tree.List():
            b.error(Misplaced(node.span, "a table", "it has no name", "name it: `const W = [...]`"))
        case tree.Tuple():
            why = "several values are no value"
            b.error(Misplaced(node.span, "a tuple", why, "name its parts one by one"))
        case tree.Attribute():
            why = "values have no parts"
            b.error(Misplaced(node.span, f"`.{node.name}`", why))
    return None


def _chain(b: Builder, node: tree.Binary) -> Term | None:
    """Return ``a + b - c …``, which leans to the left, without going down it by recursion."""
    chain = [node]
    while isinstance(chain[-1].left, tree.Binary):
        chain.append(chain[-1].left)
    term = b.expression(chain[-1].left)
    for part in reversed(chain):
        right = b.expression(part.right)
        if part.op == "@":
            term = _product(b, part, term, right)
        else:
            term = binary(b, part.op, term, right, part.left, part.right, part.span)
    return term


# ---- operators ----------------------------------------------------------------------------------


def _unary(b: Builder, node: tree.Unary) -> Term | None:
    term = b.expression(node.operand)
    if term is None:
        return None
    if node.op == "not" and isinstance(term, Literal) and term.dtype is DType.BOOL:
        return Literal(not term.value, DType.BOOL)
    if node.op == "-" and isinstance(term, Literal) and term.dtype is not DType.BOOL:
        return Literal(-term.value, term.dtype)
    if node.op == "+":
        return elementwise(b, "add", (term, number(0)), (node.operand.span, node.span), node.span)
    op = {"-": "neg", "~": "bitnot", "not": "not"}[node.op]
    return elementwise(b, op, (term,), (node.operand.span,), node.span)


def _comparison(b: Builder, node: tree.Compare) -> Term | None:
    result: Term | None = None
    left, left_node = b.expression(node.first), node.first
    whole = True
    for op, right_node in node.rest:
        right = b.expression(right_node)
        if left is None or right is None:
            whole = False
        else:
            span = left_node.span.to(right_node.span)
            places = (left_node.span, right_node.span)
            one = elementwise(b, _COMPARE[op], (left, right), places, span)
            whole = whole and one is not None
            result = one if result is None else make(b, "and", (result, one), DType.BOOL, node.span)
        left, left_node = right, right_node
    return result if whole else None


def _logical(b: Builder, node: tree.Logical) -> Term | None:
    """Join truth values; one that is known at compile time decides, or drops out."""
    decides = node.op == "or"
    result: Term | None = None
    whole = True
    for at, operand in enumerate(node.operands):
        term = b.expression(operand)
        if term is None or not is_truth(b, node.op, term, operand.span):
            whole = False
        elif not isinstance(term, Literal):
            pair = (result, term)
            result = term if result is None else make(b, node.op, pair, DType.BOOL, node.span)
        elif term.value is decides:
            use_names(b, node.operands[at + 1 :])
            return term if whole else None
    if not whole:
        return None
    return result if result is not None else Literal(not decides, DType.BOOL)


def _conditional(b: Builder, node: tree.Conditional) -> Term | None:
    condition = truth(b, node.condition, "the condition of `if`")
    if isinstance(condition, Literal):
        use_names(b, node.other if condition.value else node.then)
        return b.expression(node.then if condition.value else node.other)
    then, other = b.expression(node.then), b.expression(node.other)
    if condition is None or then is None or other is None:
        return None
    places = (node.condition.span, node.then.span, node.other.span)
    return elementwise(b, "where", (condition, then, other), places, node.span)


def _product(b: Builder, node: tree.Binary, left: Term | None, right: Term | None) -> Term | None:
    if left is None or right is None:
        return None
    shared = b.in_order(set(axes_of(left)) & set(axes_of(right)))
    if len(shared) != 1:
        names = tuple(a.name for a in shared)
        b.error(SharedRange(node.span, describe(left), describe(right), names))
        return None
    return contract(b, left, right, shared, (node.left.span, node.right.span), node.span)
