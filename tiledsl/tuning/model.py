"""What the cycle model says of one plan: a pure function of kernel, sizes, chip and plan.

A question is plain data: it can be put in another process, or on another machine that has the same
files. What is tuned is not computed; integers that decide what a program does are drawn as the
kernel's test says.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tiledsl.diagnostics import CompileError
from tiledsl.runtime.errors import ArgumentError

if TYPE_CHECKING:
    from tiledsl.check import Module
    from tiledsl.ir import Kernel as KernelIR
    from tiledsl.runtime.devices import Compiled
    from tiledsl.runtime.kernel import Kernel
    from tiledsl.runtime.launch import Launch
    from tiledsl.testing.inputs import Inputs

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Subject:
    """A kernel of a file, on a chip, at sizes.

    ``values`` has its element types, parameters and dims, all of them; ``seed`` draws integers.
    """

    file: str
    kernel: str
    values: tuple[tuple[str, Value], ...]
    chip: str
    seed: int = 0
    search: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a plan is set: tile sizes, and directives with ``;`` between them.

    The rest is as the kernel's schedule says, or, where ``bare``, as if it had none.
    """

    tiles: tuple[tuple[str, int], ...] = ()
    directives: str = ""
    bare: bool = False

    def with_tile(self, name: str, size: int) -> "Choice":
        """Return the choice with another size under one name."""
        return replace(self, tiles=tuple(sorted((dict(self.tiles) | {name: size}).items())))


@dataclass(frozen=True, slots=True)
class Answer:
    """The cycles of all launches and the sizes of all tiles, or, without cycles, why not.

    ``apart`` are the names under which launches took different sizes, with nobody setting them:
    ``tiles`` has those of the longest launch.
    """

    cycles: float | None
    tiles: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    apart: tuple[str, ...] = ()


def predict(subject: Subject, choice: Choice) -> Answer:
    """Return how long ``subject`` takes under ``choice``; it may be called in any process."""
    try:
        _, kernel, inputs, launch = _launched(subject, choice.directives, choice.bare)
        launches = list(kernel.launches(inputs.graph, launch, subject.chip, dict(choice.tiles)))
        cycles = [_one(compiled, inner) for compiled, inner in launches]
    except (ArgumentError, CompileError) as error:
        return Answer(None, {}, str(error).split("\n", 1)[0])
    programs = [compiled for compiled, _ in launches]
    ranked = sorted(range(len(programs)), key=cycles.__getitem__)
    every = (*programs, *(programs[number] for number in ranked))
    sizes = {name: size for compiled in every for name, size in compiled.tiles.items()}
    given = {name: size for name, size in choice.tiles if name in sizes}
    apart = (n for n in sizes if any(p.tiles.get(n, sizes[n]) != sizes[n] for p in programs))
    return Answer(sum(cycles), sizes | given, apart=tuple(n for n in apart if n not in given))


@dataclass(frozen=True, slots=True)
class Timed:
    """A launch of a kernel of the text: its cycles, and those sizes that all its parts share."""

    kernel: "KernelIR"
    home: "Module"
    launch: "Launch"
    tiles: dict[str, int]
    cycles: float


def timed(subject: Subject, choice: Choice) -> list[Timed]:
    """Return the launches of ``subject`` under ``choice``, of an op one a step.

    A kernel that is cut is one launch here.
    """
    from tiledsl.driver import home_of
    from tiledsl.runtime.kernel import steps

    module, kernel, inputs, launch = _launched(subject, choice.directives, choice.bare)
    tiles = dict(choice.tiles)
    programs = iter(kernel.compiled(inputs.graph, subject.chip, tiles))
    found = []
    for whole, inner in steps(inputs.graph, launch):
        sizes: dict[str, int] = {}
        cycles = 0.0
        for _, own in steps(kernel.parted(whole, subject.chip), inner):
            compiled = next(programs)
            cycles += _one(compiled, own)
            sizes |= compiled.tiles
        found.append(Timed(whole, home_of(module, whole), inner, sizes, cycles))
    return found


def forget() -> None:
    """Forget what has been loaded: files beside it have changed."""
    _launched.cache_clear()


def _one(compiled: "Compiled", launch: "Launch") -> float:
    """Return the cycles of one launch."""
    from tiledsl.chips import load
    from tiledsl.npu.program import Program
    from tiledsl.runtime.devices import tables_of
    from tiledsl.simulator.estimate import estimate

    program = compiled.program
    assert isinstance(program, Program)
    arrays = launch.arrays | tables_of(compiled.kernel)
    found = estimate(
        program, {}, load(compiled.target), dims=launch.dims, scalars=launch.scalars,
        arrays=arrays, cores=compiled.cores, bypass=compiled.bypass,
    )  # fmt: skip
    return float(found.cycles)


@lru_cache(maxsize=8)
def _launched(
    subject: Subject, directives: str, bare: bool
) -> "tuple[Module, Kernel, Inputs, Launch]":
    """Return a kernel of a module under directives, with the arguments of its launch."""
    from tiledsl.driver import reschedule
    from tiledsl.runtime.launch import prepare
    from tiledsl.testing.cases import Case, Plan, plan_of
    from tiledsl.testing.inputs import Inputs

    module, kernel = load_subject(subject)
    if bare:
        for name in kernel_names(module, subject.kernel):
            home = module.kernels[name].module
            home.schedules.pop(module.kernels[name].item.name.id, None)
            home.winners = ()
    if directives:
        reschedule(module, subject.kernel, directives)
    tests = [plan_of(test) for test in module.tests.get(subject.kernel, ())]
    plan = next((t for t in tests if not t.fails), Plan(subject.kernel))
    inputs = Inputs(kernel, Case(subject.values), plan, subject.seed, zeros=True)
    return module, kernel, inputs, prepare(inputs.graph, inputs.arguments, inputs.dims)


def load_subject(subject: Subject) -> "tuple[Module, Kernel]":
    """Return the module that a subject is from, and its kernel, as nobody else has them."""
    from tiledsl.driver import load_checked

    module, kernels = load_checked(Path(subject.file), search=tuple(map(Path, subject.search)))
    if subject.kernel not in kernels:
        raise ArgumentError(f"{subject.file}: has no kernel `{subject.kernel}`")
    return module, kernels[subject.kernel]


def kernel_names(module: "Module", name: str) -> list[str]:
    """Return the name of a kernel, or of the kernels that are the steps of an op."""
    from tiledsl.syntax import tree

    if name in module.kernels:
        return [name]
    body = module.ops[name].item.body
    return [step.kernel.id for step in body if isinstance(step, tree.Step)]
