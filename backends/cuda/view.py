"""A GPU program as finished words, for the templates to lay out."""

from dataclasses import dataclass
from pathlib import PurePath

from tiledsl import scalar as sc
from tiledsl.backends.cuda.statements import Writer, comment, loop
from tiledsl.backends.cuda.words import HELD, STORAGE, STORED, Words, number, value_type
from tiledsl.gpu.program import (
    FmaLayout,
    GridRange,
    Layout,
    MmaLayout,
    Program,
    TensorParam,
)
from tiledsl.scalar import Scalar
from tiledsl.types import DType

# A dim is an int in the kernel; this leaves room for a tile beyond it.
MOST = 2**31 - 2**16


@dataclass(frozen=True, slots=True)
class ParamView:
    """A parameter: of the kernel (``kernel_type``), of the launcher, and what is passed on."""

    name: str
    kernel_type: str
    launcher_type: str
    launcher_name: str
    passed: str
    about: str


@dataclass(frozen=True, slots=True)
class TableView:
    """A constant table."""

    name: str
    type: str
    count: int
    values: str


@dataclass(frozen=True, slots=True)
class BufferView:
    """A tile in shared memory."""

    name: str
    type: str
    offset: int
    count: int
    note: str


@dataclass(frozen=True, slots=True)
class AliasView:
    """A name for the type of accumulators."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """A condition that the launcher checks; ``text`` is a C string without its quotes."""

    code: int
    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class KernelView:
    """What the templates lay out."""

    name: str
    source: str
    target: str
    arch: str
    doc: tuple[str, ...]
    tiles: str
    threads: int
    shared_bytes: int
    tensors: tuple[ParamView, ...]
    numbers: tuple[ParamView, ...]
    dims: tuple[ParamView, ...]
    tables: tuple[TableView, ...]
    buffers: tuple[BufferView, ...]
    aliases: tuple[AliasView, ...]
    checks: tuple[CheckView, ...]
    counting: tuple[str, ...]
    body: tuple[str, ...]

    @property
    def all_params(self) -> tuple[ParamView, ...]:
        """Tensors, dims, numbers."""
        return (*self.tensors, *self.dims, *self.numbers)


def view(program: Program) -> KernelView:
    """Put ``program`` into the words of CUDA C++."""
    named = {t.tensor: (t.name, t.shape) for t in (*program.tensors, *program.tables)}
    words = Words(named)
    writer = Writer(words, program.threads)
    dims = tuple(_dim(*pair) for pair in program.dims)
    _program_loop(writer, program)
    return KernelView(
        name=program.name,
        source=comment(PurePath(program.span.source.name).name),
        target=program.target.name,
        arch=program.target.arch,
        doc=tuple(map(comment, program.doc.splitlines())),
        tiles=", ".join(f"{name} = {size}" for name, size in program.tiles),
        threads=program.threads,
        shared_bytes=program.shared_bytes,
        tensors=tuple(_tensor(t, words) for t in program.tensors),
        numbers=tuple(_number(p.name, p.dtype, name) for p, name in program.scalars),
        dims=dims,
        tables=tuple(_table(t) for t in program.tables),
        buffers=tuple(
            BufferView(b.name, HELD[b.dtype], b.offset, b.count, comment(b.note))
            for b in sorted(program.buffers, key=lambda b: (b.offset, b.name))
        ),
        aliases=tuple(AliasView(name, _layout_type(*key)) for key, name in writer.layouts.items()),
        checks=_checks(program, words),
        counting=_counting(program, words),
        body=tuple(writer.lines),
    )


def _tensor(param: TensorParam, words: Words) -> ParamView:
    tensor, kind = param.tensor, STORED[param.tensor.dtype]
    access = "In" if not param.written else "InOut" if param.read else "Out"
    sizes = [words.plain(s) for s in param.shape]
    if tensor.dtype.bits < 8:  # two elements to a byte
        sizes[-1] = f"({words.text(param.shape[-1])} + 1) / 2"
    count = " * ".join(f"int64_t({s})" for s in sizes) or "1"
    taken = "out" if param.written else "in"
    c_type = "void" if kind.startswith("tdsl::") else _C_TYPES.get(kind, kind)
    shape = ", ".join(map(sc.show, tensor.shape))
    both = ", read and written" if access == "InOut" else ""
    return ParamView(
        name=param.name,
        kernel_type=f"tdsl::{access}<{kind}>",
        launcher_type=f"{c_type}*" if param.written else f"const {c_type}*",
        launcher_name=param.name,
        passed=f"tdsl::{taken}<{kind}>({param.name}, {count})",
        about=comment(f"{tensor.dtype}[{shape}]{both}"),
    )


_C_TYPES = {"int": "int32_t"}


def _dim(name: str, c_name: str) -> ParamView:
    wide = f"size_{c_name}"
    return ParamView(c_name, "int", "int64_t", wide, c_name, f"the size {name}")


def _number(name: str, dtype: DType, c_name: str) -> ParamView:
    kind = value_type(dtype)
    passed = f"tdsl::cast<{STORAGE[dtype]}>({c_name})" if STORAGE[dtype] != kind else c_name
    return ParamView(c_name, kind, _C_TYPES.get(kind, kind), c_name, passed, f"{dtype} {name}")


def _table(param: TensorParam) -> TableView:
    tensor = param.tensor
    values = ", ".join(number(v, tensor.dtype) for v in tensor.values)
    return TableView(param.name, STORAGE[tensor.dtype], len(tensor.values), values)


def _layout_type(layout: Layout, dtype: DType) -> str:
    match layout:
        case MmaLayout(warps=warps, frags=frags):
            return f"tdsl::Mma<{warps[0]}, {warps[1]}, {frags[0]}, {frags[1]}>"
        case FmaLayout(threads=threads, each=each):
            kind = value_type(dtype)
            return f"tdsl::Fma<{kind}, {threads[0]}, {threads[1]}, {each[0]}, {each[1]}>"


# ---- the grid -----------------------------------------------------------------------------------


def _program_loop(writer: Writer, program: Program) -> None:
    """Write the loop over this block's programs, and in it the body."""
    words = writer.words
    walked, numbered = program.grid[: program.walked], program.grid[program.walked :]
    if not program.walked:
        for line in _counts(numbered, words):
            writer.line(line)
        total = _total(numbered)
        writer.line(f"const int64_t programs_ = {total};")
        head = "for (int64_t program_ = blockIdx.x; program_ < programs_; program_ += gridDim.x)"
        with writer.braces(head):
            _number_to_tiles(writer, numbered, "program_", program.swizzle)
            writer.block(program.body)
        return
    writer.line("// Programs are dealt to the blocks in turn; how many there are, the data says.")
    writer.line("int64_t next_ = blockIdx.x, dealt_ = 0;")
    _walk(writer, program, walked, numbered)


