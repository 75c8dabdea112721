"""Reductions, scans and sorts: passes in which threads work together on a row."""

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.gpu.frame import Frame, Tile, position_of
from tiledsl.gpu.lanes import Env, Lanes, inner_axis
from tiledsl.gpu.program import (
    WARP,
    Buffer,
    Coordinate,
    Effect,
    Fold,
    Let,
    Put,
    RankRows,
    ScanRows,
    Set,
    Sweep,
    product,
)
from tiledsl.gpu.values import domain_of, home, keep, prepare, tile_for, up_to_power
from tiledsl.ops import REDUCTIONS, Reduction
from tiledsl.scalar import Axis, Local, Scalar
from tiledsl.types import DType


def fold(frame: Frame, statement: ir.Reduce) -> None:
    """Emit a reduction; if its operand is worth keeping, the same pass keeps it."""
    operand = statement.operand
    axes = operand.type.axes
    fused = (
        operand in frame.plan.keep
        and operand not in frame.scope.tiles
        and home(frame, operand) is None
        and set(statement.axes) <= set(axes)
        and not isinstance(frame.plan.defs[operand], ir.Rename)
    )
    for part in ir.operands(frame.plan.defs[operand]) if fused else (operand,):
        prepare(frame, part, None)
    rows, cols, width = _deal(frame, [operand], statement.result.type.axes, statement.axes)
    env = _env(rows, cols)
    lanes = Lanes(frame)
    value = lanes.operand(operand, env)
    effects: tuple[Effect, ...] = ()
    if fused:
        tile = tile_for(frame, operand, Sweep((*rows, *cols), width))
        effects = (Put(tile.buffer, lanes.place(tile, env), value),)
        frame.scope.tiles[operand] = tile
    argument = not statement.reduction.combine
    position = position_of(env[statement.axes[0]]) if argument else None
    _emit(frame, statement, statement.reduction, rows, cols, width, lanes, value, position, effects)


def fold_product(frame: Frame, contract: ir.Contract) -> None:
    """Emit a product as a sum of products."""
    operands = (contract.a, contract.b)
    for operand in operands:
        prepare(frame, operand, None)
    dtype = contract.result.type.dtype
    rows, cols, width = _deal(frame, [*operands], contract.result.type.axes, contract.axes)
    lanes = Lanes(frame)
    env = _env(rows, cols)
    factors = tuple(_as(lanes.operand(o, env), dtype) for o in operands)
    name = frame.name((contract.result, "term"), f"{contract.result.name}_term")
    lanes.steps.append(Set(name, dtype, sc.Apply("mul", factors, dtype)))
    value = Local(name, dtype)
    _emit(frame, contract, REDUCTIONS["sum"], rows, cols, width, lanes, value, None, ())


def _emit(
    frame: Frame,
    statement: ir.Reduce | ir.Contract,
    reduction: Reduction,
    rows: tuple[Coordinate, ...],
    cols: tuple[Coordinate, ...],
    width: int,
    lanes: Lanes,
    value: Scalar,
    position: Scalar | None,
    effects: tuple[Effect, ...],
) -> None:
    result = statement.result
    buffer: Buffer | None = None
    name = frame.name((result, 0), result.name)
    if rows:
        tile = tile_for(frame, result, Sweep(rows, 1))
        buffer = tile.buffer
        frame.scope.tiles[result] = tile
    else:
        frame.scope.uniform[result] = Local(name, result.type.dtype)
    scratch = frame.scratch() if width > WARP else None
    frame.out.append(
        Fold(
            statement.span, reduction, value.dtype, result.type.dtype, name, rows, cols, width,
            tuple(lanes.steps), value, position, effects, buffer, scratch,
        )  # fmt: skip
    )


