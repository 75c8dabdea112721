"""The expressions of a reference: every one is an array with named axes."""

from collections.abc import Callable, Sequence
from typing import assert_never

import numpy as np

from tiledsl.ops import OPS, REDUCTIONS, SCANS, bitcast, convert, philox, uniform, wrap
from tiledsl.ops.registry import Array
from tiledsl.reference.errors import fail
from tiledsl.reference.evaluator import Evaluator, TensorValue
from tiledsl.reference.tiles import (
    Range,
    Tile,
    aligned,
    contract,
    numeric,
    reduce,
    scan,
    spread,
    tile,
    union,
    widened,
)
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType

_INFIX = {row.infix: row.name for row in OPS.values() if row.infix}
_CONSTANTS = {"true": True, "false": False, "inf": np.inf, "nan": np.nan}


def evaluate_expression(run: Evaluator, expr: tree.Expr) -> tuple[Tile, ...]:
    """Return the values of ``expr``."""
    match expr:
        case tree.Number(value=value):
            return (tile(value),)
        case tree.Name():
            return (_name(run, expr),)
        case tree.Unary(op=op, operand=operand):
            return (_unary(op, run.tile(operand)),)
        case tree.Binary(op="@", left=left, right=right):
            return (_matmul(run, expr, left, right),)
        case tree.Binary(op=op, left=left, right=right):
            return (_elementwise(_INFIX[op], [run.tile(left), run.tile(right)]),)
        case tree.Compare(first=first, rest=rest):
            return (_compare(run, first, rest),)
        case tree.Logical(op=op, operands=operands):
            sides = [run.tile(o) for o in operands]
            return (_folded(op, sides),)
        case tree.Conditional(condition=condition, then=then, other=other):
            return (run.tile(then if run.scalar(condition) else other),)
        case tree.Index():
            return (_lookup(run, expr),)
        case tree.Call():
            return _call(run, expr)
        case tree.String() | tree.Attribute() | tree.Tuple() | tree.List():
            raise fail(expr.span, "it is no number and no tile")
        case _:
            assert_never(expr)


def _name(run: Evaluator, name: tree.Name) -> Tile:
    bound = run.names.get(name.id)
    if isinstance(bound, Tile):
        return bound
    if isinstance(bound, TensorValue):
        if bound.array.ndim == 0:
            return Tile(bound.array, (), bound.dtype)
        raise fail(name.span, f"`{name.id}` is a tensor", f"index it: `{name.id}[…]`")
    if isinstance(bound, Range):
        return _positions(bound)
    if name.id in _CONSTANTS:
        return tile(_CONSTANTS[name.id])
    constant = run.module.consts.get(name.id)
    if constant is not None:
        table = _constant(constant.item.value)
        if table.ndim:
            raise fail(name.span, f"`{name.id}` is a table", f"index it: `{name.id}[…]`")
        return Tile(table)
    return _positions(run.range_of(name))


def _positions(positions: Range) -> Tile:
    array = np.arange(positions.lo, positions.lo + positions.size, dtype=np.int64)
    return Tile(array, (positions.name,), DType.I32)


def _constant(expr: tree.Expr) -> Array:
    match expr:
        case tree.List(items=items):
            return np.stack([_constant(item) for item in items])
        case tree.Number(value=value):
            return np.asarray(value, np.int64 if isinstance(value, int) else np.float64)
        case tree.Unary(op="-", operand=operand):
            return np.negative(_constant(operand))
        case tree.Unary(op="+", operand=operand):
            return _constant(operand)
        case tree.Name(id=name) if name in _CONSTANTS:
            return np.asarray(_CONSTANTS[name])
        case tree.Binary(op=op, left=left, right=right):
            return np.asarray(OPS[_INFIX[op]].numpy(_constant(left), _constant(right)))
        case _:
            raise fail(expr.span, "it is no constant")


# ---- operators ----------------------------------------------------------------------------------


def _unary(op: str, operand: Tile) -> Tile:
    match op:
        case "-":
            return _elementwise("neg", [operand])
        case "+":
            return operand
        case "~":
            return _elementwise("bitnot", [operand])
        case _:
            return _elementwise("not", [operand])