def _walk(
    writer: Writer,
    program: Program,
    walked: tuple[GridRange, ...],
    numbered: tuple[GridRange, ...],
) -> None:
    words = writer.words
    if walked:
        first = walked[0]
        for line in _bounds(first, words):
            writer.line(line)
        with writer.braces(loop(first.start, _lo(first, words), _hi(first, words), first.tile)):
            _size(writer, first)
            _walk(writer, program, walked[1:], numbered)
        return
    for line in _counts(numbered, words):
        writer.line(line)
    writer.line(f"const int64_t programs_ = {_total(numbered)};")
    with writer.braces("for (; next_ < dealt_ + programs_; next_ += gridDim.x)"):
        _number_to_tiles(writer, numbered, "(next_ - dealt_)", program.swizzle)
        writer.block(program.body)
    writer.line("dealt_ += programs_;")


def _bounds(ranged: GridRange, words: Words) -> list[str]:
    """Name the ends of a domain where they are more than a name or a number."""
    lines = []
    for value, name in ((ranged.lo, ranged.lo_name), (ranged.hi, ranged.hi_name)):
        if not isinstance(value, sc.Literal | sc.Local):
            lines.append(f"const int {name} = {words.plain(value)};")
    return lines


def _end(value: Scalar, name: str, words: Words) -> str:
    return words.text(value) if isinstance(value, sc.Literal | sc.Local) else name


