"""A GPU program as text, for people: what ``--dump-ir program`` prints."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from tiledsl.gpu.program import (
    Accumulators,
    Barrier,
    Branch,
    Claim,
    Coordinate,
    CopyPanel,
    Domain,
    Effect,
    Fetch,
    FmaLayout,
    Fold,
    Get,
    GridRange,
    Keep,
    Let,
    Loop,
    Map,
    MmaLayout,
    Multiply,
    Once,
    Panel,
    Pick,
    Program,
    Put,
    RankRows,
    Registers,
    ScanRows,
    Set,
    Show,
    Step,
    Stmt,
    Sweep,
    Update,
    Variable,
    Write,
)
from tiledsl.scalar import Scalar, show


def show_program(program: Program) -> str:
    """Return ``program`` as text: its memory, then a line a step."""
    lines = [f"{program.name} for {program.target.name}, {program.threads} threads a block"]
    lines += [f"  {p.name}: {p.tensor.dtype}{_list(p.shape)}" for p in program.tensors]
    lines.append(f"  shared memory, {program.shared_bytes} bytes:")
    lines += [
        f"    {b.offset:6} {b.name}: {b.dtype}{list(b.shape)}  {b.note}" for b in program.buffers
    ]
    for k, grid in enumerate(program.grid):
        lines.append(f"  {'walk' if k < program.walked else 'grid'} {_grid(grid)}")
    lines += [f"  {line}" for line in _block(program.body)]
    return "\n".join(lines) + "\n"


def _grid(grid: GridRange) -> str:
    by = f" by {grid.tile}" if grid.size else ""
    return f"{grid.start} in {show(grid.lo)} .. {show(grid.hi)}{by}"


def _block(body: Iterable[Stmt]) -> Iterator[str]:
    for statement in body:
        yield from _statement(statement)


def _statement(statement: Stmt) -> Iterator[str]:
    match statement:
        case Let(step=step):
            yield _step(step)
        case Variable(name=name, dtype=dtype, value=value):
            yield f"var {name}: {dtype} = {show(value)}"
        case Update(name=name, value=value):
            yield f"{name} = {show(value)}"
        case Accumulators(fragment=fragment):
            yield f"accumulators {fragment}: {fragment.dtype} {_layout(fragment.layout)} = 0"
        case Map(domain=domain, steps=steps, effects=effects):
            yield f"for {_domain(domain)}:"
            yield from _inside(steps, effects)
        case Fold(rows=rows, cols=cols, width=width, value=value, name=name, buffer=buffer):
            into = f"{buffer}{_list(c.at for c in rows)}" if buffer else name
            over = ", ".join(c.at for c in cols)
            yield f"{into} = {statement.reduction.name}({show(value)} over {over}) by {width}:"
            yield from _inside(statement.steps, statement.effects)
        case ScanRows(buffer=buffer, index=index, value=value, along=along):
            name = statement.reduction.scan
            yield f"{buffer}{_list(index)} = {name}({show(value)} over {along.at}):"
            yield from _inside(statement.steps, ())
        case RankRows(domain=domain, rank=rank, value=value, effects=effects):
            way = "descending" if statement.descending else "ascending"
            yield f"for {_domain(domain)}, {rank} = {way} rank of {show(value)}:"
            yield from _inside(statement.steps, effects)
        case CopyPanel(buffer=buffer, tensor=tensor, first=first, rows=rows, cols=cols):
            yield f"{buffer} = {show(rows)} x {show(cols)} of {tensor} from {_list(first)}"
        case Multiply(fragment=fragment, a=a, b=b, depth=depth):
            yield f"{fragment} += {a} @ {b} over {show(depth)}"
        case Loop(name=name, lo=lo, hi=hi, step=step, body=body):
            yield f"for {name} in {show(lo)} .. {show(hi)} by {step}:"
            yield from (f"  {line}" for line in _block(body))
        case Branch(condition=condition, then=then, orelse=orelse):
            yield f"if {show(condition)}:"
            yield from (f"  {line}" for line in _block(then))
            if orelse:
                yield "else:"
                yield from (f"  {line}" for line in _block(orelse))
        case Barrier():
            yield "barrier"
        case _:
            assert_never(statement)


def _inside(steps: Iterable[Step], effects: Iterable[Effect]) -> Iterator[str]:
    yield from (f"  {_step(step)}" for step in steps)
    yield from (f"  {_effect(effect)}" for effect in effects)


def _step(step: Step) -> str:
    match step:
        case Set(name=name, dtype=dtype, value=value):
            return f"{name}: {dtype} = {show(value)}"
        case Fetch(name=name, dtype=dtype, tensor=tensor, index=index, default=default):
            other = "" if default is None else f" else {show(default)}"
            return f"{name}: {dtype} = {tensor}{_list(index)}{other}"
        case Get(name=name, dtype=dtype, buffer=buffer, index=index):
            return f"{name}: {dtype} = {buffer}{_list(index)}"
        case Pick(name=name, dtype=dtype, fragment=fragment):
            return f"{name}: {dtype} = {fragment}"
        case _:
            assert_never(step)


def _effect(effect: Effect) -> str:
    match effect:
        case Put(buffer=buffer, index=index, value=value):
            return f"{buffer}{_list(index)} = {show(value)}"
        case Write(tensor=tensor, index=index, value=value, atomic=atomic):
            return f"{tensor}{_list(index)} {f'atomic {atomic} ' if atomic else ''}= {show(value)}"
        case Keep(fragment=fragment, value=value):
            return f"{fragment} = {show(value)}"
        case Show(text=text, values=values):
            return f"print {text!r}{_list(values)}"
        case Claim(condition=condition, text=text):
            return f"assert {show(condition)}, {text!r}"
        case _:
            assert_never(effect)


def _domain(domain: Domain) -> str:
    match domain:
        case Once():
            return "one thread"
        case Sweep(coordinates=coordinates, width=width):
            return f"{_places(coordinates)} by {width}"
        case Panel(rows=rows, cols=cols, row=row, col=col, chunk=chunk):
            start = f" from {chunk}" if chunk else ""
            return f"panel {rows} x {cols} of {_places(row)} x {_places(col)}{start}"
        case Registers(layout=layout, row=row, col=col):
            return f"registers {_places(row)} x {_places(col)} {_layout(layout)}"
        case _:
            assert_never(domain)


def _layout(layout: MmaLayout | FmaLayout) -> str:
    rows, cols = layout.shape
    match layout:
        case MmaLayout(warps=warps):
            return f"({rows} x {cols}, mma of {warps[0]} x {warps[1]} warps)"
        case FmaLayout(threads=threads):
            return f"({rows} x {cols}, {threads[0]} x {threads[1]} threads)"


def _places(coordinates: Iterable[Coordinate]) -> str:
    return ", ".join(f"{c.at} < {show(c.size)}" for c in coordinates)


def _list(parts: Iterable[Scalar | str]) -> str:
    return f"[{', '.join(p if isinstance(p, str) else show(p) for p in parts)}]"
