"""What one thread does to compute values at one element of a pass."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.gpu.frame import Frame, Tile, position_of, renamed
from tiledsl.gpu.program import Coordinate, Fetch, Get, Layout, Pick, Set, Step
from tiledsl.ir import Value
from tiledsl.scalar import Axis, Local, Scalar
from tiledsl.types import DType

# What the checker calls values that the text does not name.
_AUTOMATIC = re.compile(r"v?\d+")

Env = Mapping[Axis, Coordinate]

# Float types whose values a register holds as float.
_IN_FLOAT = {DType.F16, DType.BF16, DType.F32, DType.F8E4M3, DType.F8E5M2}


class Lanes:
    """Collects the steps of one element; a value at one place is computed once.

    ``again`` counts elements of the same pass that are computed beside it: names differ.
    """

    def __init__(self, frame: Frame, layout: Layout | None = None, again: int = 0) -> None:
        self.frame, self.layout, self.again = frame, layout, again
        self.steps: list[Step] = []
        self._done: dict[tuple[object, ...], Scalar] = {}
        self._times: dict[Value, int] = {}

    def operand(self, operand: ir.Operand, env: Env) -> Scalar:
        """Return the scalar that holds ``operand`` at the element of ``env``."""
        if not isinstance(operand, Value):
            return self.frame.resolve(operand)
        if operand in self.frame.scope.uniform:
            return self.frame.scope.uniform[operand]
        key = self._key(operand, env)
        if key not in self._done:
            self._compute(operand, env)
        return self._done[key]

    def _key(self, value: Value, env: Env) -> tuple[object, ...]:
        return (value, *(env[axis] for axis in value.type.axes))

    def _compute(self, value: Value, env: Env) -> None:
        """Compute ``value`` after what it is made of: a long chain must not be a deep recursion."""
        todo = [value]
        while todo:
            key = self._key(todo[-1], env)
            pending = [] if key in self._done else self._pending(todo[-1], env)
            if pending:
                todo += reversed(pending)
                continue
            if key not in self._done:
                self._done[key] = self._value(todo[-1], env)
            todo.pop()

    def _pending(self, value: Value, env: Env) -> list[Value]:
        """Return the operands of an element-wise op that are yet to be computed."""
        scope, statement = self.frame.scope, self.frame.plan.defs.get(value)
        held = scope.fragments.get(value)
        at_hand = value in scope.tiles or (held is not None and held.layout == self.layout)
        if at_hand or not isinstance(statement, ir.Compute):
            return []
        values = [x for x in statement.operands if isinstance(x, Value) and x not in scope.uniform]
        return [x for x in dict.fromkeys(values) if self._key(x, env) not in self._done]

    def index(self, index: tuple[ir.Index, ...], env: Env) -> tuple[Scalar, ...]:
        """Return the position in each dim that ``index`` names."""
        found = []
        for part in index:
            total = self.frame.resolve(part.offset)
            for axis, factor in part.terms:
                term = sc.mul(self.frame.resolve(factor), self._position(axis, env))
                total = sc.add(total, term) if total != sc.ZERO else term
            if part.gather is not None:
                gathered = self.operand(part.gather, env)
                total = sc.add(total, gathered) if total != sc.ZERO else gathered
            found.append(total)
        return tuple(found)

    def place(self, tile: Tile, env: Env) -> tuple[Scalar, ...]:
        """Return the index of the element in ``tile``."""
        return tuple(Local(env[axis].at) for axis in tile.axes)

    def _position(self, axis: Axis, env: Env) -> Scalar:
        if axis in self.frame.scope.positions:
            return self.frame.scope.positions[axis]
        return position_of(env[axis])

    def _value(self, value: Value, env: Env) -> Scalar:
        scope, dtype = self.frame.scope, value.type.dtype
        held = scope.fragments.get(value)
        if held is not None and held.layout == self.layout:
            return self._step(Pick(self._name(value), dtype, held))
        if value in scope.tiles:
            return self._get(value, scope.tiles[value], env)
        match self.frame.plan.defs[value]:
            case ir.Compute(op=op, operands=operands):
                args = tuple(self.operand(o, env) for o in operands)
                if op.name == "cast" and _free_cast(args[0].dtype, dtype):
                    return _retyped(args[0], dtype)
                return self._step(Set(self._name(value), dtype, sc.Apply(op.name, args, dtype)))
            case ir.Random(function=function, seed=seed, offset=offset):
                pair = (self.operand(seed, env), self.operand(offset, env))
                return self._step(Set(self._name(value), dtype, sc.Apply(function, pair, dtype)))
            case ir.Positions(axis=axis):
                return self._position(axis, env)
            case ir.Rename(operand=operand, old=old, new=new):
                return self.operand(operand, renamed(env, old, new, self.frame))
            case ir.Load(tensor=tensor, index=index, default=default, guards=guards):
                places = self.index(index, env)
                other = None if default is None else self.operand(default, env)
                return self._step(Fetch(self._name(value), dtype, tensor, places, guards, other))
            case ir.Read(var=var) if var in self.frame.var_tiles:
                return self._get(value, self.frame.var_tiles[var], env)
            case ir.Read(var=var) if var in self.frame.var_fragments:
                fragment = self.frame.var_fragments[var]
                assert self.layout == fragment.layout, value
                return self._step(Pick(self._name(value), dtype, fragment))
            case statement:
                raise AssertionError(f"{value} is not at hand: {statement}")

    def _get(self, value: Value, tile: Tile, env: Env) -> Scalar:
        index = self.place(tile, env)
        return self._step(Get(self._name(value), value.type.dtype, tile.buffer, index))

    def _step(self, step: Step) -> Scalar:
        self.steps.append(step)
        return Local(step.name, step.dtype)

    def _name(self, value: Value) -> str:
        time = self._times.get(value, 0)
        self._times[value] = time + 1
        return self.frame.name((value, time, self.again), wish_for(self.frame, value))


def wish_for(frame: Frame, value: Value) -> str:
    """Return what to call ``value``; a tile that is only loaded goes by its tensor."""
    statement = frame.plan.defs[value]
    if isinstance(statement, ir.Load) and _AUTOMATIC.fullmatch(value.name):
        return statement.tensor.name
    return value.name


def leaves(frame: Frame, operand: ir.Operand) -> Iterator[Value]:
    """Yield the loads, tiles and vars that computing ``operand`` would read."""
    scope, seen = frame.scope, set()
    todo = [operand]
    while todo:
        value = todo.pop()
        if not isinstance(value, Value) or value in seen or value in scope.uniform:
            continue
        seen.add(value)
        statement = frame.plan.defs[value]
        if value in scope.tiles or value in scope.fragments or isinstance(statement, ir.Read):
            yield value
            continue
        if isinstance(statement, ir.Load):
            yield value
        todo += ir.operands(statement)


def inner_axis(
    frame: Frame, operands: list[ir.Operand], stores: list[ir.Store], axes: tuple[Axis, ...]
) -> Axis:
    """Return the range of ``axes`` along which most of the memory that is met is contiguous."""
    votes = dict.fromkeys(axes, 0.0)

    def vote(index: tuple[ir.Index, ...], weight: float) -> None:
        for axis, factor in index[-1].terms if index else ():
            if axis in votes and factor == sc.ONE:
                votes[axis] += weight

    for store in stores:
        vote(store.index, 3)
    for operand in operands:
        for value in leaves(frame, operand):
            tile = frame.scope.tiles.get(value)
            match frame.plan.defs[value]:
                case _ if tile is not None:
                    votes[tile.axes[-1]] = votes.get(tile.axes[-1], 0) + 0.5
                case ir.Load(index=index, tensor=tensor) if len(value.type.axes) > 1:
                    vote(index, 2 if len(tensor.shape) > 1 else 1)
                case ir.Load(index=index):
                    vote(index, 0.5)
                case _:
                    pass
    best = max(votes[a] for a in axes)
    return [a for a in axes if votes[a] == best][-1]


def _free_cast(old: DType, new: DType) -> bool:
    """Whether a register that holds a value of ``old`` holds it as ``new`` too."""
    if old == new:
        return True
    wider = new is DType.F32 or (new is DType.F16 and old in (DType.F8E4M3, DType.F8E5M2))
    return old in _IN_FLOAT and wider


def _retyped(scalar: Scalar, dtype: DType) -> Scalar:
    match scalar:
        case sc.Local() | sc.Literal():
            return replace(scalar, dtype=dtype)
        case _:
            return sc.Apply("cast", (scalar,), dtype)
