"""The statements of a reference, one after the other over whole tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tiledsl.check import Module
from tiledsl.ir import Tensor
from tiledsl.ops.registry import Array
from tiledsl.reference.errors import fail
from tiledsl.reference.ranges import unknown_range
from tiledsl.reference.tiles import Range, Tile, aligned, numeric, spread, union
from tiledsl.syntax import tree
from tiledsl.types import DType


@dataclass(slots=True)
class TensorValue:
    """A whole tensor, as f64, i64 or bool, with its type in memory."""

    array: Array
    dtype: DType


Binding = Tile | Range | TensorValue


class Evaluator:
    """Runs a body; ``names`` are its bindings so far, ``ranges`` its free indices."""

    def __init__(
        self,
        module: Module,
        body: tuple[tree.Stmt, ...],
        tensors: Mapping[str, Tensor],
        values: dict[str, TensorValue],
        names: Mapping[str, Tile],
        ranges: dict[str, Range],
        types: Mapping[str, DType],
        absent: frozenset[str],
    ) -> None:
        self.module = module
        self.body = body
        self.tensors = tensors
        self.values = values
        self.names: dict[str, Binding] = {**names, **values}
        self.ranges = ranges
        self.types = types
        self.absent = absent

    def run(self, body: tuple[tree.Stmt, ...]) -> None:
        """Run the statements in order."""
        for statement in body:
            self._step(statement)

    def _step(self, statement: tree.Stmt) -> None:
        match statement:
            case tree.Bind(names=names, value=value):
                self._bind(names, value)
            case tree.Var(name=name, value=value):
                self.names[name.id] = self.tile(value)
            case tree.Augment(name=name, op=op, value=value):
                old = tree.Name(name.span, name.id)
                self.names[name.id] = self.tile(_updated(statement.span, old, op, value))
            case tree.Store():
                self._store(statement)
            case tree.SpanStmt(ranges=ranges):
                for item in ranges:
                    self.ranges[item.name.id] = self.domain(item.name.id, item.domain)
            case tree.If(arms=arms, orelse=orelse):
                for condition, then in arms:
                    if self.scalar(condition):
                        self.run(then)
                        return
                self.run(orelse)
            case tree.For(range=item, body=body):
                if item.by is not None:
                    raise fail(item.by.span, "there are no tiles in it", "leave out `by`")
                steps = self.domain(item.name.id, item.domain)
                for position in range(steps.lo, steps.lo + steps.size):
                    self.names[item.name.id] = Tile(np.asarray(position, np.int64))
                    self.run(body)
                self.names.pop(item.name.id, None)
            case tree.Assert(condition=condition, text=text):
                if not np.all(self.tile(condition).array):
                    raise fail(condition.span, f"the assertion fails: {text or 'it is false'}")
            case tree.CallStmt():
                pass  # a print is for the simulator
            case _:
                raise fail(statement.span, "this line belongs into a kernel")

    def _bind(self, names: tuple[tree.Name, ...], value: tree.Expr) -> None:
        results = self.tiles(value)
        if len(results) != len(names):
            raise fail(value.span, f"it gives {len(results)} values for {len(names)} names")
        for name, result in zip(names, results, strict=True):
            self.names[name.id] = result

    def tile(self, expr: tree.Expr) -> Tile:
        """Return what an expression of one value is."""
        (result,) = self.tiles(expr)
        return result

    def tiles(self, expr: tree.Expr) -> tuple[Tile, ...]:
        """Return the values of an expression: one, or those of a ``sort`` or a ``fn``."""
        from tiledsl.reference.expressions import evaluate_expression

        return evaluate_expression(self, expr)

    def scalar(self, expr: tree.Expr) -> int | float | bool:
        """Return what an expression without axes is."""
        value = self.tile(expr)
        if value.axes:
            raise fail(expr.span, f"one value is wanted, it has the axes {', '.join(value.axes)}")
        number: int | float | bool = value.array.item()
        return number

    def domain(self, name: str, domain: tree.Domain) -> Range:
        """Return the range of ``name in domain``."""
        match domain:
            case tree.Between(lo=low, hi=high):
                lo, hi = int(self.scalar(low)), int(self.scalar(high))
            case tree.Index(base=base, indices=(tree.Slice(lo=first, hi=last),)):
                whole = int(self.scalar(base))
                lo = max(0, int(self.scalar(first))) if first is not None else 0
                hi = min(whole, int(self.scalar(last))) if last is not None else whole
            case tree.Name(id=other) if other in self.ranges:
                lo, hi = self.ranges[other].lo, self.ranges[other].lo + self.ranges[other].size
            case _:
                lo, hi = 0, int(self.scalar(domain))
        return Range(name, lo, max(0, hi - lo))

    def range_of(self, name: tree.Name) -> Range:
        """Return the range that a name stands for; an error if none."""
        bound = self.names.get(name.id)
        if isinstance(bound, Range):
            return bound
        if name.id in self.ranges and bound is None:
            return self.ranges[name.id]
        raise unknown_range(name.id, name.span, self.body, self.tensors)

    # ---- stores

    def _store(self, store: tree.Store) -> None:
        target = self.names.get(store.tensor.id)
        if not isinstance(target, TensorValue):
            raise fail(store.tensor.span, f"`{store.tensor.id}` is no tensor")
        if len(store.indices) != target.array.ndim:
            count = f"{target.array.ndim} dims, {len(store.indices)} indices"
            raise fail(store.span, f"`{store.tensor.id}` has {count}")
        value = self.tile(store.value)
        if target.array.dtype.kind in "if":
            value = numeric(value)
        if target.array.dtype.kind in "ib" and value.is_float:
            raise fail(
                store.value.span,
                f"a float is stored in {target.dtype} elements",
                f"write the rounding: `{target.dtype}(round(…))`",
            )
        indices = [self.tile(index) for index in store.indices]
        axes = union(indices)
        extra = [axis for axis in value.axes if axis not in axes]
        if extra:
            raise fail(store.value.span, f"`{extra[0]}` of the value is not among the indices")
        places = [spread(index, axes, self.ranges) for index in indices]
        shape = [self.ranges[axis].size for axis in axes]
        inside = np.ones(shape, np.bool_)
        for place, size in zip(places, target.array.shape, strict=True):
            inside &= (place >= 0) & (place < size)
        if not inside.all() and not store.skip:
            raise fail(store.span, f"it writes outside `{store.tensor.id}`", "end with `else skip`")
        at = tuple(place[inside] for place in places)
        what = np.broadcast_to(aligned(value, axes), shape)[inside]
        match store.op:
            case "":
                target.array[at] = what
            case "+":
                np.add.at(target.array, at, what)
            case "max":
                np.maximum.at(target.array, at, what)
            case _:
                np.minimum.at(target.array, at, what)


def _updated(span: object, old: tree.Name, op: str, value: tree.Expr) -> tree.Expr:
    if op in ("max", "min"):
        return tree.Call(old.span, tree.Name(old.span, op), (old, value))
    return tree.Binary(old.span, op, old, value)
