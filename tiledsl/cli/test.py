"""``test``: the tests in files, on one device or several."""

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiledsl.cli.build import chosen
from tiledsl.cli.files import file_and_kernel, tile_files
from tiledsl.cli.settings import tile_sizes

if TYPE_CHECKING:
    from tiledsl.testing.runner import Options


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE[:KERNEL]...")
@click.option("--device", "devices", multiple=True, help="sim, ascend-host, cuda-host, cuda.")
@click.option("--chip", metavar="TARGET", help="The target, if not the usual one.")
@click.option("-s", "--set", "pairs", multiple=True, metavar="NAME=SIZE", help="A tile size.")
@click.option("--seed", default=0, help="Another seed, other random inputs.")
@click.option("--hazards", is_flag=True, help="Look for missing flags and the like (sim).")
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
    for text in paths:
        path, name = file_and_kernel(text)
        for file in tile_files([str(path)]):
            for device in devices or ("sim",):
                options = Options(device, chip, tile_sizes(pairs), seed, hazards, precise)
                good, bad = _reported(file, name, options, tuple(map(Path, search)))
                ran, failed = ran + good + bad, failed + bad
    if not ran:
        raise click.ClickException("there are no tests in these files")
    click.echo(f"{ran - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _reported(
    path: Path, name: str | None, options: "Options", search: tuple[Path, ...]
) -> tuple[int, int]:
    """Run a file; one that does not compile is shown and counts as a failure."""
    from tiledsl.diagnostics import CompileError

    try:
        return _file(path, name, options, search)
    except CompileError as error:
        click.echo(str(error), err=True)
        return 0, 1


def _file(
    path: Path, name: str | None, options: "Options", search: tuple[Path, ...]
) -> tuple[int, int]:
    """Run the tests of one file on one device; return how many cases passed and failed."""
    from tiledsl.driver import load_checked
    from tiledsl.testing.runner import repeat_command, run_case, shrink, tests_of

    module, kernels = load_checked(path, search=search)
    if name is not None:
        chosen(kernels, name)  # an error that names the kernels if there is none
    good = bad = 0
    for plan in tests_of(module):
        if name is not None and plan.name != name:
            continue
        kernel = kernels[plan.name]
        start, outcomes = time.perf_counter(), []
        for case in plan.cases:
            outcomes.append(run_case(module, kernel, plan, case, options))
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
