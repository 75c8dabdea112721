"""Which directives of a schedule change nothing on a GPU, and why."""

from tiledsl.gpu.program import Loop, Program, statements
from tiledsl.schedule import NoEffect, Plan

_IDLE = {
    "pipeline": "its loads are not put in stages there yet",
    "cores": "there are as many blocks as programs",
    "bypass": "its caches are not told what to keep",
    "skew": "one kind of core does all the work",
    "split": "it has neither vector cores nor L0",
    "place": "it has no such memory",
}


def without_effect(plan: Plan, program: Program) -> tuple[NoEffect, ...]:
    """Return a warning for each directive of ``plan`` that ``program`` would not miss."""
    found = []
    loops = {s.axis.name for s in statements(program.body) if isinstance(s, Loop) and s.axis}
    two = tuple(r.axis.name for r in program.grid[program.walked :][-2:])
    for line in plan.said:
        names = tuple(n.id for n in line.names)
        reason = _IDLE.get(line.word, "")
        if line.word == "skew" and plan.skews[names[0]] == 0:
            reason = ""
        if line.word == "swizzle" and names != two:
            reason = f"only the last two grid ranges are, `{', '.join(two)}`"
        if line.word == "unroll" and not loops & set(names):
            reason = "no loop over it is left"
        if reason:
            words = " ".join([line.word, ", ".join(names)]).strip()
            found.append(NoEffect(line.span, program.target.name, words, reason))
    return tuple(found)