def _lo(ranged: GridRange, words: Words) -> str:
    return _end(ranged.lo, ranged.lo_name, words)


def _hi(ranged: GridRange, words: Words) -> str:
    return _end(ranged.hi, ranged.hi_name, words)


def _counts(ranges: tuple[GridRange, ...], words: Words) -> list[str]:
    lines = []
    for r in ranges:
        lines += _bounds(r, words)
        ends = f"{_lo(r, words)}, {_hi(r, words)}"
        lines.append(f"const int {r.count} = tdsl::tiles({ends}, {r.tile});")
    return lines


def _total(ranges: tuple[GridRange, ...]) -> str:
    return " * ".join(f"int64_t({r.count})" for r in ranges) or "1"


def _number_to_tiles(
    writer: Writer, ranges: tuple[GridRange, ...], name: str, swizzle: int
) -> None:
    """Write what a program's number says: the last range varies fastest.

    With ``swizzle`` that many tiles of the range before go through all of the last together.
    """
    words = writer.words
    rest = name
    lines = []
    own: dict[int, str] = {}
    if swizzle > 1:
        high, wide = ranges[-2].count, ranges[-1].count
        for text in (
            f"const int64_t number_ = {name} % (int64_t({high}) * {wide});",
            f"const int64_t first_ = number_ / (int64_t({wide}) * {swizzle}) * {swizzle};",
            f"const int64_t group_ = tdsl::minimum(int64_t({swizzle}), {high} - first_);",
            f"const int64_t inside_ = number_ % (int64_t({wide}) * {swizzle});",
        ):
            writer.line(text)
        last = len(ranges) - 1
        own = {last - 1: "first_ + inside_ % group_", last: "inside_ / group_"}
    for k, r in reversed(list(enumerate(ranges))):
        index = own.get(k, rest if k == 0 else f"{rest} % {r.count}")
        place = f"int({index})" if r.tile == 1 else f"int({index}) * {r.tile}"
        low = "" if r.lo == sc.ZERO else f"{_lo(r, words)} + "
        lines.append((r, f"const int {r.start} = {low}{place};"))
        rest = f"{rest} / {r.count}"
    for r, line in reversed(lines):
        writer.line(line)
        _size(writer, r)


def _size(writer: Writer, r: GridRange) -> None:
    if r.size:
        left = f"{_hi(r, writer.words)} - {r.start}"
        writer.line(f"const int {r.size} = tdsl::minimum({r.tile}, {left});")


def _counting(program: Program, words: Words) -> tuple[str, ...]:
    """Return how the launcher finds the number of blocks."""
    if not program.host_counts:
        return ("const int64_t blocks_ = tdsl::resident_blocks();",)
    lines = _counts(program.grid, words)
    return (*lines, f"const int64_t blocks_ = {_total(program.grid)};")


# ---- what the launcher checks -------------------------------------------------------------------


def _checks(program: Program, words: Words) -> tuple[CheckView, ...]:
    found: list[CheckView] = []

    def add(condition: str, text: str) -> None:
        found.append(CheckView(len(found) + 1, condition, c_string(text)))

    for name, c_name in program.dims:
        wide = f"size_{c_name}"
        add(f"{wide} >= 0 && {wide} <= {MOST}", f"the size {name} is negative or too large")
    for fact, condition in program.facts:
        add(words.plain(condition), f"it must hold that {fact.text}")
    return tuple(found)


def c_string(text: str) -> str:
    """Return ``text`` as the inside of a C string."""
    out = []
    for c in text:
        if c in '\\"?':
            out.append(f"\\{c}")
        elif c.isascii() and c.isprintable():
            out.append(c)
        else:
            out += [f"\\{byte:03o}" for byte in c.encode()]
    return "".join(out)
