"""Rewriting the tile IR: operands replaced, blocks rebuilt."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tiledsl import ir
from tiledsl.ir import Operand, Stmt, Value


def substitute(statement: Stmt, values: Mapping[Value, Operand]) -> Stmt:
    """Return ``statement`` with its own operands replaced; its blocks are left as they are."""

    def new(operand: Operand) -> Operand:
        return values.get(operand, operand) if isinstance(operand, Value) else operand

    def tile(value: Value) -> Value:
        other = values.get(value, value)
        assert isinstance(other, Value), "a tile operand cannot become a number"
        return other

    match statement:
        case ir.Compute(operands=operands) | ir.Print(operands=operands):
            return replace(statement, operands=tuple(new(x) for x in operands))
        case ir.Rename(operand=x) | ir.Reduce(operand=x) | ir.Scan(operand=x) | ir.Sort(operand=x):
            return replace(statement, operand=tile(x))
        case ir.Contract(a=a, b=b):
            return replace(statement, a=tile(a), b=tile(b))
        case ir.Random(seed=seed, offset=offset):
            return replace(statement, seed=new(seed), offset=new(offset))
        case ir.Load(index=index, default=default):
            fallback = new(default) if default is not None else None
            return replace(statement, index=tuple(_index(i, tile) for i in index), default=fallback)
        case ir.Store(index=index, value=value):
            return replace(statement, index=tuple(_index(i, tile) for i in index), value=new(value))
        case ir.Declare(value=value) | ir.Assign(value=value):
            return replace(statement, value=new(value))
        case ir.If(condition=condition) | ir.Assert(condition=condition):
            return replace(statement, condition=new(condition))
        case ir.Positions() | ir.Read() | ir.For():
            return statement


def _index(index: ir.Index, tile: Callable[[Value], Value]) -> ir.Index:
    return index if index.gather is None else replace(index, gather=tile(index.gather))


def rebuild(statement: Stmt, block: Callable[[tuple[Stmt, ...]], tuple[Stmt, ...]]) -> Stmt:
    """Return ``statement`` with each of its blocks changed by ``block``."""
    match statement:
        case ir.For(body=body):
            return replace(statement, body=block(body))
        case ir.If(then=then, orelse=orelse):
            return replace(statement, then=block(then), orelse=block(orelse))
        case _:
            return statement
