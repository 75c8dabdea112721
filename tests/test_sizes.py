"""One build of each kernel of the library serves any sizes: 0, 1, primes, large.

Each kernel is compiled once for a device and then launched with 20 random assignments of its dims.
On the simulator all kernels run in every test run, with up to 10,007 of a dim; on the host models
some do. ``--slow`` runs all of them on all devices, for two element types, with up to
131,073 of a dim.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.size_draws import Sizes, drawn, refused
from tiledsl.check import Module as Checked
from tiledsl.check import library
from tiledsl.driver import ModuleCompiler, checked
from tiledsl.gpu.program import Program
from tiledsl.ir import Binding, Kernel, OpGraph
from tiledsl.runtime import ascend_host, cuda_host
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.devices import Compiled, Parted
from tiledsl.runtime.kernel import Kernel as RuntimeKernel
from tiledsl.syntax import tree
from tiledsl.testing import runner
from tiledsl.testing.cases import Case, Plan

COUNT = 20
DEVICES = ("sim", "ascend-host", "cuda-host")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most work of one launch, as the product of its dims.

    ``large`` is the largest dim of a kernel with one or two, ``less`` that of one with more.
    """

    work: int
    large: int
    less: int


LIMITS = Limits(10_007, 10_007, 521)
SLOW_LIMITS = Limits(131_073, 131_073, 1_031)
SLOW_HOST_LIMITS = Limits(100_003, 100_003, 2_003)
# Built by g++ in every run: one of each kind of program.
SOME = (
    "vector_add", "matmul", "softmax_rows", "flash_attention_causal", "cumsum_rows", "embedding"
)  # fmt: skip
# What a step leaves only its op can tell; the op is launched instead.
STEPS = ("decode_split", "emit_nonzero", "rms_rows")


@cache
def module_of(topic: str) -> Checked:
    return checked(library()[topic])


@cache
def names() -> tuple[tuple[str, str], ...]:
    """Return the topic and the name of each kernel and op of the library that has dims."""
    every = ((topic, name) for topic in library() for name in _items(topic))
    return tuple((topic, name) for topic, name in every if _dims(topic, name))


def _dims(topic: str, name: str) -> bool:
    """Whether a launch decides any size."""
    module = module_of(topic)
    item = (module.kernels.get(name) or module.ops[name]).item
    sizes = [d for p in (*item.params, *item.outputs) for d in p.type.dims or ()]
    return any(not isinstance(size, tree.Number) for size in sizes)


def _items(topic: str) -> list[str]:
    module = module_of(topic)
    return [n for n in module.own if n in module.kernels or n in module.ops]


@dataclass(slots=True)
class Counting:
    """The compiler of a module; it counts what it does."""

    compiler: ModuleCompiler
    compiled: list[str] = field(default_factory=list)
    emitted: list[str] = field(default_factory=list)

    def part(self, kernel: Kernel, target: str) -> Parted:
        return self.compiler.part(kernel, target)

    def instantiate(self, name: str, binding: Binding) -> Kernel | OpGraph:
        return self.compiler.instantiate(name, binding)

    def compile(self, kernel: Kernel, target: str, tiles: Mapping[str, int]) -> Compiled:
        self.compiled.append(kernel.name)
        return self.compiler.compile(kernel, target, tiles)

    def emit(self, compiled: Compiled) -> dict[str, str]:
        self.emitted.append(compiled.kernel.name)
        return self.compiler.emit(compiled)


@dataclass(slots=True)
class Subject:
    """A kernel with one element type and one set of constants."""

    module: Checked
    kernel: RuntimeKernel
    counting: Counting
    plan: Plan
    cases: tuple[Case, ...]
    graph: Kernel | OpGraph

    @property
    def steps(self) -> list[str]:
        """The names of what is compiled for a launch."""
        graph = self.graph
        return [graph.name] if isinstance(graph, Kernel) else [s.kernel.name for s in graph.steps]


def subjects(topic: str, name: str, *, every: bool) -> list[Subject]:
    """Return a kernel with the first element types of its tests, or one for each of them."""
    found: list[Subject] = []
    while name not in STEPS and (every or not found):
        one = _subject(topic, name, len(found))
        if one is None:
            break
        found.append(one)
    return found


