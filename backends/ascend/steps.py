"""The steps of a core as lines of C++: each instruction is one call of a leaf operation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from tiledsl.backends.ascend.scalars import HELD, STORED, Scalars, is_natural
from tiledsl.backends.printing import argument, fixed_string, format_string
from tiledsl.npu import program as npu
from tiledsl.npu.program import Queue
from tiledsl.scalar import ONE, ZERO, Scalar, integer
from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType

_UNARY = {
    "exp": "Exponential", "ln": "Logarithm", "sqrt": "SquareRoot", "abs": "Absolute",
    "not": "Complement", "relu": "Rectify",
}  # fmt: skip
_ATOMIC = {"": "CopyOut", "add": "AddOut", "max": "MaxOut", "min": "MinOut"}

# What a leaf operation takes; a string is finished text.
Operand = npu.Ref | npu.View | npu.Global | Scalar | str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the kernel: its indentation and its text."""

    indent: str
    text: str


def natural_names(body: tuple[npu.Step, ...]) -> frozenset[str]:
    """Return the variables that never become negative, whatever the order of assignments."""
    defined: dict[str, list[Scalar]] = {"block": [ZERO], "blocks": [ONE], "sub": [ZERO]}
    for step in every_step(body):
        match step:
            case npu.Let(name=name, value=value) | npu.Assign(name=name, value=value):
                defined.setdefault(name, []).append(value)
            case npu.For(name=name, lo=lo, step=by):
                defined.setdefault(name, []).extend((lo, by))
            case npu.ReadScalar(name=name):
                defined.setdefault(name, []).append(integer(-1))  # it may be anything
    natural = frozenset(defined)
    while True:
        kept = frozenset(n for n in natural if all(is_natural(v, natural) for v in defined[n]))
        if kept == natural:
            return kept
        natural = kept


def every_step(body: tuple[npu.Step, ...]) -> Iterator[npu.Step]:
    """Yield the steps of a body and of all blocks inside it."""
    for step in body:
        yield step
        match step:
            case npu.For(body=inner):
                yield from every_step(inner)
            case npu.If(then=then, orelse=orelse):
                yield from every_step(then)
                yield from every_step(orelse)


def plain(text: str) -> str:
    """Return ``text`` so that it can do no harm in a comment: one line, no escapes, no ends."""
    shown = "".join(c if c.isprintable() else " " for c in text).strip()
    shown = shown.replace("*/", "* /").replace("/*", "/ *").replace("??/", "?? /")
    return f"{shown} ." if shown.endswith("\\") else shown


