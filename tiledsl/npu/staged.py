"""One core's share of a loop in stages: in a turn each stage works on a tile of its own."""

from dataclasses import replace
from typing import Protocol

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.cube import Matrix
from tiledsl.npu.frame import Frame, Loop, Tile
from tiledsl.npu.guards import guarded
from tiledsl.npu.shape import axes_in
from tiledsl.npu.stages import Stages
from tiledsl.scalar import ZERO, Axis, Local, Scalar, apply, integer, maximum, minimum, sub


class Walk(Protocol):
    """What a walk over a kernel for one kind of core has; ``kept`` is the turns a value stays."""

    frame: Frame
    on_vector: bool
    loops: list[Loop]
    kept: dict[ir.Value, int]
    tiles: dict[ir.Value, Tile]
    matrices: dict[ir.Value, Matrix]

    def walk(self, body: tuple[ir.Stmt, ...]) -> None:
        """Emit the core's share of statements."""

    def define_spans(self) -> None:
        """Define the spans whose ends are known."""


def staged(
    core: Walk, statement: ir.For, stages: Stages, spans: tuple[Axis, ...], depth: int, note: str
) -> None:
    """Emit a loop in stages; ``spans`` are those of the kernel."""
    axis, frame = statement.axis, core.frame
    stage_of = stages.of(core.on_vector)
    core.kept = {v: n for (v, side), n in stages.kept.items() if side is core.on_vector}
    made: dict[ir.Value, int] = {}
    note += f", the first stage {stages.turns} ahead of the last"
    with frame.turns(axis, depth, stages.turns, note) as (step, trips):
        core.loops.append(frame.loops[-1])
        for stage in sorted(set(stage_of.values())):
            late, more = stage * stages.lag, stages.turns - stage * stages.lag
            number, runs = _tile_of(step, trips, late, more)
            with frame.block() as steps:
                frame.at_tile(axis, number)
                for span in spans:
                    if axis in _axes_behind(span):
                        frame.local.pop(span, None)
                core.define_spans()
                _refer(core, made, late)
                core.walk(tuple(s for s in statement.body if stage_of[id(s)] == stage))
            for value in core.kept:
                if value in core.tiles or value in core.matrices:
                    made.setdefault(value, late)
            frame.steps += guarded(steps, runs, statement.span)
    core.kept = {}


def _tile_of(step: Local, trips: Local, late: int, more: int) -> tuple[Scalar, Scalar]:
    """Return the tile of a stage that is ``late`` turns, in a loop of ``more`` after, and whether.

    Where it has none the number is that of one that there is.
    """
    number: Scalar = maximum(sub(step, late), ZERO) if late else step
    number = minimum(number, sub(trips, 1)) if more else number
    begun = apply("ge", step, integer(late))
    going = apply("lt", sub(step, late), trips)
    if late and more:
        return number, apply("and", begun, going)
    return number, begun if late else going


def _refer(core: Walk, made: dict[ir.Value, int], late: int) -> None:
    """Let values refer to the slots in which an earlier stage has put them."""
    loop = core.frame.loops[-1]
    for value, then in made.items():

        def earlier(ref: npu.Ref, turns: int = late - then) -> npu.Ref:
            return replace(ref, slot=loop.slot_of(ref.buffer.slots, turns))

        if value in core.tiles:
            tile = core.tiles[value]
            core.tiles[value] = replace(tile, ref=earlier(tile.ref))
        if value in core.matrices:
            matrix = core.matrices[value]
            core.matrices[value] = replace(matrix, ref=earlier(matrix.ref))


def _axes_behind(axis: Axis) -> set[Axis]:
    """Return the ranges on which the ends of ``axis`` depend, through others too."""
    found = axes_in(axis)
    return found.union(*map(_axes_behind, found))
