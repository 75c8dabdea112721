"""``build``: the files for one target or more."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiledsl.cli.files import file_and_kernel, write_tree
from tiledsl.cli.settings import Settings, Value, parse, refuse_unknown, sort_out
from tiledsl.cli.stages import stages

if TYPE_CHECKING:
    from tiledsl.runtime.kernel import Kernel, Module


@click.command()
@click.argument("file", metavar="FILE[:KERNEL]")
@click.option("-t", "--target", "targets", multiple=True, help="What for; may be repeated.")
@click.option("-o", "--output", type=click.Path(file_okay=False), default="build", metavar="DIR")
@click.option(
    "-s",
    "--set",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="A tile size, element type, dim (which pins it) or const parameter.",
)
@click.option("--dump-ir", "stage", metavar="STAGE", help="Print a stage and write nothing.")
@click.option("--debug", is_flag=True, help="Keep print and assert.")
@click.option(
    "--fallback",
    type=click.Choice(["numpy"]),
    help="Make a module that runs a kernel in NumPy where a target cannot do it.",
)
@click.option("-I", "--search", multiple=True, metavar="DIR", help="Where imports are looked for.")
@click.option("-q", "--quiet", is_flag=True, help="Do not list the files.")
def build(
    file: str,
    targets: tuple[str, ...],
    output: str,
    pairs: tuple[str, ...],
    stage: str | None,
    debug: bool,
    fallback: str | None,
    search: tuple[str, ...],
    quiet: bool,
) -> None:
    """Make the files for each target, in DIR/TARGET/KERNEL.

    Generics without --set take their first type. STAGE is tree, ir, after:PASS or
    program.
    """
    from tiledsl.cli.fallback import NumpyModule
    from tiledsl.driver import TARGETS, load_checked

    path, name = file_and_kernel(file)
    for target in targets:
        if target not in TARGETS:
            raise click.ClickException(f"no target `{target}`; there are {', '.join(TARGETS)}")
    if not targets and stage is None:
        raise click.ClickException(f"give --target; there are {', '.join(TARGETS)}")
    folders = tuple(map(Path, search))
    module, found = load_checked(path, search=folders)
    kernels = chosen(found, name)
    jobs = list(_jobs(kernels, parse(pairs)))
    if stage is not None:
        for kernel, settings in jobs:
            for text in stages(kernel, settings, targets, stage, debug):
                click.echo(text)
        return
    for kernel, settings in jobs:
        for target in targets:
            files = kernel.build(
                target,
                types=settings.types,
                consts={n: _number(n, v) for n, v in settings.parameters.items()},
                dims=settings.dims,
                tiles=settings.tiles,
                fallback=NumpyModule(module, folders) if fallback else None,
                debug=debug,
            )
            written = write_tree(
                Path(output), {f"{target}/{kernel.name}/{n}": text for n, text in files.items()}
            )
            if not quiet:
                for place in written:
                    click.echo(str(place))


def chosen(module: "Module", name: str | None) -> "list[Kernel]":
    """Return the kernel of that name, or all."""
    from tiledsl.runtime.binding import did_you_mean

    if name is None:
        return list(module.values())
    if name not in module:
        near = did_you_mean(name, module) or f"; there are {', '.join(module) or 'none'}"
        raise click.ClickException(f"{module.name}: has no kernel `{name}`{near}")
    return [module[name]]


def _jobs(kernels: "list[Kernel]", values: dict[str, Value]) -> "Iterator[tuple[Kernel, Settings]]":
    """Yield each kernel with its settings; a name that no kernel knows is an error."""
    missing = set(values)
    found = []
    for kernel in kernels:
        settings, unknown = sort_out(kernel.header, values)
        missing &= set(unknown)
        found.append((kernel, settings))
    refuse_unknown(sorted(missing), (k.header for k in kernels))
    yield from found


def _number(name: str, value: Value) -> int | float | bool:
    if isinstance(value, str):
        raise click.ClickException(f"{name}: expected a number, got `{value}`")
    return value
