"""Statements of a GPU program as lines of CUDA C++."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import assert_never

from tiledsl import scalar as sc
from tiledsl.backends.cuda.words import HELD, Words, number, value_type
from tiledsl.backends.printing import argument, fixed_string, format_string
from tiledsl.gpu.program import (
    PANEL_COL,
    PANEL_ROW,
    WARP,
    Accumulators,
    Barrier,
    Branch,
    Claim,
    Coordinate,
    CopyPanel,
    Effect,
    Fetch,
    Fold,
    Fragment,
    Get,
    Keep,
    Layout,
    Let,
    Loop,
    Map,
    Multiply,
    Once,
    Panel,
    Pick,
    Put,
    RankRows,
    Registers,
    ScanRows,
    Set,
    Show,
    Statement,
    Step,
    Stmt,
    Sweep,
    Update,
    Variable,
    Write,
)
from tiledsl.ops import Reduction
from tiledsl.scalar import Scalar
from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType

_OPERATIONS = {
    "sum": "tdsl::Sum", "prod": "tdsl::Product", "max": "tdsl::Maximum", "min": "tdsl::Minimum",
    "any": "tdsl::Any", "all": "tdsl::All", "argmax": "tdsl::ArgMax", "argmin": "tdsl::ArgMin",
}  # fmt: skip
_THREAD = "int(threadIdx.x)"
_UNROLL = "#pragma unroll"


class Writer:
    """Collects the lines of one kernel's body.

    Names that end in ``_`` are its own: no name of the ``.tile`` file does.
    """

    def __init__(self, words: Words, threads: int) -> None:
        self.words, self.threads = words, threads
        self.lines: list[str] = []
        self.layouts: dict[tuple[Layout, DType], str] = {}
        self._depth = 0
        self._said: Span = NOWHERE

    def layout(self, fragment: Fragment) -> str:
        """Return the name of a fragment's type."""
        key = fragment.layout, fragment.dtype
        if key not in self.layouts:
            self.layouts[key] = f"{fragment.name}_tile_"
        return self.layouts[key]

    @contextmanager
    def indented(self, levels: int = 1) -> Iterator[None]:
        """Write deeper for a while."""
        self._depth += levels
        yield
        self._depth -= levels

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append(f"{'  ' * self._depth}{text}")

    @contextmanager
    def braces(self, head: str) -> Iterator[None]:
        """Write ``head {``, what is inside, and ``}``."""
        self.line(f"{head} {{")
        with self.indented():
            yield
        self.line("}")

    def block(self, body: Iterable[Stmt]) -> None:
        """Write statements."""
        for statement in body:
            self._origin(statement)
            self._statement(statement)

    def _origin(self, statement: Statement) -> None:
        """Say from which line of the ``.tile`` file the next lines come, once."""
        span = statement.span
        if span == NOWHERE or span == self._said or isinstance(statement, Barrier):
            return
        if not span.source.text or isinstance(statement, Branch):
            return
        self._said = span
        text = span.source.line(span.line).strip()
        self.line(f"// {span.line}: {comment(text)}")

    def _statement(self, statement: Stmt) -> None:
        plain = self.words.plain
        match statement:
            case Let(step=step):
                self._step(step)
            case Variable(name=name, dtype=dtype, value=value):
                self.line(f"{value_type(dtype)} {name} = {plain(value)};")
            case Update(name=name, value=value):
                self.line(f"{name} = {plain(value)};")
            case Accumulators(fragment=fragment):
                self.line(f"{self.layout(fragment)} {fragment.name};")
                self.line(f"{fragment.name}.clear();")
            case Map():
                self._map(statement)
            case Fold():
                self._fold(statement)
            case ScanRows():
                self._scan(statement)
            case RankRows():
                self._rank(statement)
            case CopyPanel():
                self._copy_panel(statement)
            case Multiply():
                self._multiply(statement)
            case Loop(name=name, lo=lo, hi=hi, step=step, body=body, unroll=unroll):
                if unroll is not None:
                    self.line(f"{_UNROLL} {unroll}" if unroll else _UNROLL)
                with self.braces(loop(name, plain(lo), self.words.text(hi), step)):
                    self.block(body)
            case Branch(condition=condition, then=then, orelse=orelse):
                with self.braces(f"if ({plain(condition)})"):
                    self.block(then)
                if orelse:
                    self.lines[-1] += " else {"
                    with self.indented():
                        self.block(orelse)
                    self.line("}")
            case Barrier():
                self.line("__syncthreads();")
            case _:
                assert_never(statement)

    # ---- passes

    def _map(self, statement: Map) -> None:
        match statement.domain:
            case Once():
                with self.braces("if (threadIdx.x == 0)"):
                    self._steps(statement.steps)
                    self._effects(statement.effects)
            case Sweep() as domain:
                self._sweep(domain, statement.steps, statement.effects)
            case Panel() as domain:
                self._panel(domain, statement.steps, statement.effects)
            case Registers() as domain:
                self._registers(domain, statement.steps, statement.effects)
            case _:
                assert_never(statement.domain)

    def _sweep(self, domain: Sweep, steps: tuple[Step, ...], effects: tuple[Effect, ...]) -> None:
        *outer, last = domain.coordinates
        levels = Levels(steps, [outer, [last]], names_in(effects))
        with self._rows(outer, last, domain.width, levels):
            first, by = self._share(domain.width)
            with self.braces(loop(last.at, first, self.words.text(last.size), by)):
                self._locate(last, levels)
                self._steps(levels.at(2))
                self._effects(effects)

    @contextmanager
    def _rows(
        self, outer: list[Coordinate], last: Coordinate, width: int, levels: "Levels"
    ) -> Iterator[None]:
        """Deal rows out to groups of ``width`` threads."""
        if not outer:
            self._steps(levels.at(1))
            yield
            return
        groups = self.threads // width
        first = "0" if groups == 1 else f"{_THREAD} / {width}" if width > 1 else _THREAD
        if len(outer) == 1:
            head = loop(outer[0].at, first, self.words.text(outer[0].size), groups)
        else:
            head = loop("e_", first, self._total(outer), groups)
        with self.braces(head):
            if len(outer) > 1:
                self._split("e_", outer)
            for coordinate in outer:
                self._locate(coordinate, levels)
            self._steps(levels.at(1))
            yield

    def _total(self, coordinates: Iterable[Coordinate]) -> str:
        return " * ".join(self.words.text(c.size) for c in coordinates)

    def _split(self, name: str, coordinates: list[Coordinate]) -> None:
        """Take a row's number apart."""
        rest = name
        parts = []
        for coordinate in reversed(coordinates[1:]):
            size = self.words.text(coordinate.size)
            parts.append(f"const int {coordinate.at} = {rest} % {size};")
            rest = f"{rest} / {size}"
        self.line(f"const int {coordinates[0].at} = {rest};")
        for part in reversed(parts):
            self.line(part)

    def _locate(self, coordinate: Coordinate, levels: "Levels") -> None:
        """Define the position of an element in its range, if anything needs it."""
        if coordinate.position != coordinate.at and coordinate.position in levels.used:
            start = self.words.text(coordinate.start)
            self.line(f"const int {coordinate.position} = {start} + {coordinate.at};")

    def _panel(self, domain: Panel, steps: tuple[Step, ...], effects: tuple[Effect, ...]) -> None:
        (effect,) = effects
        assert isinstance(effect, Put)
        levels = Levels(steps, [[*domain.row, *domain.col]], names_in(effects))
        count = domain.rows * domain.cols
        kind = value_type(effect.buffer.dtype)
        with self.braces(loop("e_", _THREAD, str(count), self.threads)):
            self.line(
                f"const int {PANEL_ROW} = e_ / {domain.cols}, {PANEL_COL} = e_ % {domain.cols};"
            )
            chunk = f" + {domain.chunk}" if domain.chunk else ""
            row = f"{PANEL_ROW}{chunk if domain.by_depth else ''}"
            col = f"{PANEL_COL}{'' if domain.by_depth else chunk}"
            self._flat(row, domain.row)
            self._flat(col, domain.col)
            self.line(f"{kind} staged_ = {number(0, effect.buffer.dtype)};")
            inside = self._inside((*domain.row, *domain.col))
            with self.braces(f"if ({inside})"):
                for coordinate in (*domain.row, *domain.col):
                    self._locate(coordinate, levels)
                self._steps(levels.at(1))
                self.line(f"staged_ = {self.words.plain(effect.value)};")
            place = self.words.place(effect.buffer, effect.index)
            self.line(f"{effect.buffer.name}[{place}] = staged_;")

    def _flat(self, flat: str, coordinates: tuple[Coordinate, ...]) -> None:
        """Take a row or column apart by the limits of its ranges."""
        below = 1
        parts = []
        for k, coordinate in reversed(list(enumerate(coordinates))):
            text = f"({flat})" if " " in flat and (below > 1 or k) else flat
            text = text if below == 1 else f"{text} / {below}"
            text = text if k == 0 else f"{text} % {coordinate.limit}"
            parts.append(f"const int {coordinate.at} = {text};")
            below *= coordinate.limit
        for part in reversed(parts):
            self.line(part)

    def _inside(self, coordinates: Iterable[Coordinate]) -> str:
        return " && ".join(f"{c.at} < {self.words.text(c.size)}" for c in coordinates)

    def _registers(
        self, domain: Registers, steps: tuple[Step, ...], effects: tuple[Effect, ...]
    ) -> None:
        levels = Levels(steps, [list(domain.row), list(domain.col)], names_in(effects))
        name = self._any_layout(domain.layout)
        self.line(_UNROLL)
        with self.braces(f"for (int i_ = 0; i_ < {name}::ROWS; ++i_)"):
            self._flat(f"{name}::row(i_)", domain.row)
            self.line(f"if (!({self._inside(domain.row)})) continue;")
            for coordinate in domain.row:
                self._locate(coordinate, levels)
            self._steps(levels.at(1))
            self.line(_UNROLL)
            with self.braces(f"for (int j_ = 0; j_ < {name}::COLS; ++j_)"):
                self._flat(f"{name}::col(j_)", domain.col)
                self.line(f"if (!({self._inside(domain.col)})) continue;")
                for coordinate in domain.col:
                    self._locate(coordinate, levels)
                self._steps(levels.at(2))
                self._effects(effects)

    def _any_layout(self, layout: Layout) -> str:
        return next(name for (known, _), name in self.layouts.items() if known == layout)

    # ---- passes in which threads work together

    def _fold(self, statement: Fold) -> None:
        rows, cols = list(statement.rows), list(statement.cols)
        results = [s for s in (statement.value, statement.position) if s is not None]
        uses = (*names_in(statement.effects), *names_in(results))
        levels = Levels(statement.steps, [rows, *([c] for c in cols)], uses)
        kind = value_type(statement.dtype)
        argument = statement.position is not None
        operation = _OPERATIONS[statement.reduction.name]
        held = f"tdsl::Best<{kind}>" if argument else kind
        start = _identity(statement.reduction, statement.dtype)
        total = f"{statement.name}_"
        exchange = f", {statement.scratch.name}" if statement.scratch else ""
        result = f"{total}.at" if argument else total
        if argument:
            start, zero = f"{{{start}, -1}}", number(0, statement.result)
            result = f"{total}.at < 0 ? {zero} : {total}.at"
        join = f"tdsl::team<{statement.width}, {operation}>({total}{exchange})"
        if not rows:
            self.line(f"{held} {total} = {start};")
            self._steps(levels.at(1))
            self._fold_cols(statement, levels, 0, total, operation)
            self.line(f"{total} = {join};")
            self.line(f"const {value_type(statement.result)} {statement.name} = {result};")
            return
        assert statement.buffer is not None
        place = self.words.place(statement.buffer, tuple(sc.Local(c.at) for c in rows))
        put = f"{statement.buffer.name}[{place}] = {result};"
        width, teams = statement.width, self.threads // statement.width
        count = self._total(rows)
        if width == 1:
            with self.braces(loop("e_", _THREAD, count, self.threads)):
                self._row_of("e_", rows, levels)
                self.line(f"{held} {total} = {start};")
                self._fold_cols(statement, levels, 0, total, operation)
                self.line(put)
            return
        with self.braces(loop("base_", "0", count, teams)):
            share = f" + {_THREAD} / {width}" if teams > 1 else ""
            self.line(f"const int e_ = base_{share};")
            self.line(f"{held} {total} = {start};")
            with self.braces(f"if (e_ < {count})"):
                self._row_of("e_", rows, levels)
                self._fold_cols(statement, levels, 0, total, operation)
            self.line(f"{total} = {join};")
            with self.braces(f"if (threadIdx.x % {width} == 0 && e_ < {count})"):
                self._split("e_", rows)
                self.line(put)

    def _row_of(self, name: str, rows: list[Coordinate], levels: "Levels") -> None:
        self._split(name, rows)
        for coordinate in rows:
            self._locate(coordinate, levels)
        self._steps(levels.at(1))

    def _fold_cols(
        self, statement: Fold, levels: "Levels", depth: int, total: str, operation: str
    ) -> None:
        cols = statement.cols
        first, by = ("0", 1) if depth < len(cols) - 1 else self._share(statement.width)
        col = cols[depth]
        with self.braces(loop(col.at, first, self.words.text(col.size), by)):
            self._locate(col, levels)
            self._steps(levels.at(depth + 2))
            if depth < len(cols) - 1:
                self._fold_cols(statement, levels, depth + 1, total, operation)
                return
            value = self.words.plain(statement.value)
            if statement.position is not None:
                kind = value_type(statement.dtype)
                value = f"tdsl::Best<{kind}>{{{value}, {self.words.plain(statement.position)}}}"
            self.line(f"{total} = {operation}::join({total}, {value});")
            self._effects(statement.effects)

    def _scan(self, statement: ScanRows) -> None:
        rows, along = list(statement.rows), statement.along
        uses = names_in((statement.value, *statement.index))
        levels = Levels(statement.steps, [rows, [along]], uses)
        kind = value_type(statement.dtype)
        operation = _OPERATIONS[statement.reduction.name]
        start = _identity(statement.reduction, statement.dtype)
        size = self.words.text(along.size)
        buffer = statement.buffer
        count = self._total(rows) or "1"
        with self.braces(loop("e_", f"{_THREAD} / {WARP}", count, self.threads // WARP)):
            if rows:
                self._row_of("e_", rows, levels)
            else:
                self._steps(levels.at(1))
            self.line(f"{kind} carry_ = {start};")
            with self.braces(loop("base_", "0", size, WARP)):
                self.line(f"const int {along.at} = base_ + {_THREAD} % {WARP};")
                self.line(f"{kind} total_ = {start};")
                with self.braces(f"if ({along.at} < {size})"):
                    self._locate(along, levels)
                    self._steps(levels.at(2))
                    self.line(f"total_ = {self.words.plain(statement.value)};")
                self.line(f"total_ = {operation}::join(carry_, tdsl::scan<{operation}>(total_));")
                place = self.words.place(buffer, statement.index)
                self.line(f"if ({along.at} < {size}) {buffer.name}[{place}] = total_;")
                self.line(f"carry_ = tdsl::shuffle_from(total_, {WARP - 1});")

    def _rank(self, statement: RankRows) -> None:
        *outer, last = statement.domain.coordinates
        words, peer = self.words, statement.peer
        kind = value_type(statement.dtype)
        uses = names_in((*statement.effects, statement.value))
        levels = Levels(statement.steps, [outer, [last]], uses)
        around = Levels(statement.peer_steps, [[*outer, last], [peer]], ())
        test = "tdsl::before_down" if statement.descending else "tdsl::before"
        with self._rows(outer, last, statement.domain.width, levels):
            first, by = self._share(statement.domain.width)
            with self.braces(loop(last.at, first, words.text(last.size), by)):
                self._locate(last, levels)
                self._steps(levels.at(2))
                self._steps(around.at(1))
                self.line(f"int {statement.rank} = 0;")
                with self.braces(loop(peer.at, "0", words.text(peer.size), 1)):
                    self._locate(peer, around)
                    self._steps(around.at(2))
                    self.line(
                        f"{statement.rank} += {test}<{kind}>({words.plain(statement.peer_value)}, "
                        f"{peer.at}, {words.plain(statement.value)}, {last.at});"
                    )
                with self.braces(f"if ({statement.rank} < {words.text(statement.limit)})"):
                    self._effects(statement.effects)

    def _copy_panel(self, statement: CopyPanel) -> None:
        words, buffer = self.words, statement.buffer
        name, shape = words.tensors[statement.tensor]
        below = [words.text(s) for s in shape[statement.dim + 1 :]]
        factors = below if statement.step == sc.ONE else [words.text(statement.step), *below]
        stride = " * ".join([f"int64_t({factors[0]})", *factors[1:]])
        sizes = f"{buffer.shape[0]}, {buffer.shape[1]}, {buffer.pitch}, {self.threads}"
        first = words.offset(statement.tensor, statement.first)
        ends = f"{words.plain(statement.rows)}, {words.plain(statement.cols)}"
        self.line(
            f"tdsl::copy_panel<{sizes}, {HELD[buffer.dtype]}>"
            f"({buffer.name}, {name}, {first}, {stride}, {ends});"
        )

    def _multiply(self, statement: Multiply) -> None:
        a, b = statement.a, statement.b
        flags = f"{_bool(statement.a_by_depth)}, {_bool(statement.b_by_depth)}"
        depth, cols = self.words.plain(statement.depth), self.words.plain(statement.cols)
        kind = HELD[a.dtype]
        self.line(
            f"tdsl::multiply<{flags}, {a.pitch}, {b.pitch}, {kind}>"
            f"({statement.fragment.name}, {a.name}, {b.name}, {depth}, {cols});"
        )

    def _share(self, width: int) -> tuple[str, int]:
        """Return where a thread of a group of ``width`` begins in a row, and how far it steps."""
        if width == 1:
            return "0", 1
        return _THREAD if width == self.threads else f"{_THREAD} % {width}", width

    # ---- elements

    def _steps(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._step(step)

    def _step(self, step: Step) -> None:
        head = f"const {value_type(step.dtype)} {step.name} = "
        match step:
            case Set(value=value):
                self.line(f"{head}{self.words.plain(value)};")
            case Fetch(tensor=tensor, index=index, guards=guards, default=default):
                word = self.words.fetch(tensor, index, guards, default)
                self.line(f"{head}{word};")
            case Get(buffer=buffer, index=index):
                self.line(f"{head}{buffer.name}[{self.words.place(buffer, index)}];")
            case Pick(fragment=fragment):
                self.line(f"{head}{fragment.name}(i_, j_);")
            case _:
                assert_never(step)

    def _effects(self, effects: Iterable[Effect]) -> None:
        plain = self.words.plain
        for effect in effects:
            match effect:
                case Put(buffer=buffer, index=index, value=value):
                    self.line(f"{buffer.name}[{self.words.place(buffer, index)}] = {plain(value)};")
                case Keep(fragment=fragment, value=value):
                    self.line(f"{fragment.name}(i_, j_) = {plain(value)};")
                case Show(text=text, values=values):
                    words = [format_string(text, (v.dtype for v in values))]
                    words += [argument(plain(v), v.dtype) for v in values]
                    self.line(f"printf({', '.join(words)});")
                case Claim(condition=condition, text=text):
                    line = fixed_string(text, is_format=False)
                    self.line(f"if (!({plain(condition)})) tdsl::trap({line});")
                case Write(tensor=tensor, index=index, value=value, atomic=atomic, guards=guards):
                    tests = self.words.tests(tensor, index, guards)
                    test = f"if ({' && '.join(tests)}) " if tests else ""
                    if tensor.dtype.bits < 8:
                        where = self.words.half_byte(tensor, index)
                        self.line(f"{test}tdsl::set_half_byte({where}, {plain(value)});")
                        continue
                    at = f"{self.words.tensors[tensor][0]}[{self.words.offset(tensor, index)}]"
                    if atomic:
                        self.line(f"{test}tdsl::atomic_{atomic}({at}, {plain(value)});")
                    else:
                        self.line(f"{test}{at} = {plain(value)};")
                case _:
                    assert_never(effect)


class Levels:
    """Which steps can be done in which loop: as far out as what they use allows.

    Level k is inside the k-th of ``loops``. ``used`` are the names that anything needs; ``uses``
    those that the results of the steps are not alone to need.
    """

    def __init__(
        self, steps: Iterable[Step], loops: list[list[Coordinate]], uses: Iterable[str]
    ) -> None:
        self._of: dict[str, int] = {}
        self._steps = tuple(steps)
        self.used = set(uses)
        for depth, coordinates in enumerate(loops):
            for c in coordinates:
                self._of[c.at] = self._of[c.position] = depth + 1
        outermost = min(self._of.values(), default=1)
        for step in self._steps:
            names = set(names_in([step]))
            self.used |= names
            level = max((self._of.get(n, 0) for n in names), default=0)
            self._of[step.name] = len(loops) if isinstance(step, Pick) else max(level, outermost)

    def at(self, level: int) -> list[Step]:
        """Return the steps of a level, in order."""
        return [s for s in self._steps if self._of[s.name] == level]


def loop(name: str, first: str, end: str, by: int) -> str:
    """Return the head of a counting loop."""
    step = f"++{name}" if by == 1 else f"{name} += {by}"
    return f"for (int {name} = {first}; {name} < {end}; {step})"


def comment(text: str) -> str:
    """Return ``text`` so that it can stand in a comment of either kind."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean.replace("*/", "* /").replace("/*", "/ *").replace("??/", "? ?/").rstrip("\\ ")


def _identity(reduction: Reduction, dtype: DType) -> str:
    return number(reduction.identity(dtype), dtype)


def _bool(flag: bool) -> str:
    return "true" if flag else "false"


def names_in(things: Iterable[Step | Effect | Scalar]) -> list[str]:
    """Return the locals that steps, effects and scalars use."""
    scalars: list[Scalar] = []
    for thing in things:
        match thing:
            case Set(value=value) | Keep(value=value):
                scalars.append(value)
            case Fetch(index=index, default=default):
                scalars += index if default is None else (*index, default)
            case Get(index=index):
                scalars += index
            case Put(index=index, value=value) | Write(index=index, value=value):
                scalars += (*index, value)
            case Show(values=values):
                scalars += values
            case Claim(condition=condition):
                scalars.append(condition)
            case Pick():
                pass
            case _:
                scalars.append(thing)
    return [p.name for s in scalars for p in sc.walk(s) if isinstance(p, sc.Local)]
