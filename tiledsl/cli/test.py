"""``test``: the tests in files, on one device or several."""

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiledsl.cli.build import chosen
from tiledsl.cli.files import file_and_kernel, tile_files
from tiledsl.cli.settings import tile_sizes

if TYPE_CHECKING:
    from tiledsl.check import Module
    from tiledsl.runtime.kernel import Module as Kernels
    from tiledsl.testing.cases import Case
    from tiledsl.testing.runner import Options


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE[:KERNEL]...")
@click.option("--device", "devices", multiple=True, help="sim, ascend-host, cuda-host, cuda.")
@click.option("--chip", metavar="TARGET", help="The target, if not the usual one.")
@click.option("-s", "--set", "pairs", multiple=True, metavar="NAME=SIZE", help="A tile size.")
@click.option("--seed", default=0, help="Another seed, other random inputs.")
@click.option(
    "--hazards/--no-hazards", default=True, help="Look for missing flags and the like (sim)."
)
@click.option("--precise", is_flag=True, help="Compare the kernel's own text in f64 instead.")
@click.option("-I", "--search", multiple=True, metavar="DIR", help="Where imports are.")
def test(
    paths: tuple[str, ...],
    devices: tuple[str, ...],
    chip: str | None,
    pairs: tuple[str, ...],
    seed: int,
    hazards: bool,
    precise: bool,
    search: tuple[str, ...],
) -> None:
    """Run the `test` items of files; a failing case is shrunk to the smallest sizes."""
    from tiledsl.testing.runner import Options

    failed = ran = 0
    sizes, folders = tile_sizes(pairs), tuple(map(Path, search))
    every = [Options(d, chip, sizes, seed, hazards, precise) for d in devices or ("sim",)]
    for text in paths:
        path, name = file_and_kernel(text)
        for file in tile_files([str(path)]):
            good, bad = _reported(file, name, every, folders)
            ran, failed = ran + good + bad, failed + bad
    if not ran:
        raise click.ClickException("there are no tests in these files")
    click.echo(f"{ran - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _reported(
    path: Path, name: str | None, every: Sequence["Options"], search: tuple[Path, ...]
) -> tuple[int, int]:
    """Run a file; one that does not compile is shown and counts as a failure."""
    from tiledsl.diagnostics import CompileError
    from tiledsl.driver import load_checked

    good = bad = 0
    try:
        module, kernels = load_checked(path, search=search)
        if name is not None:
            chosen(kernels, name)  # an error that names the kernels if there is none
        for options in every:
            passed, failed = _file(path, name, module, kernels, options)
            good, bad = good + passed, bad + failed
    except CompileError as error:
        click.echo(str(error), err=True)
        bad += 1
    return good, bad


def _file(
    path: Path, name: str | None, module: "Module", kernels: "Kernels", options: "Options"
) -> tuple[int, int]:
    """Run the tests of one file on one device; return how many cases passed and failed."""
    from tiledsl.testing.runner import repeat_command, run_case, shrink, tests_of

    good = bad = 0
    for plan in tests_of(module):
        if name is not None and plan.name != name:
            continue
        kernel = kernels[plan.name]
        start = time.perf_counter()
        with _bar(plan.cases, plan.name) as cases:
            outcomes = [run_case(module, kernel, plan, case, options) for case in cases]
        failures = [o for o in outcomes if o.failure]
        good, bad = good + len(outcomes) - len(failures), bad + len(failures)
        verdict = "FAIL" if failures else "pass"
        seconds = time.perf_counter() - start
        where = "in f64" if options.precise else f"on {options.device}"
        click.echo(f"{verdict}  {path}:{plan.name} {where}, {len(outcomes)} cases, {seconds:.1f} s")
        if failures:
            again = partial(run_case, module, kernel, plan, options=options)
            smallest = shrink(failures[0], again)
            click.echo(f"  {smallest.case}: {smallest.failure}".replace("\n", "\n    "))
            click.echo(f"  again: {repeat_command(str(path), plan, smallest.case, options)}")
    return good, bad


def _bar(cases: Sequence["Case"], name: str) -> AbstractContextManager[Iterable["Case"]]:
    """Show on a terminal how many cases are done; the line goes when they are."""
    if not sys.stderr.isatty():
        return nullcontext(cases)
    return _Bar(cases, name)


class _Bar(AbstractContextManager[Iterable["Case"]]):
    """click's bar, without the line that it leaves behind."""

    def __init__(self, cases: Sequence["Case"], name: str) -> None:
        self.bar = click.progressbar(cases, label=name, show_pos=True, file=sys.stderr)

    def __enter__(self) -> Iterable["Case"]:
        return self.bar.__enter__()

    def __exit__(self, *error: object) -> None:
        click.echo("\r\x1b[K\x1b[?25h", nl=False, err=True)  # an empty line, the cursor back
