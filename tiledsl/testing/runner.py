"""Tests run: every case on a device, against the reference, shrunk where it fails."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tiledsl.check import Module
from tiledsl.diagnostics import CompileError
from tiledsl.ir import Kernel, OpGraph, Tensor
from tiledsl.ops.registry import Array
from tiledsl.passes.debugging import drop_debugging
from tiledsl.reference import evaluate_reference
from tiledsl.runtime.errors import ArgumentError, DeviceError
from tiledsl.runtime.kernel import Kernel as RuntimeKernel
from tiledsl.runtime.kernel import Result, steps
from tiledsl.runtime.launch import Launch, prepare
from tiledsl.testing.cases import Case, Limit, Plan, plan_of
from tiledsl.testing.compare import compare
from tiledsl.testing.inputs import Inputs
from tiledsl.testing.interpreter import interpret


@dataclass(frozen=True, slots=True)
class Options:
    """Where cases run, and how; ``precise``: in f64, as the tile IR reads, on no device.

    ``hazards``: the simulator also looks for missing flags and the like, which other devices do
    not. ``debug``: with ``print`` and ``assert``, which only the simulator has of itself.
    """

    device: str = "sim"
    chip: str | None = None
    tiles: dict[str, int] = field(default_factory=dict)
    seed: int = 0
    hazards: bool = True
    precise: bool = False
    debug: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case; it passed if ``failure`` is empty."""

    case: Case
    failure: str = ""
    result: Result | None = None
    errors: tuple[tuple[str, float], ...] = ()


def tests_of(module: Module) -> Iterator[Plan]:
    """Yield what the tests of a module ask for, in the order of the file."""
    for name in module.own:
        for test in module.tests.get(name, ()):
            yield plan_of(test)


def run_case(
    module: Module,
    kernel: RuntimeKernel,
    plan: Plan,
    case: Case,
    options: Options,
    arrays: Mapping[str, Array] | None = None,
) -> Outcome:
    """Run one case and compare what it gives with the reference, where there is one.

    ``arrays`` are inputs that come from elsewhere.
    """
    try:
        inputs = Inputs(kernel, case, plan, options.seed, arrays)
        wanted = _reference(module, inputs)
    except (ArgumentError, CompileError) as error:
        return _refused(plan, case, error)
    if options.precise:
        exact = _interpreted(inputs)
        return _judge(inputs.graph, plan, case, Result(exact, ()), wanted)
    try:
        result = kernel.run(
            inputs.arguments,
            device=options.device,
            chip=options.chip,
            types=inputs.types,
            dims=inputs.dims,
            tiles=options.tiles,
            hazards=options.hazards and options.device == "sim",
            debug=True if options.debug else None,
        )
    except ArgumentError as error:
        return _refused(plan, case, error)
    except (CompileError, DeviceError) as error:
        return Outcome(case, str(error).rstrip())
    if plan.fails:
        return Outcome(case, f'it ran, but "{plan.fails}" was to stop it', result)
    outcome = _judge(inputs.graph, plan, case, result, wanted)
    slow = [text for limit in plan.limits if (text := _slow(limit, kernel, inputs, options))]
    return replace(outcome, failure="\n".join(filter(None, [outcome.failure, *slow])))


def shrink(outcome: Outcome, again: Callable[[Case], Outcome], attempts: int = 60) -> Outcome:
    """Return the failure with the smallest sizes found in so many runs."""
    smallest = outcome
    progress = True
    while progress:
        progress = False
        for name, value in smallest.case.values:
            if isinstance(value, bool | str | float):
                continue
            for size in _smaller(value):
                if attempts == 0:
                    return smallest
                attempts -= 1
                candidate = again(smallest.case.with_value(name, size))
                if candidate.failure and _kind(candidate) == _kind(outcome):
                    smallest, progress = candidate, True
                    break
    return smallest


