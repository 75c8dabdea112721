"""What tests of a user's own call: a kernel where the run's options say, against its reference."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tiledsl.check import Module
from tiledsl.driver import load_checked, located
from tiledsl.ops.registry import Array
from tiledsl.runtime.binding import arguments, did_you_mean
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.kernel import Kernel, Result
from tiledsl.testing.cases import Case, Plan, Value, plan_of
from tiledsl.testing.runner import Options, repeat_command, run_case, shrink


@dataclass(frozen=True, slots=True)
class KernelUnderTest:
    """A kernel or op of a file, with the device, chip and hazards that `Options` name."""

    path: Path
    module: Module
    kernel: Kernel
    options: Options

    def __call__(self, *args: object, **named: object) -> Array | tuple[Array, ...]:
        """Run it on arrays and numbers as `tiledsl.Kernel` does; return its outputs."""
        outputs = self.run(arguments(self.kernel.header, args, named)).outputs
        wanted = [p.name for p in self.kernel.outputs]
        arrays = tuple(outputs[name] for name in wanted or outputs)
        return arrays[0] if len(arrays) == 1 else arrays

    def run(self, args: Mapping[str, object], **settings: Any) -> Result:
        """Run it; ``settings`` are those of `Kernel.run`, and come before the options."""
        options = self.options
        own: dict[str, Any] = {
            "device": options.device,
            "chip": options.chip,
            "hazards": options.hazards and settings.get("device", options.device) == "sim",
        }
        return self.kernel.run(args, **own | settings)


def kernel_under_test(name: str | Path, folder: Path, options: Options) -> KernelUnderTest:
    """Return the kernel ``FILE.tile:NAME``; ``NAME`` may be left out where the file has one kernel.

    A relative path is one from ``folder``; ``"std:attention"`` is a file of the library.
    """
    text = str(name)
    library = text.startswith("std:")
    file, _, wanted = text.removeprefix("std:").partition(":")
    path = located(f"std:{file}") if library else folder / file
    module, kernels = load_checked(path)
    listed = ", ".join(kernels) or "none"
    if not wanted and len(kernels) != 1:
        raise ArgumentError(f"{file}: which kernel? there are {listed}: write {text}:NAME")
    wanted = wanted or next(iter(kernels))
    if wanted not in kernels:
        hint = did_you_mean(wanted, kernels) or f"; there are {listed}"
        raise ArgumentError(f"{file}: no kernel `{wanted}`{hint}")
    return KernelUnderTest(path, module, kernels[wanted], options)


def assert_matches_reference(
    under_test: KernelUnderTest,
    *arrays: object,
    seed: int = 0,
    tiles: Mapping[str, int] | None = None,
    tolerance: float | tuple[float, float] | None = None,
    exact: bool = False,
    **values: object,
) -> Result:
    """Fail unless the kernel gives what its ``reference`` says, or its own text in f64 without one.

    ``arrays`` are its first arguments; ``values`` arguments by name, dims (``M=7``), element types
    (``T="f16"``) and parameters. Tensors that are not given are random, as the kernel's ``test``
    says, and a failure with nothing but such is shrunk to the smallest sizes and told with the
    command that repeats it. ``tolerance``, relative to an element and the largest of its row, or a
    pair of relative and absolute, comes before that of the test and of the element type.
    """
    kernel = under_test.kernel
    names = [p.name for p in kernel.params]
    if len(arrays) > len(names):
        raise ArgumentError(f"{kernel.name}: {len(arrays)} arguments, it takes {', '.join(names)}")
    values = {**dict(zip(names, arrays, strict=False)), **values}
    given = {name: _array(name, v) for name, v in values.items() if not isinstance(v, _SINGLE)}
    case = Case(tuple((n, _value(v)) for n, v in values.items() if isinstance(v, _SINGLE)))
    plan = _plan(under_test, case)
    if tolerance is not None:
        bound = (tolerance,) if isinstance(tolerance, int | float) else tolerance
        plan = replace(plan, tolerance=bound)
    plan = replace(plan, exact=plan.exact or exact, cases=(case,))
    options = replace(under_test.options, seed=seed, tiles=dict(tiles or {}))
    again = partial(
        run_case, under_test.module, kernel, plan, options=options, arrays=given or None
    )
    outcome = again(case)
    if outcome.failure:
        if given:
            raise AssertionError(f"{kernel.name}: {outcome.failure}")
        smallest = shrink(outcome, again)
        command = repeat_command(str(under_test.path), plan, smallest.case, options)
        raise AssertionError(f"{smallest.case}: {smallest.failure}\nagain: {command}")
    assert outcome.result is not None
    return outcome.result


_SINGLE = (bool, int, float, str, np.integer, np.floating, np.bool_)


def _value(value: object) -> Value:
    found = value.item() if isinstance(value, np.generic) else value
    assert isinstance(found, bool | int | float | str)
    return found


def _array(name: str, value: object) -> Array:
    if not isinstance(value, np.ndarray):
        raise ArgumentError(f"{name}: expected an array or a number, got {type(value).__name__}")
    return value


def _plan(under_test: KernelUnderTest, case: Case) -> Plan:
    """Return the kernel's first test for the limits and inputs that it names, without its cases."""
    kernel = under_test.kernel
    tests = map(plan_of, under_test.module.tests.get(kernel.name, ()))
    plan = next((t for t in tests if not t.fails), Plan(kernel.name))
    return replace(plan, limits=(), cases=(case,))
