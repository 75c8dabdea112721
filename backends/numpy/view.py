"""What the template of the NumPy module lays out: lines of Python, one for each step.

Only names made into identifiers, numbers, and notes on one line of printable characters come from
the ``.tile`` file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import assert_never

from tiledsl.backends.numpy.names import VOCABULARY, Names
from tiledsl.npu import program as npu
from tiledsl.scalar import ZERO, Local, Scalar, walk
from tiledsl.source import NOWHERE, Span

_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a function."""

    indent: str
    text: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a core."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """The whole file."""

    file: str
    title: str
    imports: str
    functions: tuple[Function, ...]


def view(program: npu.Program) -> Module:
    """Return the words of the module of ``program``."""
    used: set[str] = set()
    functions = [_programs(program, used)]
    for core in program.cores:
        functions += [_sizes(program, core, used), _core(program, core, used)]
    return Module(
        file=f"{Names().of('kernel', program.name)}_sim.py",
        title=f"{_plain(program.name)}: its program for {_plain(program.chip)}, as NumPy runs it.",
        imports=", ".join(sorted(used & VOCABULARY)),
        functions=tuple(functions),
    )


def _programs(program: npu.Program, used: set[str]) -> Function:
    """Return the function that counts the grid programs."""
    names = Names(used=used)
    last = Line(_INDENT, f"return {_Writer(program, names).scalar(program.programs)}")
    return Function("programs", (*_arguments(program, (), names), last))


def _sizes(program: npu.Program, core: npu.CoreProgram, used: set[str]) -> Function:
    """Return the function of ``core.program`` whose result is equal in a class of programs."""
    names = Names(used=used)
    writer = _Writer(program, names, frozenset())
    wanted = set(program.uniform or ())
    loop = next((s for s in core.body if isinstance(s, npu.For) and s.name == "program"), None)
    lets = [s for s in (*core.body, *(loop.body if loop else ())) if isinstance(s, npu.Let)]
    needed = {let.name for let in lets} & wanted
    result = ", ".join(names.of("local", let.name) for let in lets if let.name in wanted)
    body = [Line(_INDENT, f"return [{result}]")]
    for let in reversed(lets):
        if let.name in needed:
            needed |= {x.name for x in walk(let.value) if isinstance(x, Local)}
            body[:0] = writer.step(let, _INDENT)
    if ("local", "program") in names.given:
        body.insert(0, Line(_INDENT, f"{names.of('local', 'program')} = core.program"))
    return Function(f"{core.core.value}_sizes", (*_arguments(program, (), names), *body))


def _core(program: npu.Program, core: npu.CoreProgram, used: set[str]) -> Function:
    """Return the function that the core runs."""
    names = Names(used=used)
    body = tuple(_Writer(program, names).block(core.body, _INDENT))
    return Function(core.core.value, (*_arguments(program, core.buffers, names), *body))


def _arguments(
    program: npu.Program, buffers: tuple[npu.Buffer, ...], names: Names
) -> Iterator[Line]:
    """Define buffers, and what is used of tensors, dims and parameters."""
    for buffer in buffers:
        name = names.of("buffer", buffer.name)
        place = f"{buffer.memory.value!r}, {buffer.offset}, {buffer.size}, {buffer.slots}"
        note = f"  # {_plain(buffer.note)}" if buffer.note else ""
        yield Line(_INDENT, f"{name} = core.buffer({buffer.name!r}, {place})", note)
    for tensor in program.tensors:
        if ("global", tensor.name) in names.given:
            name = names.global_of(tensor)
            yield Line(_INDENT, f"{name} = core.tensor({tensor.name!r})")
    for workspace in program.workspaces:
        if ("global", workspace.name) in names.given:
            name = names.of("global", workspace.name)
            yield Line(_INDENT, f"{name} = core.workspace({workspace.name!r})")
    for dim in program.dims:
        if ("dim", dim) in names.given:
            yield Line(_INDENT, f"{names.of('dim', dim)} = core.dim({dim!r})")
    for param, _ in program.scalars:
        if ("param", param) in names.given:
            yield Line(_INDENT, f"{names.of('param', param)} = core.scalar({param!r})")
    for variable in ("block", "blocks", "sub"):
        if ("local", variable) in names.given:
            yield Line(_INDENT, f"{names.of('local', variable)} = core.{variable}")


class _Writer:
    """Writes steps; knows the names, and which variables are equal in a class of programs."""

    def __init__(
        self, program: npu.Program, names: Names, uniform: frozenset[str] | None = None
    ) -> None:
        self.names = names
        self.home = program.span.source
        self.uniform = frozenset(program.uniform or ()) if uniform is None else uniform
        self.lines: dict[Span, str] = {NOWHERE: "0"}

    def block(self, steps: tuple[npu.Step, ...], indent: str) -> Iterator[Line]:
        """Yield the lines of a block, at least one."""
        if not steps:
            yield Line(indent, "pass")
        for step in steps:
            yield from self.step(step, indent)

    def step(self, step: npu.Step, indent: str) -> Iterator[Line]:
        """Yield the lines of one step."""
        names, inner = self.names, indent + _INDENT
        match step:
            case npu.Comment(text=text):
                yield Line(indent, "pass", f"  # {_plain(text)}")
            case npu.Let(name=name, value=value):
                text = self.scalar(value)
                text = f"core.same({text})" if name in self.uniform else text
                yield Line(indent, f"{names.of('local', name)} = {text}")
            case npu.Assign(name=name, value=value):
                yield Line(indent, f"{names.of('local', name)} = {self.scalar(value)}")
            case npu.ReadScalar(name=name, src=src):
                call = self.call("read_scalar", step, self.ref(src))
                yield Line(indent, f"{names.of('local', name)} = {call}")
            case npu.For(name=name):
                bounds = ", ".join(self.scalar(s) for s in (step.lo, step.hi, step.step))
                call = "programs" if name == "program" else "loop"
                loop = f"core.{call}({self.line(step.span)}, {bounds})"
                head = f"for {names.of('local', name)} in {loop}:"
                yield Line(indent, head, f"  # {_plain(step.note)}" if step.note else "")
                yield from self.block(step.body, inner)
            case npu.If(condition=condition):
                how = "some" if step.rare else "same"
                yield Line(indent, f"if core.{how}({self.scalar(condition)}):")
                yield from self.block(step.then, inner)
                if step.orelse:
                    yield Line(indent, "else:")
                    yield from self.block(step.orelse, inner)
            case npu.Print(text=text, values=values):
                words = ascii(text), self.many(values)
                yield Line(indent, self.call("print_line", step, *words))
            case npu.Assert(condition=condition, text=text):
                words = self.scalar(condition), ascii(text)
                yield Line(indent, self.call("require", step, *words))
            case npu.CrossWait(event=event, queue=queue):
                call = self.call("cross_wait", step, str(event), repr(queue.value))
                yield Line(indent, f"yield from {call}")
            case _:
                yield Line(indent, self.leaf(step))

    def leaf(self, step: npu.Step) -> str:
        """Return the call of an instruction or flag."""
        ref, view, scalar = self.ref, self.view, self.scalar
        match step:
            case npu.CopyIn():
                words = [
                    ref(step.dst), self.place(step.src), self.many(step.shape),
                    self.many(step.src_strides), self.many(step.dst_strides), scalar(step.length),
                    scalar(step.pad), *((scalar(step.left),) if step.left != ZERO else ()),
                ]  # fmt: skip
                return self.call("copy_in", step, *words)
            case npu.CopyOut():
                words = [
                    self.place(step.dst), ref(step.src), self.many(step.shape),
                    self.many(step.dst_strides), self.many(step.src_strides), scalar(step.length),
                    repr(step.atomic),
                ]  # fmt: skip
                return self.call("copy_out", step, *words)
            case npu.Fill(dst=dst, value=value, count=count):
                return self.call("fill", step, ref(dst), scalar(value), scalar(count))
            case npu.WriteScalar(dst=dst, value=value):
                return self.call("write_scalar", step, ref(dst), scalar(value))
            case npu.Iota(dst=dst, first=first, count=count):
                return self.call("iota", step, ref(dst), scalar(first), scalar(count))
            case npu.Unary(op=op, dst=dst, src=src, count=count):
                return self.call("unary", step, repr(op), ref(dst), ref(src), scalar(count))
            case npu.Binary(op=op, dst=out, a=a, b=b):
                sizes = [scalar(step.rows), scalar(step.cols)]
                return self.call("binary", step, repr(op), view(out), view(a), view(b), *sizes)
            case npu.WithScalar(op=op, dst=dst, src=src, scalar=value, count=count):
                words = [repr(op), ref(dst), ref(src), scalar(value), scalar(count)]
                return self.call("with_scalar", step, *words)
            case npu.Convert(dst=dst, src=src, mode=mode, count=count):
                return self.call("convert", step, ref(dst), ref(src), repr(mode), scalar(count))
            case npu.Compare(op=op, mask=mask, a=a, b=b, count=count):
                words = [repr(op), ref(mask), ref(a), self.either(b), scalar(count)]
                return self.call("compare", step, *words)
            case npu.Select(dst=dst, mask=mask, a=a, b=b, count=count):
                words = [ref(dst), ref(mask), ref(a), self.either(b), scalar(count)]
                return self.call("select", step, *words)
            case npu.Spread(dst=dst, src=src, count=count):
                return self.call("spread", step, ref(dst), ref(src), scalar(count))
            case npu.Expand(dst=out, src=a, rows=rows, cols=cols):
                return self.call("expand", step, view(out), view(a), scalar(rows), scalar(cols))
            case npu.RowReduce(op=op, dst=dst, src=a, scratch=scratch):
                words = [repr(op), ref(dst), view(a), ref(scratch)]
                sizes = [scalar(step.rows), scalar(step.cols), scalar(step.identity)]
                sizes += [str(step.blocks)] if step.blocks else []
                return self.call("row_reduce", step, *words, *sizes)
            case npu.ColReduce(op=op, dst=dst, src=a):
                sizes = [scalar(step.rows), scalar(step.cols), scalar(step.identity)]
                return self.call("col_reduce", step, repr(op), ref(dst), view(a), *sizes)
            case npu.Transpose(dst=out, src=a, rows=rows, cols=cols):
                return self.call("transpose", step, view(out), view(a), scalar(rows), scalar(cols))
            case npu.Gather(dst=dst, src=src, offsets=offsets, count=count):
                return self.call("gather", step, ref(dst), ref(src), ref(offsets), scalar(count))
            case npu.LoadNz():
                sizes = [scalar(s) for s in (step.rows, step.cols, step.src_stride, step.dst_rows)]
                return self.call("load_nz", step, ref(step.dst), self.place(step.src), *sizes)
            case npu.LoadWindow():
                axes = [self.many(s) for s in (step.shape, step.src_strides, step.dst_strides)]
                sizes = [scalar(s) for s in (step.rows, step.cols, step.src_stride)]
                sizes += [scalar(s) for s in (step.dst_rows, step.skip, step.clear)]
                words = [ref(step.dst), self.place(step.src), *axes, *sizes]
                return self.call("load_window", step, *words)
            case (
                npu.LoadA(dst=dst, src=src, m=rows, k=cols)
                | npu.LoadB(dst=dst, src=src, k=rows, n=cols)
            ):
                method = "load_a" if isinstance(step, npu.LoadA) else "load_b"
                sizes = [scalar(rows), scalar(cols), scalar(step.src_rows), str(step.transposed)]
                return self.call(method, step, ref(dst), ref(src), *sizes)
            case npu.Mmad(dst=dst, a=left, b=right):
                sizes = [scalar(s) for s in (step.m, step.n, step.k, step.first)]
                return self.call("mmad", step, ref(dst), ref(left), ref(right), *sizes)
            case npu.Fixpipe(dst=place, src=src):
                sizes = [scalar(s) for s in (step.m, step.n, step.dst_stride)]
                kind = self.names.use(step.dtype.name)
                return self.call("fixpipe", step, self.place(place), ref(src), *sizes, kind)
            case npu.Drain(dst=out, src=src, scratch=scratch, m=rows, n=cols):
                words = [view(out), ref(src), ref(scratch), scalar(rows), scalar(cols)]
                return self.call("drain", step, *words)
            case npu.Feed(dst=dst, src=a, rows=rows, cols=cols, dst_rows=height):
                words = [ref(dst), view(a), scalar(rows), scalar(cols), scalar(height)]
                return self.call("feed", step, *words)
            case npu.SetFlag(src=queue, dst=other, event=event):
                words = [repr(queue.value), repr(other.value), scalar(event)]
                return self.call("set_flag", step, *words)
            case npu.WaitFlag(src=queue, dst=other, event=event):
                words = [repr(queue.value), repr(other.value), scalar(event)]
                return self.call("wait_flag", step, *words)
            case npu.Barrier(queue=waiting):
                return self.call("barrier", step, repr(waiting.value if waiting else None))
            case npu.CrossSet(event=number, queue=queue):
                return self.call("cross_set", step, str(number), repr(queue.value))
            case (
                npu.ReadScalar() | npu.Let() | npu.Assign() | npu.For() | npu.If() | npu.Comment()
                | npu.CrossWait() | npu.Print() | npu.Assert()
            ):  # fmt: skip
                raise AssertionError(step)
            case _:
                assert_never(step)

    def call(self, method: str, step: npu.Step, *words: str) -> str:
        """Return a call on the core."""
        return f"core.{method}({', '.join((self.line(step.span), *words))})"

    def line(self, span: Span) -> str:
        """Return the number of the line, or file and line where it is another file's."""
        if span not in self.lines:
            other = span.source is not self.home and span.source != self.home
            file = _plain(PurePath(span.source.name).name)
            text = repr(f"{file}:{span.line}") if other else str(span.line)
            self.lines[span] = text
        return self.lines[span]

    def scalar(self, scalar: Scalar) -> str:
        """Return a scalar without needless brackets."""
        text = self.names.expression(scalar)
        return text[1:-1] if text.startswith("(") and _closes_at_end(text) else text

    def many(self, scalars: tuple[Scalar, ...]) -> str:
        return self.names.tuple_of(scalars)

    def ref(self, ref: npu.Ref) -> str:
        name = self.names.of("buffer", ref.buffer.name)
        words = [self.names.use(ref.dtype.name), self.scalar(ref.offset), self.scalar(ref.slot)]
        while words[-1] == "0":
            words.pop()
        return f"{name}({', '.join(words)})"

    def either(self, operand: npu.Ref | Scalar) -> str:
        return self.ref(operand) if isinstance(operand, npu.Ref) else self.scalar(operand)

    def view(self, view: npu.View) -> str:
        stride = f", {self.scalar(view.stride)}" if view.kind == "full" else ""
        return f"{self.names.use(view.kind)}({self.ref(view.ref)}{stride})"

    def place(self, place: npu.Global) -> str:
        name = self.names.of("global", place.place.name)
        words = [self.scalar(place.offset), self.scalar(place.slot)]
        while words and words[-1] == "0":
            words.pop()
        return f"{name}({', '.join(words)})"


def _closes_at_end(text: str) -> bool:
    depth = 0
    for at, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return at == len(text) - 1
    return False


def _plain(text: str) -> str:
    """Return ``text`` on one line, in printable ASCII without backslashes and quotes."""
    return "".join(c if " " <= c <= "~" and c not in "\\\"" else " " for c in text)
