"""Print NPU programs, for ``--dump-ir`` and for golden files."""

from dataclasses import fields

from tiledsl.npu import program as npu
from tiledsl.scalar import ZERO, Scalar, show


def show_program(program: npu.Program) -> str:
    """Return ``program`` as text: buffers with their addresses, then each core's steps."""
    lines = [f"program {program.name} for {program.chip}: {show(program.programs)} programs"]
    for workspace in program.workspaces:
        shape = f"{workspace.slots} x {workspace.elements} {workspace.dtype}"
        lines.append(f"  workspace {workspace.name}: {shape} a block")
    if program.uniform is not None:
        lines.append(f"  classes by {', '.join(program.uniform) or 'nothing'}")
    for core in program.cores:
        lines.append(f"{core.core.value} core:")
        for b in core.buffers:
            where = f"{b.memory.value}[{b.offset} .. {b.offset + b.size * b.slots}]"
            slots = f", {b.slots} slots" if b.slots > 1 else ""
            lines.append(f"  {b.name}: {where}{slots}  # {b.note}")
        lines += _block(core.body, "  ")
    return "\n".join(lines) + "\n"


def _block(body: tuple[npu.Step, ...], indent: str) -> list[str]:
    lines: list[str] = []
    for step in body:
        match step:
            case npu.For(name=name, lo=lo, hi=hi, step=by, note=note):
                head = f"{indent}for {name} in {show(lo)} .. {show(hi)} by {show(by)}:"
                lines.append(f"{head}  # {note}" if note else head)
                lines += _block(step.body, indent + "  ")
            case npu.If(condition=condition):
                lines.append(f"{indent}if {show(condition)}:")
                lines += _block(step.then, indent + "  ")
                if step.orelse:
                    lines.append(f"{indent}else:")
                    lines += _block(step.orelse, indent + "  ")
            case _:
                lines.append(indent + show_step(step))
    return lines


def show_step(step: npu.Step) -> str:
    """Return a leaf step on one line."""
    match step:
        case npu.Let(name=name, value=value):
            return f"{name} = {show(value)}"
        case npu.Assign(name=name, value=value):
            return f"{name} := {show(value)}"
        case npu.SetFlag(src=src, dst=dst, event=event):
            return f"set {src.name} -> {dst.name} {show(event)}"
        case npu.WaitFlag(src=src, dst=dst, event=event):
            return f"wait {src.name} -> {dst.name} {show(event)}"
        case npu.Barrier(queue=queue):
            return f"barrier {queue.name if queue else 'all'}"
        case npu.CrossSet(event=event, queue=queue):
            return f"cross set {event} after {queue.name}"
        case npu.CrossWait(event=event, queue=queue):
            return f"cross wait {event} before {queue.name}"
        case npu.Comment(text=text):
            return f"# {text}"
        case _:
            queue = npu.queue_of(step)
            words = [
                f"{f.name}={text}" if f.metadata else text
                for f in fields(step)
                if f.name != "span" and not (f.metadata and getattr(step, f.name) == f.default)
                for text in (_show(getattr(step, f.name)),)
            ]
            return f"{queue.name if queue else '':4} {type(step).__name__}({', '.join(words)})"


def _show(value: object) -> str:
    match value:
        case npu.Ref(buffer=buffer, dtype=dtype, offset=offset, slot=slot):
            at = f"[{show(slot)}]" if slot != ZERO else ""
            plus = f" + {show(offset)}" if offset != ZERO else ""
            return f"{buffer.name}{at}{plus}: {dtype}"
        case npu.View(ref=ref, kind="full", stride=stride):
            return f"({_show(ref)} / {show(stride)})"
        case npu.View(ref=ref, kind=kind):
            return f"{kind}({_show(ref)})"
        case npu.Global(place=place, offset=offset, slot=slot):
            at = f"[{show(slot)}]" if slot != ZERO else ""
            return f"{place.name}{at} + {show(offset)}"
        case tuple():
            return f"({', '.join(_show(v) for v in value)})"
        case str() | bool() | int() | float():
            return repr(value)
        case _ if _is_scalar(value):
            return show(value)  # type: ignore[arg-type]
        case _:
            return str(value)


def _is_scalar(value: object) -> bool:
    return isinstance(value, Scalar)
