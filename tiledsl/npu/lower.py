"""From the tile IR to the program of an NPU: who does what, then one walk for each kind of core."""

from dataclasses import replace
from math import prod

from tiledsl import ir
from tiledsl.chips import Chip
from tiledsl.diagnostics import CompileError
from tiledsl.npu import program as npu
from tiledsl.npu.core import Core, Lowering, Room
from tiledsl.npu.errors import OverCapacity
from tiledsl.npu.frame import Frame
from tiledsl.npu.handover import SLOTS, Channel, matrix_axes, sides
from tiledsl.npu.packed import in_bytes
from tiledsl.npu.place import CapacityError
from tiledsl.npu.shape import Shape, analyse, row_split
from tiledsl.npu.stages import Stages, find_stages
from tiledsl.scalar import Axis
from tiledsl.schedule import Plan, largest_fitting

ROOMS = (Room(2), Room(2, True), Room(1))  # what is tried, one after the other
AHEAD = 2  # turns that the first stage of a loop is ahead of the next
CROSS_FLAGS = 11  # ids 0 to 10 of the cross-core flags are ours; SyncAll takes 11 to 14


def lower(kernel: ir.Kernel, chip: Chip, plan: Plan) -> npu.Program:
    """Return the program of ``kernel`` on ``chip`` under ``plan``, whose tile sizes are all set.

    Raises `CompileError` with what the chip cannot do, or with a table of what does not fit; rings
    go down to one slot before that.
    """
    shape = analyse(kernel, chip, plan.places)
    for ahead in (AHEAD, 0):
        stages = _stages(shape, plan, ahead)
        try:
            return _program([_fitting(shape, plan, stages, n) for n in range(len(_kinds(shape)))])
        except CapacityError as overflow:
            last = overflow
    raise over_capacity(shape, plan, last) from None


def overflow_of(shape: Shape, plan: Plan, depth: int) -> CapacityError | None:
    """Return what does not fit with rings of ``depth``, without deriving any flag."""
    least = [room for room in ROOMS if room.depth >= depth][-1]  # whatever fits, fits there
    stages = _stages(shape, plan, 0)
    try:
        for number in range(len(_kinds(shape))):
            _placed(shape, plan, stages, least, number)
    except CapacityError as overflow:
        return overflow
    return None


def _fitting(shape: Shape, plan: Plan, stages: dict[int, Stages], number: int) -> Core:
    """Return a core in the first room that is enough; what is enough hangs on no other core."""
    cube = _kinds(shape)[number] is npu.Core.CUBE  # which has no results in UB to be thrifty with
    for room in ROOMS[:-1]:
        if room.thrift and cube:
            continue
        try:
            return _placed(shape, plan, stages, room, number)
        except CapacityError:
            pass
    return _placed(shape, plan, stages, ROOMS[-1], number)


def _placed(
    shape: Shape, plan: Plan, stages: dict[int, Stages], room: Room, number: int
) -> Core:
    """Return a core whose buffers have their places; raise `CapacityError` if they do not fit."""
    kinds, shared = _kinds(shape), Lowering(shape, plan, stages=stages)
    both = len(kinds) > 1
    if both:
        shared.split = row_split(shape.grid, shape.body, shape.marks, plan.shared)
        _open_channels(shared)
    core = Core(shared, kinds[number], both, room)
    assert core.placed
    return core


def _program(cores: list[Core]) -> npu.Program:
    programs: list[npu.CoreProgram] = []
    uniform: list[str] = []
    for core in cores:
        uniform += [name for name in core.shared.uniform or () if name not in uniform]
        programs.append(core.program(frozenset(uniform)))
    shared = cores[0].shared
    shape, kernel = shared.shape, shared.shape.kernel
    return npu.Program(
        name=kernel.name, chip=shape.chip.name,
        tensors=(*map(in_bytes, kernel.tensors), *kernel.tables),
        scalars=tuple((p.name, p.dtype) for p in kernel.scalars), dims=kernel.dims,
        programs=cores[0].programs, cores=tuple(programs),
        workspaces=tuple(c.place for c in shared.channels.values()),
        uniform=None if any(core.shared.uniform is None for core in cores) else tuple(uniform),
        most_blocks=shared.plan.cores or 0, uncached=tuple(sorted(shared.plan.bypass)),
        doc=kernel.doc, span=kernel.span,
    )  # fmt: skip


def _kinds(shape: Shape) -> tuple[npu.Core, ...]:
    """Return the kinds of cores that have work."""
    marks = shape.marks
    if not shape.chip.separate:
        return (npu.Core.UNIFIED,)
    if not marks.cube:
        return (npu.Core.VECTOR,)
    return (npu.Core.CUBE, npu.Core.VECTOR) if marks.vector else (npu.Core.CUBE,)


