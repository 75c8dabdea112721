"""Which directives of a schedule change nothing on an NPU, and why."""

from tiledsl import ir
from tiledsl.chips import Chip
from tiledsl.npu import program as npu
from tiledsl.npu.shape import Shape, analyse, row_split
from tiledsl.npu.stages import find_stages
from tiledsl.schedule import NoEffect, Plan
from tiledsl.syntax import tree


def without_effect(
    kernel: ir.Kernel, chip: Chip, plan: Plan, program: npu.Program
) -> tuple[NoEffect, ...]:
    """Return a warning for each directive of ``plan`` that ``program`` would not miss."""
    if not plan.said:
        return ()
    shape = analyse(kernel, chip, plan.places)
    found = []
    for line in plan.said:
        reason = _reason(line, plan, shape, program)
        if reason:
            words = " ".join([line.word, ", ".join(n.id for n in line.names)]).strip()
            found.append(NoEffect(line.span, chip.name, words, reason))
    return tuple(found)


def _reason(line: tree.Directive, plan: Plan, shape: Shape, program: npu.Program) -> str:
    """Return why a directive changes nothing; "" where it does."""
    names = tuple(n.id for n in line.names)
    every = list(ir.statements(shape.body))
    loops = [s for s in every if isinstance(s, ir.For) and s.axis.name in names]
    match line.word:
        case "pipeline":
            last = shape.grid[-1].name if shape.grid else ""
            if not loops and last not in names:
                return "it is neither a loop nor the last range of the grid"
            most = max((b.slots for core in program.cores for b in core.buffers), default=1)
            depth = plan.depths[names[0]]
            return "" if most >= depth else f"there is no room, or no use, for {depth} buffers"
        case "swizzle":
            two = tuple(a.name for a in shape.grid[-2:])
            return "" if names == two else f"only the last two grid ranges are, `{', '.join(two)}`"
        case "skew":
            return _why_no_skew(plan.skews[names[0]], loops, shape)
        case "unroll":
            return "a loop costs the scalar unit next to nothing: it is ahead of the queues"
        case "warps":
            return "it has no warps"
        case "bypass":
            return "" if shape.chip.separate else "its L2 takes no such hint"
        case "split" if line.step is not None:
            depths = {a.name for s in every if isinstance(s, ir.Contract) for a in s.axes}
            return "" if depths & set(names) else "no product on the cube sums over it"
        case "split":
            if len(program.cores) < 2:
                return "cube and vector cores do not share a program there"
            split = row_split(shape.grid, shape.body, shape.marks, names[0])
            if split is not None and split.name == names[0]:
                return ""
            return "not all tiles that change cores have it, or it is reduced"
        case "place":
            return _why_no_place(names[0], plan.places[names[0]], shape)
        case _:
            return ""


def _why_no_skew(turns: int, loops: list[ir.For], shape: Shape) -> str:
    if turns == 0:
        return ""
    if not shape.chip.separate:
        return "one core has both the cube and the vector unit"
    if not (shape.marks.cube and shape.marks.vector):
        return "one kind of core does all the work"
    if not any(find_stages(s, shape.marks, turns) for s in loops):
        return "no tile goes from core to core and back in a turn that the next one does not need"
    return ""


def _why_no_place(name: str, place: str, shape: Shape) -> str:
    marks = shape.marks
    homes = {v.name: "l0c" for v in marks.accumulators}
    for s in ir.statements(shape.body):
        if isinstance(s, ir.Declare) and s.var not in marks.accumulators:
            homes[s.var.name] = "ub"
        for value in ir.results(s):
            label = shape.labels.get(value, "")
            if value in marks.loads:
                homes.setdefault(label, "l1")
            elif value in marks.vector_values or value in marks.to_vector:
                homes.setdefault(label, "ub")
    if name not in homes:
        return "the value is not left after the passes"
    return "" if homes[name] == place else f"it lives in {homes[name]}, by its use"
