"""Cut a kernel where a schedule places a value in global memory: each part is a launch."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tiledsl import ir
from tiledsl.passes.dead_code import drop_dead_code
from tiledsl.passes.homes import Home, NoHomeError, home_of
from tiledsl.passes.mentions import ranges_of, with_domains
from tiledsl.passes.rewriting import rebuild, substitute
from tiledsl.scalar import Axis, Element, ParamValue, Tensor, TileSize, walk
from tiledsl.source import Span

Item = ir.Value | ir.Var


@dataclass(frozen=True, slots=True)
class Cut:
    """A kernel as it was, or its parts as an op, with the reason for each name that cuts nothing.

    The parts have the name of their kernel as ``origin``.
    """

    graph: ir.Kernel | ir.OpGraph
    refused: Mapping[str, str]


def cut(kernel: ir.Kernel, names: Iterable[str], taken: Collection[str] = ()) -> Cut:
    """Cut ``kernel`` after each last top-level statement that gives one of ``names`` its value.

    What a part needs of those before it comes by way of temporary tensors; but values that cost
    little (loads, positions and arithmetic on them) are computed again. The parts are called by
    ``names``, and by none in ``taken``.

    Before::

        kernel gemm:
          var acc: f32[m, n] = 0.0
          for k in K by BK:
            acc = …
          %1: f32[m, n] = acc
          %2: f32[m, n] = max(%1, 0.0)
          c[m, n] = %2

    After::

        kernel gemm_acc:
          var acc: f32[m, n] = 0.0
          for k in K by BK:
            acc = …
          %1: f32[m, n] = acc
          acc_gm[m, n] = %1

        kernel gemm_rest:
          %1: f32[m, n] = acc_gm[m, n]
          %2: f32[m, n] = max(%1, 0.0)
          c[m, n] = %2
    """
    lean = drop_dead_code(kernel)
    ends: dict[str, int] = {}
    refused: dict[str, str] = {}
    for name in names:
        end = _end(kernel, lean, name)
        if isinstance(end, str):
            refused[name] = end
        else:
            ends[name] = end
    while ends:
        cutting = _Cutting(lean, ends, taken)
        try:
            graph = cutting.graph()
        except NoHomeError as problem:
            return Cut(kernel, refused | dict.fromkeys(ends, str(problem)))
        idle = [name for name in ends if name not in cutting.passed]
        if not idle:
            return Cut(graph, refused)
        refused |= dict.fromkeys(idle, "nothing after it reads it")
        ends = {name: end for name, end in ends.items() if name not in idle}
    return Cut(kernel, refused)


def names_of(kernel: ir.Kernel) -> set[str]:
    """Return the names of ranges, values and variables that a kernel mentions."""
    every = list(ir.statements(kernel.body))
    found = {axis.name for axis in (*kernel.grid, *ranges_of(kernel.body))}
    found |= {value.name for s in every for value in ir.results(s)}
    return found | {s.var.name for s in every if isinstance(s, ir.Declare)}


def _end(kernel: ir.Kernel, lean: ir.Kernel, name: str) -> int | str:
    """Return how many statements of ``lean`` stand before the cut, or why there is none."""
    state = {s.var for s in lean.body if isinstance(s, ir.Declare) and s.var.name == name}
    giving = [
        (number, top)
        for number, top in enumerate(lean.body, 1)
        if any(isinstance(s, ir.Declare | ir.Assign) and s.var in state
               for s in ir.statements((top,)))
        or any(value.name == name for value in ir.results(top))
    ]  # fmt: skip
    # A function that is called may have a value of that name, too.
    own = [number for number, top in giving if _inside(top.span, kernel.span)]
    if giving:
        return own[-1] if own else giving[-1][0]
    for s in ir.statements(kernel.body):
        declared = isinstance(s, ir.Declare) and s.var.name == name
        if declared or any(value.name == name for value in ir.results(s)):
            if any(s is top for top in kernel.body):
                return "nothing reads it"
            return "a value inside a loop or a branch cannot be cut at"
    return "it is no tile of its own, but a number or another name of a value"


def _inside(part: Span, whole: Span) -> bool:
    return part.source is whole.source and whole.start <= part.start < whole.end


@dataclass(slots=True)
class _Temp:
    """What one part leaves to others: the tensor as it is written, read, and known to the op."""

    item: Item
    part: int
    out: Tensor
    read: Tensor
    between: Tensor
    home: Home | None = None

    def settle(self, home: Home) -> None:
        """Give the tensors the shape of ``home``."""
        self.home = home
        for tensor in (self.out, self.read, self.between):
            tensor.shape, tensor.star = home.shape, (False,) * len(home.shape)
        self.out.initial = home.initial


@dataclass(slots=True)
class _Part:
    """A part while it is made; ``loads`` are the temporaries that it reads."""

    number: int
    body: list[ir.Stmt] = field(default_factory=list)
    loads: dict[Tensor, _Temp] = field(default_factory=dict)
    have: set[Item] = field(default_factory=set)
    replaced: dict[ir.Value, ir.Operand] = field(default_factory=dict)


class _Cutting:
    """One kernel, and the parts that come of it."""

    def __init__(self, kernel: ir.Kernel, ends: Mapping[str, int], taken: Collection[str]) -> None:
        self.kernel = kernel
        bounds = sorted(set(ends.values()))
        self.segments = [kernel.body[a:b] for a, b in pairwise((0, *bounds, len(kernel.body)))]
        self.part_of: dict[ir.Value, int] = {}
        self.source: dict[ir.Value, ir.Stmt] = {}
        for number, segment in enumerate(self.segments):
            for s in segment:
                for value in ir.results(s):
                    self.part_of[value], self.source[value] = number, s
        self.written = [{s.tensor for s in ir.statements(segment) if isinstance(s, ir.Store)}
                        for segment in self.segments]  # fmt: skip
        self.given = [{s.var for s in ir.statements(segment)
                       if isinstance(s, ir.Declare | ir.Assign)}
                      for segment in self.segments]  # fmt: skip
        self.ends = ends
        self.named = {value for number, s in enumerate(kernel.body, 1) for value in ir.results(s)
                      if ends.get(value.name) == number}  # fmt: skip
        self.taken = set(taken)
        tensors = (*kernel.params, *kernel.outputs, *kernel.tables)
        self.tensor_names = {t.name for t in tensors} | set(kernel.dims)
        self.temps: dict[tuple[Item, int], _Temp] = {}
        self.names = self._names(bounds)

    @property
    def passed(self) -> set[str]:
        """The names whose values go from part to part."""
        return {item.name for item, _ in self.temps}

    def graph(self) -> ir.OpGraph:
        """Return the parts; raise `NoHomeError` where a value cannot go from one to the next."""
        parts: list[_Part] = []
        for number in reversed(range(len(self.segments))):  # which tells what earlier ones leave
            parts.insert(0, self._part(number))
            read = {temp for part in parts for temp in part.loads}
            self.temps = {key: temp for key, temp in self.temps.items() if temp.read in read}
        finished = [self._settled(part) for part in parts]
        users = [_tensors(body) for body, _ in finished]
        steps = tuple(
            self._step(part, users, body, grid)
            for part, (body, grid) in zip(parts, finished, strict=True)
        )
        kernel = self.kernel
        return ir.OpGraph(
            kernel.name, kernel.binding, kernel.params, kernel.outputs,
            tuple(t.between for t in self.temps.values()), kernel.dims, kernel.facts, steps,
            kernel.doc, kernel.span,
        )  # fmt: skip

    def _names(self, bounds: list[int]) -> list[str]:
        """Return the name of each part: that of the first value that it ends with, or `rest`."""
        found = []
        for bound in bounds:
            name = next(name for name, end in self.ends.items() if end == bound)
            found.append(_unique(f"{self.kernel.name}_{name}", self.taken))
        return [*found, _unique(f"{self.kernel.name}_rest", self.taken)]

    # ---- what a part needs of those before it

    def _part(self, number: int) -> _Part:
        """Return a part with loads of what it needs and stores of what it leaves.

        Their indices are not settled yet. Later parts are made already.
        """
        part = _Part(number)

        def block(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
            kept = (s for s in body if not (isinstance(s, ir.Read) and s.result in part.replaced))
            return tuple(rebuild(substitute(s, part.replaced), block) for s in kept)

        for top in self.segments[number]:
            for s in ir.statements((top,)):
                for operand in ir.operands(s):
                    if isinstance(operand, ir.Value):
                        self._bring(operand, part)
                if isinstance(s, ir.Read | ir.Assign):
                    self._bring_var(s.var, part)
            part.body += block((top,))
        temps = [temp for temp in self.temps.values() if temp.part == number]
        whole = replace(self.kernel, body=self._with_stores(part.body, temps))
        part.body = list(drop_dead_code(whole).body)
        kept = _tensors(tuple(part.body))
        part.loads = {tensor: temp for tensor, temp in part.loads.items() if tensor in kept}
        return part

    def _bring(self, value: ir.Value, part: _Part) -> None:
        """Have ``value`` in ``part``: computed again, or loaded."""
        if value in part.have or self.part_of.get(value, part.number) == part.number:
            return
        part.have.add(value)
        source = self.source[value]
        if value not in self.named and self._cheap(value, part.number):
            for operand in ir.operands(source):
                if isinstance(operand, ir.Value):
                    self._bring(operand, part)
            part.body.append(source)
            return
        temp = self._temp(value, self.part_of[value], source.span)
        part.loads[temp.read] = temp
        part.body.append(ir.Load(source.span, value, temp.read, ()))

    def _cheap(self, value: ir.Value, number: int) -> bool:
        """Return whether part ``number`` can compute ``value`` again, and need not wait for it."""
        if value in self.named:
            return True
        source = self.source[value]
        match source:
            case ir.Load(tensor=tensor):
                if any(tensor in written for written in self.written[: number + 1]):
                    return False
            case ir.Compute() | ir.Positions() | ir.Rename() | ir.Random():
                pass
            case _:
                return False
        return all(
            self._cheap(x, number) for x in ir.operands(source) if isinstance(x, ir.Value)
        )

    def _bring_var(self, var: ir.Var, part: _Part) -> None:
        """Have ``var`` in ``part`` with the value that an earlier part has left in it."""
        givers = [n for n in range(part.number) if var in self.given[n]]
        if var in part.have or not givers:
            return
        part.have.add(var)
        span = _last_given(self.segments[givers[-1]], var)
        temp = self._temp(var, givers[-1], span)
        part.loads[temp.read] = temp
        value = ir.Value(var.name, var.type)
        part.body.append(ir.Load(span, value, temp.read, ()))
        if var in self.given[part.number]:
            part.body.append(ir.Declare(span, var, value))
            return
        for s in ir.statements(self.segments[part.number]):
            if isinstance(s, ir.Read) and s.var is var:
                part.replaced[s.result] = value

    def _temp(self, item: Item, number: int, span: Span) -> _Temp:
        key = (item, number)
        if key not in self.temps:
            base = item.name.split(".")[0]
            name = _unique("part_gm" if base.isdigit() else f"{base}_gm", self.tensor_names)
            out, read, between = (
                Tensor(name, item.type.dtype, (), role, span=span) for role in ("out", "in", "temp")
            )
            self.temps[key] = _Temp(item, number, out, read, between)
        return self.temps[key]

    # ---- what a part leaves to those after it

    def _settled(self, part: _Part) -> tuple[tuple[ir.Stmt, ...], tuple[Axis, ...]]:
        """Return the statements of a part, and its grid; parts before it are settled."""
        temps = {t.out: t for t in self.temps.values() if t.part == part.number}
        body, grid = tuple(part.body), self.kernel.grid
        if not any(_lasting(s, temps) for s in ir.statements(body)):
            used = ranges_of(body)
            for temp in part.loads.values():
                assert temp.home is not None
                used |= with_domains(temp.home.ranges)
            grid = tuple(axis for axis in grid if axis in used)
        for temp in temps.values():
            temp.settle(home_of(temp.item, temp.item.name.split(".")[0], self.kernel.body, grid))

        def block(inner: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
            return tuple(settled(s) for s in inner)

        def settled(s: ir.Stmt) -> ir.Stmt:
            match s:
                case ir.Store(tensor=tensor) if tensor in temps:
                    home = temps[tensor].home
                    assert home is not None
                    return home.store(s)
                case ir.Load(tensor=tensor) if tensor in part.loads:
                    home = part.loads[tensor].home
                    assert home is not None
                    return home.load(s)
                case _:
                    return rebuild(s, block)

        return block(body), grid

    @staticmethod
    def _with_stores(body: list[ir.Stmt], temps: Iterable[_Temp]) -> tuple[ir.Stmt, ...]:
        """Return ``body`` with a store after each value that stays; variables stay at the end."""
        values = {t.item: t for t in temps if isinstance(t.item, ir.Value)}
        out: list[ir.Stmt] = []
        for s in body:
            out.append(s)
            out += [ir.Store(s.span, values[v].out, (), v) for v in ir.results(s) if v in values]
        for temp in temps:
            if isinstance(temp.item, ir.Var):
                last = ir.Value(temp.item.name, temp.item.type)
                span = temp.out.span
                out += [ir.Read(span, last, temp.item), ir.Store(span, temp.out, (), last)]
        return tuple(out)

    def _step(
        self, part: _Part, users: list[set[Tensor]], body: tuple[ir.Stmt, ...],
        grid: tuple[Axis, ...],
    ) -> ir.Step:  # fmt: skip
        """Return the launch of a part, with a kernel of its own."""
        kernel, number = self.kernel, part.number
        outputs: list[tuple[Tensor, Tensor]] = []
        updated: dict[Tensor, Tensor] = {}
        for output in kernel.outputs:
            using = [n for n, tensors in enumerate(users) if output in tensors]
            first = (using or [len(users) - 1])[0]
            shared = len(using) > 1
            if number == first and (not shared or output.initial is not None):
                outputs.append((output, output))
            elif number in using:
                updated[output] = Tensor(output.name, output.dtype, output.shape, "inout",
                                         output.star, span=output.span)  # fmt: skip
        made = [t for t in self.temps.values() if t.part == number]
        outputs += [(t.out, t.between) for t in made]
        read = list(part.loads.values())
        axes = {*grid, *ranges_of(body)}
        sizes = {p.name for a in axes if a.tile is not None for p in walk(a.tile)
                 if isinstance(p, TileSize)}  # fmt: skip
        own = ir.Kernel(
            self.names[number], kernel.binding,
            (*kernel.params, *updated.values(), *(t.read for t in read)),
            tuple(mine for mine, _ in outputs),
            tuple(t for t in kernel.tables if t in _tensors(body)),
            kernel.dims, kernel.facts, grid, _swapped(body, updated),
            tuple(name for name in kernel.tile_sizes if name in sizes),
            kernel.doc, kernel.span, kernel.name,
        )  # fmt: skip
        args = (
            *(p if isinstance(p, Tensor) else ParamValue(p.name, p.dtype) for p in kernel.params),
            *updated, *(t.between for t in read),
        )  # fmt: skip
        given = tuple(theirs for _, theirs in outputs)
        return ir.Step(own, args, given, kernel.span, kernel.dims)


def _unique(name: str, taken: set[str]) -> str:
    """Return ``name``, or one like it that is not taken, and take it."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}{number}", number + 1
    taken.add(found)
    return found