def _elementwise(name: str, operands: Sequence[Tile]) -> Tile:
    """Apply a row of the op table, its operands broadcast by name."""
    row = OPS[name]
    if row.family in ("arithmetic", "select", "float"):
        operands = [numeric(o) for o in operands]
    axes = union(operands)
    result = np.asarray(row.numpy(*(aligned(o, axes) for o in operands)))
    return Tile(widened(result), axes)


def _folded(name: str, operands: Sequence[Tile]) -> Tile:
    result = operands[0]
    for operand in operands[1:]:
        result = _elementwise(name, [result, operand])
    return result


def _compare(run: Evaluator, first: tree.Expr, rest: tuple[tuple[str, tree.Expr], ...]) -> Tile:
    left, result = run.tile(first), None
    for op, operand in rest:
        right = run.tile(operand)
        pair = _elementwise(_INFIX[op], [left, right])
        result = pair if result is None else _elementwise("and", [result, pair])
        left = right
    assert result is not None
    return result


def _matmul(run: Evaluator, expr: tree.Expr, left: tree.Expr, right: tree.Expr) -> Tile:
    a, b = run.tile(left), run.tile(right)
    common = [axis for axis in a.axes if axis in b.axes]
    if len(common) != 1:
        both = f"share {', '.join(common)}" if common else "share no range"
        raise fail(
            expr.span, f"the two sides of `@` {both}", "say what is summed: `dot(a, b over k)`"
        )
    return contract([a, b], common, run.ranges)


# ---- reading tensors ----------------------------------------------------------------------------


def _lookup(run: Evaluator, expr: tree.Index) -> Tile:
    array, dtype, name = _base(run, expr.base)
    if len(expr.indices) != array.ndim:
        raise fail(expr.span, f"`{name}` has {array.ndim} dims, {len(expr.indices)} indices")
    indices: list[Tile] = []
    for index in expr.indices:
        if isinstance(index, tree.Slice):
            raise fail(index.span, "a slice is no index")
        indices.append(run.tile(index))
    whole = _whole(run, array, expr.indices)
    if whole is not None:
        return Tile(array, whole, dtype)
    for place, text in zip(indices, expr.indices, strict=True):
        if place.array.dtype.kind != "i":
            raise fail(text.span, "an index is an integer")
    axes = union(indices)
    places = [aligned(index, axes) for index in indices]
    shape = [run.ranges[axis].size for axis in axes]
    inside = np.ones(shape, np.bool_)
    for at, size in zip(places, array.shape, strict=True):
        inside &= (at >= 0) & (at < size)
    if inside.all():
        return Tile(np.broadcast_to(array[tuple(places)], shape), axes, dtype)
    if expr.default is None:
        raise fail(expr.span, f"it reads outside `{name}`", "give a default: `else 0`")
    default = run.tile(expr.default)
    if 0 in array.shape:
        picked = np.zeros(shape, array.dtype)
    else:
        clipped = [np.clip(p, 0, n - 1) for p, n in zip(places, array.shape, strict=True)]
        picked = np.broadcast_to(array[tuple(clipped)], shape)
    value, mask = Tile(picked, axes, dtype), Tile(inside, axes)
    result = _elementwise("where", [mask, value, default])
    return Tile(result.array, result.axes, dtype)


def _base(run: Evaluator, base: tree.Expr) -> tuple[Array, DType | None, str]:
    if isinstance(base, tree.Name):
        bound = run.names.get(base.id)
        if isinstance(bound, TensorValue):
            return bound.array, bound.dtype, base.id
        if base.id in run.module.consts and bound is None:
            return _constant(run.module.consts[base.id].item.value), None, base.id
        if base.id in run.absent:
            raise fail(base.span, f"`{base.id}` is not given", f"ask first: `if has({base.id}):`")
    raise fail(base.span, "only tensors and tables are indexed")


def _whole(
    run: Evaluator, array: Array, indices: Sequence[tree.Expr | tree.Slice]
) -> tuple[str, ...] | None:
    """Return the axes, where the indices are different ranges that cover the whole tensor."""
    axes: list[str] = []
    for index, size in zip(indices, array.shape, strict=True):
        if not isinstance(index, tree.Name):
            return None
        bound = run.names.get(index.id)
        if isinstance(bound, Tile | TensorValue):
            return None
        positions = run.range_of(index)
        if positions.lo != 0 or positions.size != size or positions.name in axes:
            return None
        axes.append(positions.name)
    return tuple(axes)


