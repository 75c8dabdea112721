"""Functions of ranges: reductions, scans, ``dot``, ``sort``, ``topk``, ``rename``."""

from tiledsl import ir, scalar
from tiledsl.check import ranges
from tiledsl.check.builder import Absent, Builder
from tiledsl.check.errors import WrongKind
from tiledsl.check.operators import contract
from tiledsl.check.rules import cast, elementwise
from tiledsl.check.terms import Term, axes_of, describe
from tiledsl.check.type_errors import LacksRange, RenameExtent, WrongArguments, WrongOperand
from tiledsl.ops import Reduction
from tiledsl.ops.table import REDUCTIONS
from tiledsl.scalar import Axis, Tensor
from tiledsl.syntax import tree
from tiledsl.types import DType


def reduction(b: Builder, node: tree.Call, row: Reduction) -> Term | None:
    """Return ``sum(x over i, j)`` and the like."""
    found = _operand(b, node)
    return None if found is None else _reduce(b, node, row, *found)


def mean(b: Builder, node: tree.Call) -> Term | None:
    """Return the sum divided by the number of positions."""
    found = _operand(b, node)
    if found is None:
        return None
    operand, axes = found
    if not operand.type.dtype.is_float:
        text = " ".join(node.args[0].span.text.split())
        hint = f"write `mean(f32({text}) over ...)`"
        type_ = describe(operand)
        b.error(WrongOperand(node.args[0].span, "mean", "floats", type_, hint))
        return None
    total = _reduce(b, node, REDUCTIONS["sum"], operand, axes)
    count: scalar.Scalar = scalar.ONE
    for axis in axes:
        count = scalar.mul(count, ranges.size(axis))
    if total is None:
        return None
    return elementwise(b, "div", (total, count), (node.span, node.span), node.span)


def scan(b: Builder, node: tree.Call, row: Reduction) -> Term | None:
    """Return ``cumsum(x over i)`` and the like."""
    found = _operand(b, node)
    if found is None:
        return None
    operand, axes = found
    if len(axes) != 1:
        _one_range(b, node)
        return None
    if not _numbers(b, node, operand):
        return None
    ready = cast(b, operand, row.reduced_in(operand.type.dtype), node.span)
    assert isinstance(ready, ir.Value)
    value = b.value(row.result(operand.type.dtype), operand.type.axes)
    b.emit(ir.Scan(node.span, value, row, ready, axes[0]))
    return value


def dot(b: Builder, node: tree.Call) -> Term | None:
    """Return ``dot(a, b over k, e)``."""
    if len(node.args) != 2 or any(isinstance(a, tree.Becomes) for a in node.args):
        text = "two tiles and ranges: `dot(a, b over k)`"
        b.error(WrongArguments(node.span, "dot", text, f"here are {len(node.args)}"))
        return None
    with b.names():
        axes = _over(b, node)
        left_node, right_node = node.args
        assert not isinstance(left_node, tree.Becomes)
        assert not isinstance(right_node, tree.Becomes)
        left = b.expression(left_node)
        right = b.expression(right_node)
    if left is None or right is None or axes is None:
        return None
    for term, argument in ((left, left_node), (right, right_node)):
        for axis in axes:
            if axis not in axes_of(term):
                b.error(LacksRange(argument.span, "dot", axis.name, describe(term)))
                return None
    places = (left_node.span, right_node.span)
    return contract(b, left, right, axes, places, node.span)


def several(b: Builder, node: tree.Call) -> tuple[Term | None, ...] | None:
    """Return the values and positions of ``sort`` or ``topk``."""
    name = node.function.id
    if not node.over or (node.into is None) != (name == "sort"):
        form = "`sort(x over n)`" if name == "sort" else "`topk(x over n into k)`"
        got = "there is no `over`" if not node.over else "there is no `into`"
        got = "`into` is for `topk`" if name == "sort" and node.into is not None else got
        b.error(WrongArguments(node.span, name, f"a tile and a range: {form}", got))
        return None
    found = _operand(b, node)
    into: Axis | None = None
    if node.into is not None:
        into = _range(b, node.into)
        if into is None:
            return None
    if found is None:
        return None
    operand, axes = found
    if len(axes) != 1:
        _one_range(b, node)
        return None
    if not _numbers(b, node, operand):
        return None
    kept = set(operand.type.axes) - ({axes[0]} if into is not None else set())
    if into is not None:
        if into in kept or into.is_scalar:
            form = "a span of its own: `span k in K`"
            b.error(WrongArguments(node.span, "topk", form, f"`{into.name}` is taken"))
            return None
        kept.add(into)
    order = b.in_order(kept)
    values = b.value(operand.type.dtype, order)
    positions = b.value(DType.I32, order)
    b.emit(ir.Sort(node.span, values, positions, operand, axes[0], into))
    return values, positions