def _open_channels(shared: Lowering) -> None:
    """Give each value that changes cores a workspace and two cross-core flags."""
    probe = Frame(
        shared.shape.grid, shared.shape.chip.name, shared.plan.tiles, 16, shared.shape.rank
    )
    marks, blocks = shared.shape.marks, _blocks(shared.shape.body)
    ways = [(value, False) for value in marks.to_cube]
    ways += [(value, True) for value in marks.to_vector]
    shares = not _flags_for_each(shared.shape) and not shared.stages
    handed: dict[tuple[ir.Value, bool], int] = {}
    for stages in shared.stages.values():
        handed.update({key: max(n, stages.lag) for key, n in stages.handed.items()})
    taken: dict[object, int] = {}
    for value, to_vector in ways:
        rows, cols = _sides_of(probe, shared.shape, value, to_vector)
        stride = -(-prod(map(probe.limit, cols)) // 16) * 16
        height = -(-prod(map(probe.limit, rows)) // 16) * 16
        name = probe.fresh(shared.shape.labels[value])
        slots = max(SLOTS, handed.get((value, to_vector), 0) + 1)
        workspace = npu.Workspace(f"{name}_handed", value.type.dtype, height * stride, slots)
        # Products of one block are delivered and received in one order: they may share flags.
        key: object = ("products", blocks[value]) if shares and to_vector else (value, to_vector)
        flag = taken.setdefault(key, 2 * len(taken))
        shared.channels[value, to_vector] = Channel(
            workspace, rows, cols, flag, flag + 1, stride, f"{name}_handed_turn"
        )
    if 2 * len(taken) > CROSS_FLAGS:
        raise probe.cannot(
            shared.shape.kernel.span, f"{len(ways)} tiles handed over between cube and vector cores"
        )


def _stages(shape: Shape, plan: Plan, ahead: int) -> dict[int, Stages]:
    """Return the stages of the loops that can be taken apart; ``ahead`` turns if nobody says."""
    found: dict[int, Stages] = {}
    if len(_kinds(shape)) == 1:
        return found
    if not _flags_for_each(shape):
        ahead = 0
    for s in ir.statements(shape.body):
        turns = plan.skews.get(s.axis.name, ahead) if isinstance(s, ir.For) else 0
        if isinstance(s, ir.For) and turns > 0:
            stages = find_stages(s, shape.marks, turns)
            if stages is not None:
                found[id(s)] = stages
    return found


def _flags_for_each(shape: Shape) -> bool:
    """Whether there are two cross-core flags for each value that changes cores."""
    return 2 * (len(shape.marks.to_cube) + len(shape.marks.to_vector)) <= CROSS_FLAGS


def _sides_of(
    frame: Frame, shape: Shape, value: ir.Value, to_vector: bool
) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """Return the ranges of the rows and of the columns of a tile that is handed over."""
    for product in shape.marks.products:
        batch = frame.order(set(product.batch))
        if not to_vector and value in (product.a, product.b):
            rows, cols = matrix_axes(frame, product, value)
            return (*batch, *rows), cols
        source = shape.defined[value]
        read = source.var if isinstance(source, ir.Read) else None
        summed = read is not None and shape.marks.accumulate.get(product.result) is read
        if to_vector and (value is product.result or summed):
            m, n, *_ = sides(frame, product)
            return (*batch, *m), n
    raise AssertionError(value)


def _blocks(body: tuple[ir.Stmt, ...]) -> dict[ir.Value, int]:
    """Return a number for the block in which each value is computed."""
    found: dict[ir.Value, int] = {}

    def visit(steps: tuple[ir.Stmt, ...]) -> None:
        for s in steps:
            found.update(dict.fromkeys(ir.results(s), id(steps)))
            match s:
                case ir.For(body=inner):
                    visit(inner)
                case ir.If(then=then, orelse=orelse):
                    visit(then)
                    visit(orelse)
                case _:
                    pass

    visit(body)
    return found


def over_capacity(shape: Shape, plan: Plan, overflow: CapacityError) -> CompileError:
    """Return the error that tabulates what does not fit."""
    chip, kernel = shape.chip, shape.kernel
    largest = sorted(overflow.buffers, key=lambda b: -b.size * b.slots)
    rows = tuple(
        (b.name, b.note, b.size * b.slots, _words(overflow.lines.get(b.name))) for b in largest
    )
    capacity = chip.capacity[overflow.memory.value]
    sizes = tuple(plan.tiles.items())
    memory = overflow.memory.value
    spans = tuple((a.name, a.limit) for a in shape.spans if a.limit is not None)

    def fits(tiles: dict[str, int]) -> bool:
        return overflow_of(shape, replace(plan, tiles=tiles), 1) is None

    table = OverCapacity(
        kernel.span, chip.name, memory, capacity, overflow.needed, rows, sizes, spans,
        largest_fitting(plan.tiles, fits),
    )  # fmt: skip
    return CompileError([table])


def _words(lines: tuple[int, int] | None) -> str:
    match lines:
        case None:
            return ""
        case first, last:
            return str(first) if first == last else f"{first} to {last}"