def _last_given(body: tuple[ir.Stmt, ...], var: ir.Var) -> Span:
    given = [s.span for s in ir.statements(body)
             if isinstance(s, ir.Declare | ir.Assign) and s.var is var]  # fmt: skip
    return given[-1]


def _lasting(s: ir.Stmt, temps: Mapping[Tensor, _Temp]) -> bool:
    """Return whether ``s`` does more than leave a value to a later part."""
    match s:
        case ir.Store(tensor=tensor):
            return tensor not in temps
        case _:
            return isinstance(s, ir.Print | ir.Assert)


def _tensors(body: tuple[ir.Stmt, ...]) -> set[Tensor]:
    """Return the tensors that statements read and write."""
    return set(_every_tensor(body))


def _every_tensor(body: tuple[ir.Stmt, ...]) -> Iterator[Tensor]:
    for s in ir.statements(body):
        if isinstance(s, ir.Load | ir.Store):
            yield s.tensor
        scalars = [x for x in ir.operands(s) if not isinstance(x, ir.Value)]
        yield from (p.tensor for x in scalars for p in walk(x) if isinstance(p, Element))
    for axis in ranges_of(body):
        for end in (axis.lo, axis.hi):
            yield from (p.tensor for p in walk(end) if isinstance(p, Element))


def _swapped(body: tuple[ir.Stmt, ...], new: Mapping[Tensor, Tensor]) -> tuple[ir.Stmt, ...]:
    """Return ``body`` with tensors replaced."""

    def block(inner: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        return tuple(
            replace(s, tensor=new.get(s.tensor, s.tensor))
            if isinstance(s, ir.Load | ir.Store)
            else rebuild(s, block)
            for s in inner
        )

    return block(body)
