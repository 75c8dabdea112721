"""Reductions, scans and sorts: passes in which threads work together on a row."""

from dataclasses import replace

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
    Put,
    RankRows,
    ScanRows,
    Set,
    Sweep,
    product,
)
from tiledsl.gpu.values import home, keep, prepare, tile_for, up_to_power
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
    name = frame.name((result, 0, 0), result.name)
    if rows:
        tile = tile_for(frame, result, Sweep(rows, 1))
        buffer = tile.buffer
        frame.scope.tiles[result] = tile
    else:
        frame.scope.uniform[result] = Local(name, result.type.dtype)
    scratch = frame.scratch() if width > WARP else None
    frame.out.append(
        Fold(
            statement.span,
            reduction,
            value.dtype,
            result.type.dtype,
            name,
            rows,
            cols,
            width,
            tuple(lanes.steps),
            value,
            position,
            effects,
            buffer,
            scratch,
        )
    )


def _deal(
    frame: Frame, operands: list[ir.Operand], kept: tuple[Axis, ...], folded: tuple[Axis, ...]
) -> tuple[tuple[Coordinate, ...], tuple[Coordinate, ...], int]:
    """Return rows, columns and the size of a team; contiguous elements go to neighbours."""
    last = inner_axis(frame, operands, [], (*kept, *folded))
    rows = tuple(
        frame.coordinate(a) for a in (*(a for a in kept if a is not last), *_if(kept, last))
    )
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
            statement.span,
            statement.reduction,
            result.type.dtype,
            rows,
            along,
            tuple(lanes.steps),
            value,
            tile.buffer,
            lanes.place(tile, env),
        )
    )
    frame.scope.tiles[result] = tile


def rank(frame: Frame, statement: ir.Sort) -> None:
    """Emit a sort or topk; its operand is kept where there is room, else computed each time."""
    operand, axis = statement.operand, statement.axis
    into = statement.into or axis
    if operand not in frame.scope.tiles and operand not in frame.plan.deny:
        keep(frame, operand)
        frame.scope.tiles[operand].buffer.optional = True
    prepare(frame, operand, None)
    others = tuple(a for a in operand.type.axes if a is not axis)
    rows = tuple(map(frame.coordinate, others))
    along = frame.coordinate(axis)
    name = statement.values.name
    lanes, peers = Lanes(frame), Lanes(frame, again=1)
    value = lanes.operand(operand, _env(rows, (along,)))
    peer_at = frame.name((statement.values, "peer"), f"{name}_peer")
    peer_position = peer_at if along.position == along.at else f"{peer_at}_"
    peer = replace(along, at=peer_at, position=peer_position)
    peer_value = peers.operand(operand, _env(rows, (peer,)))
    place = frame.name((statement.values, "rank"), f"{name}_rank")
    effects = []
    for result, held in ((statement.values, value), (statement.positions, position_of(along))):
        axes = (*others, into)
        if result not in frame.kept:
            shape = tuple(map(frame.limit, axes))
            note = str(result.type)
            buffer = frame.buffer(
                f"{result.name}_tile", result.type.dtype, shape, note, statement.span
            )
            frame.kept[result] = Tile(buffer, axes)
        tile = frame.kept[result]
        effects.append(Put(tile.buffer, (*(Local(r.at) for r in rows), Local(place)), held))
        frame.scope.tiles[result] = tile
    width = min(frame.plan.threads, up_to_power(frame.limit(axis)))
    frame.out.append(
        RankRows(
            statement.span,
            Sweep((*rows, along), width),
            operand.type.dtype,
            tuple(lanes.steps),
            value,
            peer,
            tuple(peers.steps),
            peer_value,
            place,
            statement.into is not None,
            frame.coordinate(into).size,
            tuple(effects),
        )
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