class Steps:
    """Renders the steps of one core; notes which buffers, tensors and workspaces they use.

    On a ``unified`` core some leaf operations take scratch, which the kernel calls ``spare``.
    """

    def __init__(
        self, scalars: Scalars, body: tuple[npu.Step, ...], *, unified: bool = False
    ) -> None:
        self.scalars = scalars
        self.spare = ("spare",) if unified else ()
        self.buffers: dict[str, npu.Buffer] = {}
        self.workspaces: dict[str, npu.Workspace] = {}
        self._shown: set[tuple[str, int]] = set()
        self._scopes: list[set[str]] = [set()]
        self._changed = {s.name for s in every_step(body) if isinstance(s, npu.Assign)}
        self._lines: list[Line] = []
        self._depth = 1
        for step in body:
            self._step(step)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines, in order."""
        return tuple(self._lines)

    def _put(self, text: str) -> None:
        self._lines.append(Line("    " * self._depth, text))

    def _quote(self, span: Span) -> None:
        """Put the line of ``.tile`` text that an instruction comes from above it, once."""
        if span is NOWHERE or not span.source.text:
            return
        key = (span.source.name, span.line)
        if key not in self._shown:
            self._shown.add(key)
            file = span.source.name.replace("\\", "/").rsplit("/", 1)[-1]
            self._put(f"// {plain(file)}:{span.line}: {plain(span.source.line(span.line))}")

    def _step(self, step: npu.Step) -> None:
        match step:
            case npu.Let(name=name, value=value):
                self._define(name, value.dtype, self.scalars.text(value))
            case npu.Assign(name=name, value=value):
                self._put(f"{self.scalars.name('local', name)} = {self.scalars.text(value)};")
            case npu.For():
                self._for(step)
            case npu.If(condition=condition, then=then, orelse=orelse):
                self._quote(step.span)
                self._put(f"if ({self.scalars.text(condition)}) {{")
                self._block(then)
                if orelse:
                    self._put("} else {")
                    self._block(orelse)
                self._put("}")
            case npu.Print(text=text, values=values):
                self._quote(step.span)
                words = [format_string(text, (v.dtype for v in values))]
                words += [argument(self.scalars.text(v), v.dtype) for v in values]
                self._put(f"AscendC::printf({', '.join(words)});")
            case npu.Assert(condition=condition, text=text):
                self._quote(step.span)
                self._put(f"if (!({self.scalars.text(condition)})) {{")
                self._put(f"    AscendC::printf({fixed_string(text, is_format=True)});")
                self._put("    AscendC::Trap();")
                self._put("}")
            case npu.Comment(text=text):
                self._put(f"// {plain(text)}")
            case npu.ReadScalar(name=name, src=src):
                self._quote(step.span)
                self._define(name, src.dtype, f"tdsl::Get({self._ref(src)})")
            case npu.Barrier(queue=Queue.S):
                pass  # the scalar unit works in order, and PIPE_S would stop the core
            case _:
                self._quote(step.span)
                self._put(f"{self._call(step)};")

    def _define(self, name: str, dtype: DType, value: str) -> None:
        word = self.scalars.name("local", name)
        if any(name in scope for scope in self._scopes) and name in self._changed:
            self._put(f"{word} = {value};")
            return
        self._scopes[-1].add(name)
        const = "" if name in self._changed else "const "
        self._put(f"{const}{HELD[dtype]} {word} = {value};")

    def _block(self, steps: tuple[npu.Step, ...]) -> None:
        self._depth += 1
        self._scopes.append(set())
        for step in steps:
            self._step(step)
        self._scopes.pop()
        self._depth -= 1

    def _for(self, step: npu.For) -> None:
        text = self.scalars.text
        self._quote(step.span)
        if step.note:
            self._put(f"// {plain(step.note)}")
        name = self.scalars.name("local", step.name)
        by = f"++{name}" if step.step == ONE else f"{name} += {text(step.step)}"
        start = f"{HELD[step.lo.dtype]} {name} = {text(step.lo)}"
        end = text(step.hi)
        end = f"({end})" if any(sign in end for sign in "?&|<=") else end
        self._put(f"for ({start}; {name} < {end}; {by}) {{")
        self._block(step.body)
        self._put("}")

    # ---- operands --------------------------------------------------------------------------------

    def _ref(self, ref: npu.Ref) -> str:
        """Return the elements that a `Ref` names, as a LocalTensor."""
        self.buffers[ref.buffer.name] = ref.buffer
        area = self.scalars.names.of("buffer", ref.buffer.name)
        arguments = [area]
        if ref.offset != ZERO or ref.slot != ZERO:
            arguments.append(self.scalars.text(ref.offset))
        if ref.slot != ZERO:
            arguments.append(self.scalars.text(ref.slot))
        return f"At<{STORED[ref.dtype]}>({', '.join(arguments)})"

    def _view(self, view: npu.View) -> str:
        ref = self._ref(view.ref)
        match view.kind:
            case "full":
                return f"Full({ref}, {self.scalars.text(view.stride)})"
            case "row":
                return f"Row({ref})"
            case "col":
                return f"Col({ref})"
            case "one":
                return f"One({ref})"

    def _global(self, place: npu.Global) -> str:
        """Return the elements that a `Global` names, as a GlobalTensor."""
        match place.place:
            case npu.Workspace(name=name) as workspace:
                self.workspaces[name] = workspace
                start = self.scalars.wide(place.slot)
                if place.slot != ZERO:
                    slot = start if start.isidentifier() else f"({start})"
                    start = f"{slot} * {workspace.elements}"
                parts = [p for p in (start, self.scalars.wide(place.offset)) if p != "0"]
                word = self.scalars.names.of("workspace", name)
                return f"{word}[{' + '.join(parts)}]" if parts else word
            case tensor:
                self.scalars.read[tensor] = None
                word = self.scalars.names.of("tensor", tensor.name)
                offset = self.scalars.wide(place.offset)
                return word if offset == "0" else f"{word}[{offset}]"

    def _operand(self, thing: Operand) -> str:
        match thing:
            case npu.Ref():
                return self._ref(thing)
            case npu.View():
                return self._view(thing)
            case npu.Global():
                return self._global(thing)
            case str():
                return thing
            case _:
                return self.scalars.text(thing)

    def _op(self, name: str, *operands: Operand) -> str:
        """Return the call of a leaf operation."""
        return f"tdsl::{name}({', '.join(map(self._operand, operands))})"

    def _axes(self, *sizes: tuple[Scalar, ...]) -> tuple[str, ...]:
        """Return the dimensions of a copy: counts, strides in global memory, strides on chip."""
        text, wide = self.scalars.text, self.scalars.wide
        return tuple(
            f"Axis{{{text(n)}, {wide(outside)}, {text(inside)}}}"
            for n, outside, inside in zip(*sizes, strict=True)
        )

    # ---- instructions ----------------------------------------------------------------------------

    def _call(self, step: npu.Step) -> str:
        """Return the call that does one instruction."""
        match step:
            case npu.CopyIn(dst=dst, src=place, length=length, pad=pad):
                axes = self._axes(step.shape, step.src_strides, step.dst_strides)
                if step.left != ZERO:
                    return self._op("CopyShifted", dst, place, step.left, length, pad, *axes)
                return self._op("CopyIn", dst, place, length, pad, *axes)
            case npu.CopyOut(dst=place, src=src, length=length, atomic=atomic):
                axes = self._axes(step.shape, step.dst_strides, step.src_strides)
                return self._op(_ATOMIC[atomic], place, src, *self.spare, length, *axes)
            case npu.Fill(dst=dst, value=value, count=count):
                return self._op("Fill", dst, value, count)
            case npu.WriteScalar(dst=dst, value=value):
                return self._op("Set", dst, value)
            case npu.Iota(dst=dst, first=first, count=count):
                return self._op("Iota", dst, first, count)
            case npu.Unary(op=op, dst=dst, src=src, count=count):
                return self._op(_UNARY.get(op) or _convert(op), dst, src, count)
            case npu.Binary(op=op, rows=rows, cols=cols):
                name = f"{op.capitalize()}Tiles"
                views = (step.dst, step.a, step.b)
                if rows == ONE and all(v.kind in ("full", "row") for v in views):
                    return self._op(name, *(v.ref for v in views), cols)
                return self._op(name, *views, rows, cols)
            case npu.WithScalar(op=op, dst=dst, src=src, scalar=by, count=count):
                return self._op(f"{op.capitalize()}Scalar", dst, src, by, count)
            case npu.Convert(dst=dst, src=src, mode=mode, count=count):
                return self._op(_convert(mode), dst, src, count)
            case npu.Compare(op=op, mask=mask, a=a, b=b, count=count):
                name = "CompareTiles" if isinstance(b, npu.Ref) else "CompareTile"
                return self._op(f"{name}<CMPMODE::{op.upper()}>", mask, a, b, count)
            case npu.Select(dst=dst, mask=mask, a=a, b=b, count=count):
                name = "SelectTiles" if isinstance(b, npu.Ref) else "SelectTile"
                return self._op(name, dst, mask, a, b, count)
            case npu.Spread(dst=dst, src=src, count=count):
                return self._op("Spread", dst, src, *self.spare, count)
            case npu.Gather(dst=dst, src=src, offsets=offsets, count=count):
                return self._op("GatherElements", dst, src, offsets, count)
            case npu.Expand(dst=out, src=view, rows=rows, cols=cols):
                return self._op("Expand", out, view, rows, cols)
            case npu.Transpose(dst=out, src=view, rows=rows, cols=cols):
                return self._op("TransposeTile", out, view, rows, cols)
            case npu.RowReduce(op=op, dst=dst, src=view, scratch=scratch, rows=rows, cols=cols):
                fold = f"{op.capitalize()}Of"
                name = f"RowReduce<tdsl::{f'Blocks<tdsl::{fold}>' if step.blocks else fold}>"
                return self._op(name, dst, view, scratch, rows, cols, step.identity)
            case npu.ColReduce(op=op, dst=dst, src=view, rows=rows, cols=cols):
                name = f"ColReduce<tdsl::{op.capitalize()}Op>"
                return self._op(name, dst, view, rows, cols, step.identity)
            case npu.LoadNz(dst=dst, src=place, rows=rows, cols=cols):
                stride = self.scalars.wide(step.src_stride)
                height = step.dst_rows
                return self._op("LoadNz", dst, place, *self.spare, rows, cols, stride, height)
            case npu.LoadWindow(dst=dst, src=place, rows=rows, cols=cols, dst_rows=height):
                stride = self.scalars.wide(step.src_stride)
                axes = self._axes(step.shape, step.src_strides, step.dst_strides)
                words = (step.clear, step.skip, rows, cols, stride, height, *axes)
                return self._op("LoadWindow", dst, place, *words)
            case npu.LoadA(dst=dst, src=src, m=m, k=k, src_rows=height):
                return self._op(f"LoadA<{_flag(step.transposed)}>", dst, src, m, k, height)
            case npu.LoadB(dst=dst, src=src, k=k, n=n, src_rows=height):
                return self._op(f"LoadB<{_flag(step.transposed)}>", dst, src, k, n, height)
            case npu.Mmad(dst=dst, a=a, b=b, m=m, n=n, k=k, first=first):
                return self._op("Multiply", dst, a, b, m, n, k, first)
            case npu.Fixpipe(dst=place, src=src, m=m, n=n, dst_stride=stride):
                return self._op("StoreProduct", place, src, m, n, self.scalars.wide(stride))
            case npu.Drain(dst=out, src=src, scratch=scratch, m=m, n=n):
                return self._op("Drain", out, src, scratch, m, n)
            case npu.Feed(dst=dst, src=view, rows=rows, cols=cols, dst_rows=height):
                return self._op("Feed", dst, view, rows, cols, height)
            case npu.SetFlag(src=source, dst=to, event=event):
                return f"SetFlag<HardEvent::{source.value}_{to.value}>({self.scalars.text(event)})"
            case npu.WaitFlag(src=source, dst=to, event=event):
                return f"WaitFlag<HardEvent::{source.value}_{to.value}>({self.scalars.text(event)})"
            case npu.Barrier(queue=queue):
                return f"PipeBarrier<PIPE_{queue.value if queue else 'ALL'}>()"
            case npu.CrossSet(event=event, queue=queue):
                return f"CrossCoreSetFlag<2, PIPE_{queue.value}>({event})"
            case npu.CrossWait(event=event):
                return f"CrossCoreWaitFlag({event})"
            case (
                npu.ReadScalar() | npu.Let() | npu.Assign() | npu.For() | npu.If() | npu.Print()
                | npu.Assert() | npu.Comment()
            ):  # fmt: skip
                raise AssertionError(step)
            case _:
                assert_never(step)


def _convert(mode: str) -> str:
    return f"Convert<RoundMode::CAST_{mode.upper()}>"


def _flag(value: bool) -> str:
    return "true" if value else "false"
