"""``run``: one kernel on one set of inputs."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import numpy as np

from tiledsl.cli.build import chosen
from tiledsl.cli.files import file_and_kernel
from tiledsl.cli.settings import Settings, Value, parse, refuse_unknown, sort_out, tile_sizes

if TYPE_CHECKING:
    from tiledsl.check import Module
    from tiledsl.runtime.kernel import Kernel
    from tiledsl.testing.cases import Case, Plan
    from tiledsl.testing.runner import Outcome

_Command = Callable[..., None]


def common(command: _Command) -> _Command:
    """Add the options of both `run` and `profile`."""
    for decorate in (
        click.option("-I", "--search", multiple=True, metavar="DIR", help="Where imports are."),
        click.option("--seed", default=0, help="Another seed, other random inputs."),
        click.option("--chip", metavar="TARGET", help="The target, if not the usual one."),
        click.option(
            "-s", "--set", "pairs", multiple=True, metavar="NAME=SIZE", help="A tile size."
        ),
    ):
        command = decorate(command)
    return command


@click.command()
@common
@click.argument("file", metavar="FILE[:KERNEL]")
@click.argument("values", nargs=-1, metavar="NAME=VALUE...")
@click.option("--device", default="sim", help="sim, ascend-host, cuda-host or cuda.")
@click.option("--hazards", is_flag=True, help="Look for missing flags and the like (sim).")
@click.option("--debug", is_flag=True, help="Let print and assert work on every device.")
@click.option("--save", type=click.Path(dir_okay=False), help="Write the outputs as .npz.")
def run(
    file: str,
    values: tuple[str, ...],
    pairs: tuple[str, ...],
    chip: str | None,
    seed: int,
    search: tuple[str, ...],
    device: str,
    hazards: bool,
    debug: bool,
    save: str | None,
) -> None:
    """Run a kernel; inputs are random, as its test says, or read from NAME=FILE.npy.

    NAME is a dim (M=64), an element type (T=f16), a parameter (scale=0.5) or an input. Sizes that
    are not given are those of the first case of the kernel's test. The outputs are compared with
    the kernel's reference.
    """
    from tiledsl.runtime.kernel import Result
    from tiledsl.testing.runner import Options

    options = Options(device, chip, tile_sizes(pairs), seed, hazards, debug=debug)
    outcome = _one(file, values, search, options)
    result = outcome.result
    if isinstance(result, Result):
        click.echo(result.report().rstrip())
        for name, array in result.outputs.items():
            click.echo(_shown(name, array))
        if save is not None:
            plain: dict[str, Any] = {n: _plain(array) for n, array in result.outputs.items()}
            np.savez(save, **plain)
    for name, worst in outcome.errors:
        click.echo(f"{name}: differs from the reference by {worst:.2g} at most")
    if outcome.failure:
        _fail(outcome.failure)


def _fail(text: str) -> NoReturn:
    """Print what is wrong, a located error as it is, and end with status 1."""
    click.echo(text if ": error[" in text else f"error: {text}", err=True)
    sys.exit(1)


def _one(file: str, values: tuple[str, ...], search: tuple[str, ...], options: Any) -> "Outcome":
    """Run the kernel that ``FILE[:KERNEL]`` names on the values given."""
    from tiledsl.testing.runner import run_case

    found = choose(file, parse(values), search)
    refuse_unknown(found.unknown, [found.kernel.header])
    options.tiles.update(found.tiles)
    return run_case(
        found.module, found.kernel, found.plan, found.case, options,
        found.arrays,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chosen:
    """A kernel and the values that it is to run on; ``unknown`` are names that it does not have."""

    module: "Module"
    kernel: "Kernel"
    plan: "Plan"
    case: "Case"
    arrays: "dict[str, np.ndarray[Any, Any]]"
    tiles: dict[str, int]
    unknown: list[str]


def choose(file: str, values: dict[str, Value], search: tuple[str, ...]) -> Chosen:
    """Return the one kernel that ``FILE[:KERNEL]`` names, with the values sorted."""
    from tiledsl.driver import load_checked

    path, name = file_and_kernel(file)
    module, kernels = load_checked(path, search=tuple(map(Path, search)))
    candidates = chosen(kernels, name)
    if len(candidates) != 1:
        names = ", ".join(k.name for k in candidates) or "no kernels"
        raise click.ClickException(f"which kernel? {path} has {names}: write {path}:NAME")
    (kernel,) = candidates
    arrays, numbers = _split(kernel, values)
    settings, unknown = sort_out(kernel.header, numbers)
    plan, case = _case(module, kernel, settings)
    return Chosen(module, kernel, plan, case, arrays, settings.tiles, unknown)


def _split(
    kernel: "Kernel", values: dict[str, Value]
) -> tuple[dict[str, "np.ndarray[Any, Any]"], dict[str, Value]]:
    """Return the arrays that come from files, and the other values."""
    tensors = {p.name.id for p in kernel.header.params if p.type.dims is not None}
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    others: dict[str, Value] = {}
    for name, value in values.items():
        if name not in tensors:
            others[name] = value
            continue
        if not str(value).endswith(".npy"):
            raise click.ClickException(f"{name}: expected NAME=FILE.npy, got `{value}`")
        try:
            arrays[name] = np.load(str(value), allow_pickle=False)
        except (OSError, ValueError) as problem:
            raise click.ClickException(f"{name}: cannot read {value}: {problem}") from None
    return arrays, others


def _case(module: "Module", kernel: "Kernel", settings: Settings) -> "tuple[Plan, Case]":
    """Return the kernel's test with one case: its first, with what was set in its place."""
    from tiledsl.testing.cases import Case, Plan, plan_of

    tests = [plan_of(test) for test in module.tests.get(kernel.name, ())]
    plan = next((t for t in tests if not t.fails), Plan(kernel.name))
    first = dict(plan.cases[0].values) if plan.cases else {}
    wanted: dict[str, Value] = {**settings.types, **settings.parameters, **settings.dims}
    rest = ", ".join(f"{n}={v}" for n, v in first.items() if n not in wanted)
    if rest:
        click.echo(f"note: not given, so as in the first test: {rest}", err=True)
    return plan, Case(tuple((first | wanted).items()))


def _shown(name: str, array: "np.ndarray[Any, Any]") -> str:
    """Return one line about an output: its type, and its first elements."""
    from tiledsl.runtime.arrays import describe

    first = ", ".join(str(v) for v in array.reshape(-1)[:4])
    more = ", …" if array.size > 4 else ""
    return f"{name}: {describe(array)} = {first}{more}"


def _plain(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return what NumPy can save without pickling: narrow floats of ml_dtypes as f32."""
    known = re.fullmatch(r"[fiub]", array.dtype.kind)
    return array if known else array.astype(np.float32)
