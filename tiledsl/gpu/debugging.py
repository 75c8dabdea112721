"""``print`` and ``assert``: a pass over the elements, each told by the thread that has it."""

from tiledsl import ir
from tiledsl.gpu.frame import Frame
from tiledsl.gpu.lanes import Lanes
from tiledsl.gpu.program import Claim, Effect, Map, Show
from tiledsl.gpu.values import domain_of, prepare
from tiledsl.scalar import Local


def debug(frame: Frame, statement: ir.Print | ir.Assert) -> None:
    """Emit the pass; a line of a tile ends with the positions of the element."""
    operands = [x for x in ir.operands(statement) if isinstance(x, ir.Value)]
    axes = tuple(dict.fromkeys(a for x in operands for a in x.type.axes))
    for axis in axes:
        frame.need(axis, statement.span)
    for operand in operands:
        prepare(frame, operand, None)
    env, domain = domain_of(frame, axes, None, list(operands), [])
    lanes = Lanes(frame)
    effect: Effect
    match statement:
        case ir.Print(text=text):
            words = [lanes.operand(x, env) for x in statement.operands]
            if axes:
                text += f" ({', '.join(f'{axis.name} = {{}}' for axis in axes)})"
            words += [Local(env[axis].position) for axis in axes]
            effect = Show(text, tuple(words))
        case ir.Assert(condition=condition):
            effect = Claim(lanes.operand(condition, env), statement.message)
    frame.out.append(Map(statement.span, domain, tuple(lanes.steps), (effect,)))