def rename(b: Builder, node: tree.Call) -> Term | None:
    """Return ``rename(t, i -> j)``."""
    good = len(node.args) == 2 and isinstance(node.args[1], tree.Becomes)
    if not good or isinstance(node.args[0], tree.Becomes):
        form = "a tile and two ranges: `rename(t, i -> j)`"
        b.error(WrongArguments(node.span, "rename", form, "here is something else"))
        return None
    argument, becomes = node.args
    assert isinstance(becomes, tree.Becomes)
    assert not isinstance(argument, tree.Becomes)
    term = b.expression(argument)
    old, new = _range(b, becomes.old), _range(b, becomes.new)
    if term is None or old is None or new is None:
        return None
    if old not in axes_of(term):
        b.error(LacksRange(argument.span, "rename", old.name, describe(term)))
        return None
    if new in axes_of(term):
        text = f"a range that the tile has not; it has `{new.name}`"
        b.error(WrongArguments(becomes.new.span, "rename", text, ""))
        return None
    if not _same_extent(old, new):
        b.error(RenameExtent(becomes.span, old.name, new.name))
        return None
    operand = b.operand(term, argument.span)
    assert isinstance(operand, ir.Value)
    value = b.value(operand.type.dtype, b.in_order((set(operand.type.axes) - {old}) | {new}))
    b.emit(ir.Rename(node.span, value, operand, old, new))
    return value


# ---- operands and ranges ------------------------------------------------------------------------


def _reduce(
    b: Builder, node: tree.Call, row: Reduction, operand: ir.Value, axes: tuple[Axis, ...]
) -> Term | None:
    have = operand.type.dtype
    if row.name in ("argmax", "argmin") and len(axes) != 1:
        _one_range(b, node)
        return None
    if row.name in ("any", "all"):
        if have is not DType.BOOL:
            text = " ".join(node.args[0].span.text.split())
            hint = f"compare it: `{row.name}({text} != 0 over ...)`"
            place = node.args[0].span
            b.error(WrongOperand(place, row.name, "truth values", describe(operand), hint))
            return None
    elif row.name != "sum" and not _numbers(b, node, operand):
        return None
    ready = cast(b, operand, row.reduced_in(have), node.span)
    assert isinstance(ready, ir.Value)
    kept = tuple(a for a in operand.type.axes if a not in axes)
    value = b.value(row.result(have), kept)
    b.emit(ir.Reduce(node.span, value, row, ready, axes))
    return value


def _operand(b: Builder, node: tree.Call) -> tuple[ir.Value, tuple[Axis, ...]] | None:
    """Return the one operand of a call with ``over``, and its ranges."""
    argument = node.args[0] if len(node.args) == 1 else None
    name = node.function.id
    if argument is None or isinstance(argument, tree.Becomes):
        form = f"one tile and ranges: `{name}(x over i)`"
        b.error(WrongArguments(node.span, name, form, f"here are {len(node.args)}"))
        return None
    with b.names():
        axes = _over(b, node)
        term = b.expression(argument)
    if term is None or axes is None:
        return None
    for axis in axes:
        if axis not in axes_of(term):
            b.error(LacksRange(node.span, name, axis.name, describe(term)))
            return None
    operand = b.operand(term, argument.span)
    assert isinstance(operand, ir.Value)
    return operand, axes


def _over(b: Builder, node: tree.Call) -> tuple[Axis, ...] | None:
    """Return the ranges after ``over``; those with a domain are declared here."""
    found: list[Axis | None] = []
    for over in node.over:
        if over.domain is None:
            found.append(_range(b, over.name))
            continue
        part = tree.Range(over.span, over.name, over.domain, None)
        axis = ranges.declare(b, part, "span")
        if axis is not None:
            b.look(over.name)
        found.append(axis)
    good = tuple(a for a in found if a is not None)
    if len(set(good)) < len(good):
        form = "each range once"
        b.error(WrongArguments(node.span, node.function.id, form, "one is named twice"))
        return None
    return good if len(good) == len(found) else None


def _range(b: Builder, name: tree.Name) -> Axis | None:
    """Return the range with ranges of its own that ``name`` means."""
    meaning = b.look(name)
    match meaning:
        case None:
            return None
        case Axis() if meaning.is_scalar:
            hint = "a range without `by` stands at one position"
            b.error(WrongKind(name.span, name.id, "a position", "a range of a tile", hint))
        case Axis():
            return meaning
        case Tensor():
            b.error(WrongKind(name.span, name.id, "a tensor", "a range"))
        case Absent():
            b.error(WrongKind(name.span, name.id, "a parameter", "a range"))
        case _:
            hint = f"declare it for this expression: `over {name.id.lower()} in {name.id}`"
            dims = isinstance(meaning, scalar.Dim)
            b.error(WrongKind(name.span, name.id, "a value", "a range", hint if dims else ""))
    return None


def _same_extent(a: Axis, b: Axis) -> bool:
    if (a.source or a) is (b.source or b):
        return True
    if a.kind != "span" or b.kind != "span":
        return False
    return (a.lo, a.hi) == (b.lo, b.hi) or scalar.sub(a.hi, a.lo) == scalar.sub(b.hi, b.lo)


def _numbers(b: Builder, node: tree.Call, operand: ir.Value) -> bool:
    if operand.type.dtype is not DType.BOOL:
        return True
    hint = "truth values take `any`, `all` and `sum`"
    place, name = node.args[0].span, node.function.id
    b.error(WrongOperand(place, name, "numbers", describe(operand), hint))
    return False


def _one_range(b: Builder, node: tree.Call) -> None:
    got = f"here are {len(node.over)}"
    b.error(WrongArguments(node.span, node.function.id, "one range", got))