def _subject(topic: str, name: str, number: int) -> Subject | None:
    module = module_of(topic)
    counting = Counting(ModuleCompiler(module))
    header = (module.kernels.get(name) or module.ops[name]).item
    kernel = RuntimeKernel(header, counting)
    plans = [p for p in runner.tests_of(module) if p.name == name and not p.fails]
    plan = replace(plans[0], limits=())
    fixed = {*kernel.generics, *(p.name for p in kernel.params if p.kind == "const")}
    firsts: dict[object, dict[str, Any]] = {}
    for case in plan.cases:
        values = dict(case.values)
        types = tuple(values.get(g) for g in kernel.generics)
        firsts.setdefault(types, {n: v for n, v in values.items() if n in fixed})
    if number >= len(firsts):
        return None
    chosen = list(firsts.values())[number]
    cases = tuple(c for c in plan.cases if chosen.items() <= dict(c.values).items())
    generics = {g: chosen[g] for g in kernel.generics if g in chosen}
    constants = {n: v for n, v in chosen.items() if n not in kernel.generics}
    graph = kernel.instance(first_binding(header, generics, constants, {}))
    return Subject(module, kernel, counting, plan, cases, graph)


def sizes_of(found: Subject, limits: Limits) -> Sizes:
    params = {*found.kernel.generics, *(p.name for p in found.kernel.params)}
    dims = tuple(n for n, _ in found.cases[0].values if n not in params)
    large = limits.large if len(dims) <= 2 else limits.less
    work = limits.work if len(dims) <= 2 else limits.work // 2
    return Sizes(found.plan, found.graph, found.cases, dims, work, large)


def run_sizes(found: Subject, sizes: Sizes, device: str) -> list[str]:
    """Return what the launches that fail say."""
    failures: list[str] = []
    cases = drawn(sizes, COUNT)
    if len(cases) < COUNT:
        failures.append(f"only {len(cases)} sizes")
    options = runner.Options(device)
    for case in cases:
        outcome = runner.run_case(found.module, found.kernel, found.plan, case, options)
        if outcome.failure or not outcome.errors:
            failures.append(f"{case}: {outcome.failure[:300] or 'nothing was compared'}")
    return failures


@pytest.mark.parametrize(("topic", "name"), names())
def test_sizes_in_the_simulator(topic: str, name: str, request: pytest.FixtureRequest) -> None:
    slow = bool(request.config.getoption("--slow"))
    for found in subjects(topic, name, every=slow)[:2]:
        limits = SLOW_LIMITS if slow else LIMITS
        assert run_sizes(found, sizes_of(found, limits), "sim") == []
        assert found.counting.compiled == found.steps


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize(("topic", "name"), names())
def test_sizes_on_the_host_models(
    topic: str,
    name: str,
    device: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = bool(request.config.getoption("--slow"))
    if not slow and name not in SOME:
        pytest.skip("slow: compiles every kernel; `pytest --slow` runs it")
    loaded = loaded_libraries(monkeypatch)
    limits = SLOW_HOST_LIMITS if slow else LIMITS
    for found in subjects(topic, name, every=slow)[:2]:
        loaded.clear()
        assert run_sizes(found, sizes_of(found, limits), device) == []
        assert found.counting.compiled == found.steps
        assert [step for step, _ in sorted(loaded)] == sorted(found.steps)


@pytest.mark.parametrize(("topic", "name"), names())
def test_what_the_facts_exclude_is_refused(topic: str, name: str) -> None:
    for found in subjects(topic, name, every=False):
        for case, fact in refused(sizes_of(found, LIMITS)):
            plan = replace(found.plan, fails=f"`where {fact}` does not hold")
            options = runner.Options("sim")
            outcome = runner.run_case(found.module, found.kernel, plan, case, options)
            assert not outcome.failure, f"{case}: {outcome.failure}"


def test_zero_one_large_and_primes_are_drawn() -> None:
    for topic, name in (("elementwise", "vector_add"), ("gemm", "matmul")):
        (found,) = subjects(topic, name, every=False)
        sizes = sizes_of(found, SLOW_LIMITS)
        cases = [dict(case.values) for case in drawn(sizes, COUNT)]
        for dim in sizes.names:
            seen = {case[dim] for case in cases}
            assert {0, 1, sizes.large} <= seen
            assert any(_is_prime(int(size)) for size in seen)


def loaded_libraries(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Return a set that will have the kernel and the file of each library that is called."""
    seen: set[tuple[str, str]] = set()
    load, host_library = ascend_host._load, cuda_host.host_library

    def loaded(name: str, path: Path) -> ctypes.CDLL:
        seen.add((name, str(path)))
        return load(name, path)

    def found(program: Program, files: Mapping[str, str]) -> ctypes.CDLL:
        library = host_library(program, files)
        seen.add((program.name, library._name))
        return library

    monkeypatch.setattr(ascend_host, "_load", loaded)
    monkeypatch.setattr(cuda_host, "host_library", found)
    return seen


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % part for part in range(2, int(number**0.5) + 1))
