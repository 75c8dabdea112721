"""Builds the text of one random kernel, with the launches to run it at."""

import re
from dataclasses import dataclass, field, replace

from tests.agreement.dice import Dice
from tests.agreement.expressions import Maker, Param, Scope
from tests.agreement.terms import EPS, F8, FLOATS, NARROW, PLAIN, TINY, Term

SIZES = (1, 2, 3, 5, 7, 13, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 97, 127, 128, 130)
TILES = (1, 3, 7, 16, 32, 48)

# Names that mean something in a target's language, in its headers, or in the programs.
NASTY = (
    "args", "block", "blocks", "bytes", "call", "class", "copy", "cores", "def", "error",
    "exp2f", "float", "int", "k_start", "k_turn", "lambda", "lane", "m_pitch", "m_size", "main",
    "mean", "n_start", "next", "np", "out", "pipe", "program", "queue", "seed", "self", "smem",
    "std", "sub", "template", "threadIdx", "tid", "tiling", "turn", "ub", "warp", "x_handed",
)  # fmt: skip


@dataclass(frozen=True)
class Output:
    """An output, and the absolute error that rounding may leave in it."""

    name: str
    dtype: str
    dims: tuple[str, ...]
    error: float
    initial: str = ""


@dataclass(frozen=True)
class Sample:
    """A kernel with its launches; ``tiles`` are given to each device, an empty one chooses."""

    kind: str
    text: str
    params: tuple[Param, ...]
    outputs: tuple[Output, ...]
    launches: tuple[dict[str, int], ...]
    tiles: dict[str, int]
    seed: int
    chips: dict[str, str]


@dataclass
class Range:
    """A range of the kernel: how it is declared, and its sizes in the launches."""

    name: str
    form: str
    sizes: tuple[int, ...]
    pinned: bool = False
    by: str = ""

    @property
    def dim(self) -> str:
        """The dim it runs over, or its number."""
        return str(self.sizes[0]) if self.pinned else self.name.upper()