def _deal(
    frame: Frame, operands: list[ir.Operand], kept: tuple[Axis, ...], folded: tuple[Axis, ...]
) -> tuple[tuple[Coordinate, ...], tuple[Coordinate, ...], int]:
    """Return rows, columns and the size of a team; contiguous elements go to neighbours."""
    last = inner_axis(frame, operands, [], (*kept, *folded))
    rows = tuple(frame.coordinate(a) for a in (*(a for a in kept if a is not last), *_if(kept, last)))
    cols = tuple(
        frame.coordinate(a) for a in (*(a for a in folded if a is not last), *_if(folded, last))
    )
    threads = frame.plan.threads
    if not rows:
        return rows, cols, threads
    spare = max(1, threads // up_to_power(product(tuple(c.limit for c in rows))))
    width = max(spare, WARP) if last in folded else spare
    return rows, cols, min(width, threads, up_to_power(cols[-1].limit))


def scan(frame: Frame, statement: ir.Scan) -> None:
    """Emit a scan."""
    operand, result = statement.operand, statement.result
    prepare(frame, operand, None)
    others = tuple(a for a in result.type.axes if a is not statement.axis)
    rows = tuple(map(frame.coordinate, others))
    along = frame.coordinate(statement.axis)
    env = _env(rows, (along,))
    lanes = Lanes(frame)
    value = lanes.operand(operand, env)
    tile = tile_for(frame, result, Sweep((*rows, along), 1))
    frame.out.append(
        ScanRows(
            statement.span, statement.reduction, result.type.dtype, rows, along,
            tuple(lanes.steps), value, tile.buffer, lanes.place(tile, env),
        )  # fmt: skip
    )
    frame.scope.tiles[result] = tile


def rank(frame: Frame, statement: ir.Sort) -> None:
    """Emit a sort or topk."""
    operand, axis = statement.operand, statement.axis
    if operand not in frame.scope.tiles:
        keep(frame, operand)
    source = frame.scope.tiles[operand]
    others = tuple(a for a in operand.type.axes if a is not axis)
    env, _ = domain_of(frame, operand.type.axes, None, [operand], [])
    order = (*(env[a] for a in others), env[axis])
    width = min(frame.plan.threads, up_to_power(frame.limit(axis)))
    name = statement.values.name
    place = frame.name((statement.values, "rank"), f"{name}_rank")
    peer = frame.name((statement.values, "peer"), f"{name}_peer")
    value = frame.name((statement.values, 0), name)
    into = statement.into or axis
    index = {a: Local(env[a].at) for a in operand.type.axes}
    position = position_of(env[axis])
    if not isinstance(position, Local):
        local = frame.name((statement.values, "position"), f"{name}_at")
        frame.out.append(Let(statement.span, Set(local, DType.I32, env[axis].start)))
        position = sc.add(Local(local), Local(env[axis].at))
    effects = []
    for result, held in (
        (statement.values, Local(value, operand.type.dtype)),
        (statement.positions, position),
    ):
        axes = tuple(into if a is axis else a for a in (*others, axis))
        shape = tuple(map(frame.limit, axes))
        if result not in frame.kept:
            buffer = frame.buffer(
                f"{result.name}_tile", result.type.dtype, shape, str(result.type), statement.span
            )
            frame.kept[result] = Tile(buffer, axes)
        tile = frame.kept[result]
        where = tuple(Local(place) if a is into else index[a] for a in axes)
        effects.append(Put(tile.buffer, where, held))
        frame.scope.tiles[result] = tile
    limit = frame.coordinate(into).size
    frame.out.append(
        RankRows(
            statement.span, Sweep(order, width), operand.type.dtype, source.buffer,
            tuple(index[a] for a in source.axes),
            tuple(Local(peer) if a is axis else index[a] for a in source.axes),
            env[axis].at, peer, env[axis].size, place, value, statement.into is not None, limit,
            tuple(effects),
        )  # fmt: skip
    )


def _if(axes: tuple[Axis, ...], axis: Axis) -> tuple[Axis, ...]:
    return (axis,) if axis in axes else ()


def _env(rows: tuple[Coordinate, ...], cols: tuple[Coordinate, ...]) -> Env:
    return {c.axis: c for c in (*rows, *cols)}


def _as(scalar: Scalar, dtype: DType) -> Scalar:
    narrow = scalar.dtype in (DType.F16, DType.BF16, DType.F8E4M3, DType.F8E5M2)
    if scalar.dtype == dtype or (narrow and dtype is DType.F32):
        return scalar
    return sc.Apply("cast", (scalar,), dtype)

