"""``profile``: where a kernel's cycles go: for people, a browser, Perfetto, and programs."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiledsl.cli.files import write_atomically
from tiledsl.cli.run import Chosen, choose, common
from tiledsl.cli.settings import parse, refuse_unknown, tile_sizes

if TYPE_CHECKING:
    from tiledsl.runtime.profile import Profile

_VALUE = re.compile(r"(\*|[A-Za-z_]\w*)=.")
_Pages = click.Path(dir_okay=False, path_type=Path)


@click.command()
@common
@click.argument("words", nargs=-1, metavar="FILE[:KERNEL] [NAME=VALUE]...")
@click.option("--cores", type=click.IntRange(1), help="Blocks, at most.")
@click.option("--schedule", metavar="TEXT", help="Directives, as `pipeline k depth 1; cores 8`.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--html", type=_Pages, help="Write a page with timeline, memory and roofline.")
@click.option("--trace", "events", type=_Pages, help="Write a trace that Perfetto opens.")
@click.option("--compare", is_flag=True, help="Two FILEs side by side; each may end in @BN=64.")
@click.option("--quick", is_flag=True, help="Try no other settings.")
def profile(
    words: tuple[str, ...],
    pairs: tuple[str, ...],
    chip: str | None,
    seed: int,
    search: tuple[str, ...],
    cores: int | None,
    schedule: str | None,
    as_json: bool,
    html: Path | None,
    events: Path | None,
    compare: bool,
    quick: bool,
) -> None:
    """Show where a kernel's cycles go, by the simulator's model; nothing is computed.

    NAME is as for `run`. What bounds the kernel is told in one sentence, with the best of the
    settings near by, which the model has tried. With --compare there are two FILEs, each with
    settings of its own after an @ where that is wanted: gemm.tile:gemm@BN=64,cores=8
    """
    from tiledsl.runtime.profile import compare as side_by_side

    files = [word for word in words if not _VALUE.match(word)]
    values = [word for word in words if _VALUE.match(word)]
    if len(files) != 1 + compare:
        wanted = "two files" if compare else "one file (--compare takes two)"
        raise click.UsageError(f"expected {wanted}, got {', '.join(files) or 'none'}")
    given, own = parse(values), [_with_settings(file) for file in files]
    found = [choose(file, given, search) for file, _ in own]
    unknown = set(found[0].unknown).intersection(*(f.unknown for f in found))
    refuse_unknown(sorted(unknown), [f.kernel.header for f in found])
    if schedule is not None:
        from tiledsl.driver import reschedule

        counts = [reschedule(f.module, f.kernel.name, schedule) for f in found]
        cores = cores or counts[0]
    profiles = [
        _profile(f, tile_sizes(pairs) | sizes, chip, seed, cores, quick or compare)
        for f, (_, sizes) in zip(found, own, strict=True)
    ]
    if html is not None:
        from tiledsl.simulator.page import page

        write_atomically(html, page([one for p in profiles for one in p.shown()]))
    if events is not None:
        from tiledsl.simulator.timeline import chrome_trace

        parts = [part.trace for p in profiles for part in p.parts]
        write_atomically(events, json.dumps(chrome_trace(parts)))
    if as_json:
        click.echo(json.dumps([p.json() for p in profiles] if compare else profiles[0].json()))
        return
    click.echo(side_by_side(*profiles) if compare else profiles[0].text())


def _with_settings(word: str) -> tuple[str, dict[str, int]]:
    """Return the parts of ``FILE:KERNEL@NAME=SIZE,…``."""
    file, at, settings = word.rpartition("@")
    if not at or "=" not in settings:
        return word, {}
    return file, tile_sizes(settings.split(","))


def _profile(
    chosen: Chosen, sizes: dict[str, int], chip: str | None, seed: int, cores: int | None,
    quick: bool,
) -> "Profile":  # fmt: skip
    from tiledsl.runtime.profile import Setting
    from tiledsl.runtime.profile import profile as count
    from tiledsl.testing.inputs import Inputs

    inputs = Inputs(chosen.kernel, chosen.case, chosen.plan, seed, chosen.arrays, zeros=True)
    tiles = {**sizes, **chosen.tiles}
    setting = Setting(chip, tiles, tiles.pop("cores", cores))
    return count(
        chosen.kernel, inputs.arguments, setting, inputs.types, inputs.dims, trials=not quick
    )
