"""``tune``: the best tile sizes by the cycle model, for a kernel at sizes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiledsl.cli.files import write_atomically
from tiledsl.cli.run import Chosen, choose
from tiledsl.cli.settings import parse, refuse_unknown

if TYPE_CHECKING:
    from tiledsl.tuning import Choice, Search, Subject
    from tiledsl.tuning.searching import Tried


@click.command()
@click.argument("file", metavar="FILE[:KERNEL]")
@click.argument("values", nargs=-1, metavar="NAME=VALUE...")
@click.option("--chip", metavar="TARGET", default="ascend910b3", show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes that ask the model.")
@click.option("--limit", type=click.IntRange(1), default=200, help="Plans, at most.")
@click.option("--top", type=click.IntRange(1), default=5, help="Plans that are printed.")
@click.option("--free", is_flag=True, help="Change the sizes that the schedule sets, too.")
@click.option("--write", is_flag=True, help="Keep the best sizes in NAME.tune.toml, for builds.")
@click.option("--seed", default=0, help="Another seed, other random integers.")
@click.option("-I", "--search", multiple=True, metavar="DIR", help="Where imports are.")
def tune(
    file: str,
    values: tuple[str, ...],
    chip: str,
    jobs: int,
    limit: int,
    top: int,
    free: bool,
    write: bool,
    seed: int,
    search: tuple[str, ...],
) -> None:
    """Find tile sizes that take fewer cycles, by the simulator's model; nothing is computed.

    NAME is as for `run`. Sizes that the schedule sets stay, those of `tune` take its alternatives,
    all others are free; what a `where` line excludes is not tried. The answers are kept in the
    cache directory. What --write keeps, builds take where neither they nor the schedule set a size.
    """
    from tiledsl.driver import TARGETS
    from tiledsl.tuning import Choice, Subject
    from tiledsl.tuning import search as find
    from tiledsl.tuning.schedules import limits, opened, pasted, read_winners

    if chip not in TARGETS or chip.startswith("cuda.") or chip == "numpy":
        known = ", ".join(t for t in TARGETS if t.startswith("ascend"))
        raise click.ClickException(f"no chip `{chip}` with a cycle model; there are {known}")
    if write and free:
        raise click.UsageError("--write keeps sizes that the schedule leaves open: not with --free")
    if write and file.startswith("std:"):
        raise click.UsageError("--write: the library keeps no winners; copy the file")
    found = choose(file, parse(values), search)
    refuse_unknown(found.unknown, [found.kernel.header])
    if found.arrays:
        raise click.ClickException("tune draws its inputs: give sizes only")
    read_winners(found.module, found.kernel.name)
    path = str(found.module.path or found.module.source.name)
    subject = Subject(path, found.kernel.name, found.case.values, chip, seed, search)
    given, fixed = opened(found.module, found.kernel.name, chip)
    where, settled = limits(found.module, found.kernel.name, chip)
    start = Choice(tuple(sorted(found.tiles.items())))
    starts = (start, Choice(start.tiles, bare=True)) if free else (start,)
    if free:
        given, fixed = {}, frozenset()
    result = find(
        subject, given, fixed=fixed | set(found.tiles), starts=starts, limits=where,
        settled=settled, limit=limit, jobs=jobs,
    )  # fmt: skip
    click.echo(_head(found, chip, result))
    for line in _lines(result, top):
        click.echo(line)
    if result.best.answer.cycles is not None:
        click.echo()
        best = result.best.answer
        sizes = {name: size for name, size in best.tiles.items() if name not in best.apart}
        click.echo(pasted(found.module, found.kernel.name, chip, sizes), nl=False)
        if write:
            _write(subject, start, result)
    elif write:
        raise click.ClickException("no plan fits: nothing is kept")


def _write(subject: "Subject", start: "Choice", result: "Search") -> None:
    """Keep the winners of a search beside the files of the kernels."""
    from tiledsl.tuning.writing import keep

    kept = keep(subject, start, result)
    for path, text in kept.files.items():
        write_atomically(path, text)
        here = Path.cwd()
        place = path.relative_to(here) if path.is_relative_to(here) else path
        click.echo(f"\nkept in {place}" if kept.new else f"\n{place}: what was stale is gone")
    for name in kept.left:
        click.echo(f"note: `{name}` is of the library, which keeps no winners", err=True)
    if not kept.new and not kept.left:
        click.echo("note: no sizes are faster than what is built without: none kept", err=True)


def _head(found: Chosen, chip: str, result: "Search") -> str:
    many = len(result.tried)
    plans = "1 plan" if many == 1 else f"{many} plans"
    return f"{found.kernel.name} {found.case} on {chip}: {plans}, cycles by the model"


def _lines(result: "Search", top: int) -> list[str]:
    lines = [_line("as built", result.start, result)]
    for number, tried in enumerate(list(result.distinct())[:top], 1):
        lines.append(_line(f"{number}.", tried, result))
    return lines


def _line(label: str, tried: "Tried", result: "Search") -> str:
    sizes = ", ".join(f"{name} = {size}" for name, size in tried.answer.tiles.items())
    if tried.answer.cycles is None:
        return f"  {label:8}  {tried.answer.reason}"
    cycles = f"  {label:8} {tried.cycles:13,.0f}"
    if result.start.answer.cycles is not None:
        cycles += f"  {tried.cycles / result.start.cycles - 1:+7.1%}"
    return f"{cycles}  {sizes or 'no tile sizes'}"