@dataclass
class Writer:
    """Builds the text of one kernel."""

    dice: Dice
    launches: int
    ranges: dict[str, Range] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    params: list[Param] = field(default_factory=list)
    tile_names: list[str] = field(default_factory=list)
    bound: int = 0
    wild: bool = False
    widest: int = 48

    def range(
        self, name: str, forms: tuple[str, ...], most: int, least: int = 0, fixed: int = 0
    ) -> Range:
        """Draw a range: ``tile`` and ``one`` for grids and loops, ``span``."""
        form = self.dice.pick(forms)
        pinned = form == "span" and self.dice.one_in(3)
        cap = min(most, 4) if form == "one" else most
        usable = [s for s in SIZES if least <= s <= cap]
        drawn = [self.dice.pick(usable) for _ in range(self.launches)]
        if least == 0 and not pinned and self.dice.one_in(8):
            drawn[0] = 0
        if pinned:
            drawn = drawn[:1] * self.launches
        made = Range(name, form, tuple(drawn), pinned)
        if form == "span" and not pinned:
            slack = self.dice.pick((0, 1, 5))
            self.facts.append(f"{made.dim} <= {max(1, *drawn) + slack}")
        if form == "tile":
            made.by = self.by(name)
        self.ranges[name] = made
        return made

    def by(self, name: str) -> str:
        """Draw what follows ``by``."""
        if self.dice.one_in(3):
            return str(min(self.dice.pick(TILES), self.widest))
        self.tile_names.append(f"B{name.upper()}")
        return self.tile_names[-1]

    def scope(self, names: list[str], dtypes: tuple[str, ...]) -> Scope:
        """Return the scope in which ranges stand."""
        parts = [self.ranges[n] for n in names]
        return Scope(
            tiled=[r.name for r in parts if r.form != "one"],
            standing=[r.name for r in parts if r.form == "one"],
            sizes={r.name: r.dim for r in self.ranges.values()},
            most={r.name: max(r.sizes) for r in self.ranges.values()},
            least={r.name: min(r.sizes) for r in self.ranges.values()},
            params=self.params,
            dtypes=dtypes,
            foldable=tuple(r.name for r in parts if r.form == "span"),
            wild=self.wild,
        )

    def add(self, depth: int, text: str) -> None:
        """Append a line."""
        self.lines.append("    " * depth + text)

    def bind(self, scope: Scope, depth: int, term: Term) -> Term:
        """Append a binding of ``term``; return its name as a term."""
        name = f"t{self.bound}"
        self.bound += 1
        axes = [a for a in scope.tiled if a in term.axes]
        type_ = term.dtype + (f"[{', '.join(axes)}]" if axes else "")
        shown = f": {type_}" if term.spelled or self.dice.flip() else ""
        self.add(depth, f"{name}{shown} = {term.text}")
        made = Term(name, term.dtype, term.axes, term.lo, term.hi, term.step, term.err)
        scope.bound.append(made)
        return made

    def store(
        self,
        depth: int,
        order: list[str],
        term: Term,
        dtype: str,
        *,
        initial: str = "",
        how: str = "=",
    ) -> None:
        """Append a store of ``term`` to a new output with the dims of ``order``.

        ``how`` is an update of an ``atomic``, of an output that starts with ``initial``.
        """
        name = f"y{len(self.outputs)}"
        error = term.err
        if dtype in FLOATS:
            error += term.most * EPS[dtype] * 2 + TINY.get(dtype, 1e-7)
        dims = tuple(self.ranges[a].dim for a in order)
        self.outputs.append(Output(name, dtype, dims or ("1",), error, initial))
        word = "" if how == "=" else "atomic "
        self.add(depth, f"{word}{name}[{', '.join(order) or '0'}] {how} {term.text}")

    def declare(self, names: list[str]) -> None:
        """Append the grid and the spans."""
        grid = [self.ranges[n] for n in names if self.ranges[n].form != "span"]
        shown = [f"{r.name} in {r.dim}" + (f" by {r.by}" if r.by else "") for r in grid]
        if shown:
            self.add(1, "grid " + ", ".join(shown))
        for r in (self.ranges[n] for n in names):
            if r.form == "span":
                self.add(1, f"span {r.name} in {r.dim}")

    def finish(self, kind: str) -> Sample:
        """Return the whole."""
        shown = {d for p in self.params for d in p.dims} | {d for o in self.outputs for d in o.dims}
        for r in self.ranges.values():
            if not r.pinned and r.dim not in shown:
                self.params.append(Param(f"only_{r.name}", "f32", (r.dim,), "exact", 0, 1, 1))
        params = ", ".join(f"{p.name}: {type_of(p.dtype, p.dims)}" for p in self.params)
        outs = ", ".join(
            f"{o.name}: {type_of(o.dtype, o.dims)}" + (f" = {o.initial}" if o.initial else "")
            for o in self.outputs
        )
        head = f"kernel sample({params}) -> ({outs}):"
        where = [f"    where {', '.join(self.facts)}"] if self.facts else []
        text = "\n".join([head, *where, *self.lines]) + "\n"
        dims = {p for param in self.params for p in param.dims}
        dims |= {d for o in self.outputs for d in o.dims}
        launches = []
        for i in range(self.launches):
            sizes = {r.dim: r.sizes[i] for r in self.ranges.values() if not r.pinned}
            launches.append({d: n for d, n in sizes.items() if d in dims})
        tiles: dict[str, int] = {}
        match self.dice.integer(0, 3):
            case 0:
                tiles = {"*": self.dice.pick(TILES)}
            case 1 | 2:
                for name in self.tile_names:
                    tiles[name] = self.dice.pick(TILES)
            case _:
                pass
        text += self.schedule()
        seed = self.dice.integer(0, 1000)
        names = self.renamed(text)
        text = re.sub(r"\b[a-z]\w*\b", lambda m: names.get(m[0], m[0]), text)
        return Sample(
            kind=kind,
            text=text,
            params=tuple(replace(p, name=names.get(p.name, p.name)) for p in self.params),
            outputs=tuple(replace(o, name=names.get(o.name, o.name)) for o in self.outputs),
            launches=tuple(launches),
            tiles=tiles,
            seed=seed,
            chips=self.chips(text),
        )

    def renamed(self, text: str) -> dict[str, str]:
        """Draw other names for some of the ranges, parameters and values."""
        if not self.dice.one_in(5):
            return {}
        own = sorted({*self.ranges, *re.findall(r"\b[ptsy]\d+\b", text)})
        nasty = self.dice.shuffled(NASTY)
        return dict(zip(self.dice.some(own), nasty, strict=False))

    def chips(self, text: str) -> dict[str, str]:
        """Draw a chip for each device, of those that have what the kernel needs."""
        ascend = ["ascend910b3"] * 3
        if not re.search("bf16|atomic|[iu]16", text):
            ascend.append("ascend310p")
        chip = self.dice.pick(ascend)
        gpu = self.dice.pick(("cuda.sm80", "cuda.sm90"))
        return {"sim": chip, "ascend-host": chip, "cuda-host": gpu}

    def schedule(self) -> str:
        """Return a schedule, or nothing."""
        loops = [r.name for r in self.ranges.values() if r.by]
        if not loops or self.dice.flip():
            return ""
        lines = [f"    pipeline {self.dice.pick(loops)} depth {self.dice.integer(1, 3)}"]
        if self.dice.flip():
            lines.append(f"    cores {self.dice.integer(1, 3)}")
        return "\nschedule sample for ascend910b:\n" + "\n".join(lines) + "\n"


def type_of(dtype: str, dims: tuple[str, ...]) -> str:
    """Return a parameter's type as it is written."""
    return f"{dtype}[{', '.join(dims)}]" if dims else dtype


def out_type(maker: Maker, term: Term) -> str:
    """Draw the type in which an output keeps ``term``."""
    if term.dtype in FLOATS:
        narrow = F8 if term.most <= 256 and not maker.scope.wild and maker.dice.one_in(3) else PLAIN
        return maker.pick(term.dtype, *narrow) if term.most < 3e4 else "f32"
    return term.dtype


def anything(maker: Maker, depth: int) -> Term:
    """Draw an expression of any type."""
    way = maker.pick("float", "float", "float", "int", "int", "bool")
    if way == "float":
        return maker.number(depth)
    return maker.integer(depth) if way == "int" else maker.truth(depth)


def dtypes(dice: Dice) -> tuple[str, ...]:
    """Return element types for one kernel: few, so that they meet."""
    floats = dice.some((*PLAIN, *PLAIN, *F8), 1)[:2]
    return (*floats, dice.pick(("i32", "i32", "i32", "i32", *NARROW)))


def loop_over(r: Range) -> str:
    """Return the line that opens a loop over all of a range."""
    return f"for {r.name} in {r.dim}{f' by {r.by}' if r.by else ''}:"