def repeat_command(path: str, plan: Plan, case: Case, options: Options) -> str:
    """Return the command that runs a case once more."""
    words = ["tiledsl run", f"{path}:{plan.name}", *str(case).split()]
    words += [f"--set {name}={size}" for name, size in options.tiles.items()]
    if options.device != "sim":
        words.append(f"--device {options.device}")
    elif options.hazards:
        words.append("--hazards")
    if options.chip:
        words.append(f"--chip {options.chip}")
    if options.seed:
        words.append(f"--seed {options.seed}")
    return " ".join(words)


def _smaller(value: int) -> Iterator[int]:
    tried = {value}
    for size in (1, 2, value // 2, value - 1):
        if 0 < size < value and size not in tried:
            tried.add(size)
            yield size


def _kind(outcome: Outcome) -> str:
    """Return a failure without its numbers: a shrunk case is to fail in the same way."""
    letters = "".join(" " if c.isdigit() else c for c in outcome.failure)
    return " ".join(letters.split("differ")[0].split())[:40]


def _reference(module: Module, inputs: Inputs) -> dict[str, Array]:
    """Return what the outputs should be: by the reference, else by the kernel's own text in f64."""
    if inputs.graph.name not in module.references:
        return _interpreted(inputs)
    launch = _copied(inputs)
    return evaluate_reference(module, inputs.graph, launch.arrays, launch.dims, launch.scalars)


def _interpreted(inputs: Inputs) -> dict[str, Array]:
    launch = _copied(inputs)
    for kernel, inner in steps(inputs.graph, launch):
        silent = drop_debugging(kernel)  # it is the device that is to say what fails
        interpret(silent, inner.arrays, inner.dims, inner.scalars, precise=True)
    return launch.outputs


def _copied(inputs: Inputs) -> Launch:
    return prepare(inputs.graph, _copies(inputs), inputs.dims)


def _copies(inputs: Inputs) -> dict[str, object]:
    """Return the arguments with copies of the arrays, which a run may update in place."""
    return {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in inputs.arguments.items()
    }


def _refused(plan: Plan, case: Case, error: Exception) -> Outcome:
    text = str(error).rstrip()
    if plan.fails and plan.fails in text:
        return Outcome(case)
    if plan.fails:
        return Outcome(case, f'it was refused, but not with "{plan.fails}": {text}')
    return Outcome(case, text)


def _judge(
    graph: Kernel | OpGraph,
    plan: Plan,
    case: Case,
    result: Result,
    wanted: dict[str, Array],
) -> Outcome:
    failures: list[str] = []
    errors: list[tuple[str, float]] = []
    tensors = {t.name: t for t in (*graph.params, *graph.outputs) if isinstance(t, Tensor)}
    for name, want in wanted.items():
        got, want = result.outputs[name], want.reshape(result.outputs[name].shape)
        found = compare(got, want, tensors[name].dtype, plan.tolerance, exact=plan.exact)
        errors.append((name, found.worst))
        if found.text:
            failures.append(f"{name}: {found.text}")
    return Outcome(case, "\n".join(failures), result, tuple(errors))


def _slow(limit: Limit, kernel: RuntimeKernel, inputs: Inputs, options: Options) -> str:
    """Return what is wrong with the cycles on the chip that the test names; only in the simulator.

    The chip may be another than that of the run, so the kernel runs there once more.
    """
    if options.device != "sim":
        return ""
    try:
        result = kernel.run(
            _copies(inputs),
            chip=limit.target,
            types=inputs.types,
            dims=inputs.dims,
            tiles=options.tiles,
        )
    except (ArgumentError, CompileError, DeviceError) as error:
        return str(error).rstrip()
    cycles = result.cycles
    assert cycles is not None
    kept = cycles <= limit.limit if limit.op == "<=" else cycles < limit.limit
    told = f"{cycles} cycles on {limit.target}, expected {limit.op} {limit.limit:g}"
    return "" if kept else told