# ---- calls --------------------------------------------------------------------------------------


def _call(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    name = call.function.id
    if name in run.module.fns:
        return _expand(run, call)
    if name in DTYPES or name in run.types:
        return (_cast(_dtype(run, call.function), _one(run, call)),)
    if name in SPECIAL:
        return SPECIAL[name](run, call)
    if call.over:
        return _with_ranges(run, call)
    if name in ("min", "max"):
        return (_folded(name, [run.tile(arg) for arg in _expressions(call)]),)
    if name in OPS and OPS[name].arity == len(call.args):
        return (_elementwise(name, [run.tile(arg) for arg in _expressions(call)]),)
    raise fail(call.function.span, f"there is no function `{name}` of {len(call.args)} arguments")


def _with_ranges(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    """Reductions, scans, sorts: the ranges that ``over`` declares live in this call only."""
    name = call.function.id
    hidden = {over.name.id: run.ranges.get(over.name.id) for over in call.over if over.domain}
    for over in call.over:
        if over.domain is not None:
            run.ranges[over.name.id] = run.domain(over.name.id, over.domain)
    try:
        axes = [run.range_of(over.name).name for over in call.over]
        args = _expressions(call)
        if name == "dot":
            return (contract([run.tile(args[0]), run.tile(args[1])], axes, run.ranges),)
        if name == "sum":
            return (contract([run.tile(f) for f in _factors(args[0])], axes, run.ranges),)
        if name in REDUCTIONS or name == "mean":
            return (reduce(name, run.tile(args[0]), axes, run.ranges),)
        if name in SCANS:
            return (scan(name, run.tile(args[0]), axes[0], run.ranges),)
        if name in ("sort", "topk"):
            return _sort(run, call, run.tile(args[0]), axes[0])
        raise fail(call.function.span, f"there is no `{name}` over ranges")
    finally:
        for key, before in hidden.items():
            if before is None:
                run.ranges.pop(key, None)
            else:
                run.ranges[key] = before


def _factors(expr: tree.Expr) -> list[tree.Expr]:
    """Return the factors of a product, so that a sum of them need not be laid out in full."""
    match expr:
        case tree.Binary(op="*", left=left, right=right):
            return _factors(left) + _factors(right)
        case _:
            return [expr]


def _sort(run: Evaluator, call: tree.Call, value: Tile, over: str) -> tuple[Tile, ...]:
    axes = (*(a for a in value.axes if a != over), over)
    array = spread(value, axes, run.ranges)
    if call.into is None:
        order = np.argsort(array, axis=-1, kind="stable")
        into = over
    else:
        positions = run.range_of(call.into)
        reverse = np.flip(array, -1)
        order = array.shape[-1] - 1 - np.flip(np.argsort(reverse, axis=-1, kind="stable"), -1)
        order = order[..., : positions.size]
        into = positions.name
    kept = (*axes[:-1], into)
    lo = run.ranges[over].lo
    values = np.take_along_axis(array, order, -1)
    return Tile(values, kept, value.dtype), Tile(order.astype(np.int64) + lo, kept, DType.I32)


def _expand(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    """Evaluate a ``fn`` with the names of the file that it stands in."""
    definition = run.module.fns[call.function.id]
    fn = definition.item
    if len(call.args) != len(fn.params):
        raise fail(call.span, f"`{fn.name.id}` takes {len(fn.params)} arguments")
    names: dict[str, Tile | Range | TensorValue] = {}
    for param, arg in zip(fn.params, _expressions(call), strict=True):
        names[param.id] = _argument(run, arg)
    inner = Evaluator(
        definition.module, run.body, run.tensors, {}, {}, dict(run.ranges), {}, frozenset()
    )
    inner.names = names
    if not isinstance(fn.body, tuple):
        return inner.tiles(fn.body)
    inner.run(fn.body[:-1])
    last = fn.body[-1]
    assert isinstance(last, tree.Return)
    return tuple(inner.tile(value) for value in last.values)


def _argument(run: Evaluator, arg: tree.Expr) -> Tile | Range | TensorValue:
    if isinstance(arg, tree.Name):
        bound = run.names.get(arg.id)
        if bound is not None:
            return bound
        if arg.id in run.ranges:
            return run.ranges[arg.id]
    return run.tile(arg)


def _cast(dtype: DType, value: Tile) -> Tile:
    """Cast; f32 and f64 keep what f64 holds, narrower types round as they do in a kernel."""
    if dtype in (DType.F32, DType.F64):
        return Tile(numeric(value).array.astype(np.float64), value.axes, dtype)
    return Tile(widened(convert(value.array, dtype)), value.axes, dtype)


def _dtype(run: Evaluator, name: tree.Expr | tree.Becomes) -> DType:
    if isinstance(name, tree.Name):
        found = run.types.get(name.id) or DTYPES.get(name.id)
        if found is not None:
            return found
    if isinstance(name, tree.Call) and name.function.id == "wide":
        return _dtype(run, name.args[0]).arithmetic
    raise fail(name.span, "an element type is wanted")


def _expressions(call: tree.Call) -> list[tree.Expr]:
    found: list[tree.Expr] = []
    for arg in call.args:
        if isinstance(arg, tree.Becomes):
            raise fail(arg.span, "`->` belongs into `rename`")
        found.append(arg)
    return found


def _one(run: Evaluator, call: tree.Call) -> Tile:
    if len(call.args) != 1:
        raise fail(call.span, f"`{call.function.id}` takes 1 argument, not {len(call.args)}")
    return run.tile(_expressions(call)[0])


def _rename(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    match call.args:
        case (first, tree.Becomes(old=old, new=new)) if not isinstance(first, tree.Becomes):
            value = run.tile(first)
            source, target = run.range_of(old), run.range_of(new)
            if source.size != target.size:
                sizes = f"{source.size} and {target.size}"
                raise fail(call.span, f"`{old.id}` and `{new.id}` have the sizes {sizes}")
            axes = tuple(target.name if a == source.name else a for a in value.axes)
            return (Tile(value.array, axes, value.dtype),)
        case _:
            raise fail(call.span, "it has the form `rename(t, i -> j)`")


def _wrap(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    dtype = _dtype(run, call.args[0])
    value = run.tile(_expressions(call)[1])
    return (Tile(widened(wrap(value.array, dtype)), value.axes, dtype),)


def _bitcast(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    dtype = _dtype(run, call.args[0])
    value = run.tile(_expressions(call)[1])
    own = value.dtype or (DType.F32 if value.is_float else DType.I32)
    bits = bitcast(convert(value.array, own), dtype)
    return (Tile(widened(bits), value.axes, dtype),)


def _extreme(which: int) -> Callable[[Evaluator, tree.Call], tuple[Tile, ...]]:
    def extreme(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
        return (tile(_dtype(run, call.args[0]).limits[which]),)

    return extreme


def _has(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    (name,) = call.args
    return (tile(not (isinstance(name, tree.Name) and name.id in run.absent)),)


def _ceil_div(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    a, b = (run.tile(arg) for arg in _expressions(call))
    top = _elementwise("sub", [_elementwise("add", [a, b]), tile(1)])
    return (_elementwise("floordiv", [top, b]),)


def _size(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    (name,) = call.args
    assert isinstance(name, tree.Name)
    return (tile(run.range_of(name).size),)


def _random(run: Evaluator, call: tree.Call) -> tuple[Tile, ...]:
    seed, offset = (run.tile(arg) for arg in _expressions(call))
    axes = union([seed, offset])
    words = philox(aligned(seed, axes), aligned(offset, axes))
    if call.function.id == "rand":
        return (Tile(widened(uniform(words)), axes, DType.F32),)
    return (Tile(widened(words), axes, DType.U32),)


SPECIAL: dict[str, Callable[[Evaluator, tree.Call], tuple[Tile, ...]]] = {
    "rename": _rename,
    "wrap": _wrap,
    "bitcast": _bitcast,
    "lowest": _extreme(0),
    "highest": _extreme(1),
    "has": _has,
    "ceil_div": _ceil_div,
    "size": _size,
    "rand": _random,
    "bits": _random,
}
