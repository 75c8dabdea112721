"""``profile``: where a kernel's cycles go: for people, a browser, Perfetto, and programs."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiledsl.cli.files import write_atomically
from tiledsl.cli.run import Chosen, choose, common
from tiledsl.cli.settings import parse, refuse_unknown, tile_sizes

if TYPE_CHECKING:
    from tiledsl.runtime.profile import Profile

_VALUE = re.compile(r"(\*|[A-Za-z_]\w*)=.")
_SIZES = re.compile(r"[\w*]+=\w+(,[\w*]+=\w+)*")
_Pages = click.Path(dir_okay=False, path_type=Path)


@click.command()
@common
@click.argument("words", nargs=-1, metavar="FILE[:KERNEL] [NAME=VALUE]...")
@click.option("--cores", type=click.IntRange(1), help="Blocks, at most.")
@click.option("--schedule", metavar="TEXT", help="Directives, as `pipeline k depth 1; cores 8`.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--html", type=_Pages, help="Write a page with timeline, memory and roofline.")
@click.option("--trace", "events", type=_Pages, help="Write a trace that Perfetto opens.")
@click.option("--compare", is_flag=True, help="Two FILEs side by side; each may end in @BN=64;….")
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
    settings and directives of its own after an @ where that is wanted:
    "gemm.tile:gemm@BN=64,cores=8; place acc in gm"
    """
    from tiledsl.runtime.profile import compare as side_by_side

    files = [word for word in words if not _VALUE.match(word)]
    values = [word for word in words if _VALUE.match(word)]
    if len(files) != 1 + compare:
        wanted = "two files" if compare else "one file (--compare takes two)"
        raise click.UsageError(f"expected {wanted}, got {', '.join(files) or 'none'}")
    given, sides = parse(values), [_side(file) for file in files]
    found = [choose(side.file, given, search) for side in sides]
    unknown = set(found[0].unknown).intersection(*(f.unknown for f in found))
    refuse_unknown(sorted(unknown), [f.kernel.header for f in found])
    common_sizes = tile_sizes(pairs)
    profiles = []
    for side, one in zip(sides, found, strict=True):
        blocks = _scheduled(one, [*([schedule] if schedule else []), *side.directives])
        sizes = common_sizes | side.sizes
        profile = _profile(one, sizes, chip, seed, cores or blocks, quick or compare)
        profiles.append(replace(profile, name=f"{profile.name}{side.words}"))
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


@dataclass(frozen=True, slots=True)
class _Side:
    """What ``FILE@NAME=SIZE,…; DIRECTIVE; …`` asks for; ``words`` are those from the @ on."""

    file: str
    sizes: dict[str, int] = field(default_factory=dict)
    directives: tuple[str, ...] = ()
    words: str = ""


def _side(word: str) -> _Side:
    file, at, settings = word.rpartition("@")
    lines = [line.strip() for line in settings.split(";")]
    if not at or not all(" " in line or "=" in line for line in lines):
        return _Side(word)
    sizes = [line for line in lines if _SIZES.fullmatch(line)]
    directives = tuple(line for line in lines if line not in sizes)
    return _Side(file, tile_sizes(",".join(sizes).split(",")) if sizes else {}, directives,
                 f"@{settings}")  # fmt: skip


def _scheduled(chosen: Chosen, directives: list[str]) -> int | None:
    """Let directives hold for a kernel; return the number of blocks, if they name it."""
    from tiledsl.driver import reschedule

    if not directives:
        return None
    return reschedule(chosen.module, chosen.kernel.name, ";".join(directives))


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
