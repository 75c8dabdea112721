"""``check`` and ``fmt``: what is done to sources alone."""

import difflib
import json
import sys
from pathlib import Path

import click

from tiledsl.cli.files import tile_files, write_atomically

FILES = click.argument("paths", nargs=-1, required=True, metavar="FILE...")


@click.command()
@FILES
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of diagnostics.")
def check(paths: tuple[str, ...], as_json: bool) -> None:
    """Say what is wrong with files, or with the .tile files in folders."""
    from tiledsl.driver import check_file

    files = tile_files(paths)
    found = {d: None for path in files for d in check_file(path)}
    errors = sum(d.severity == "error" for d in found)
    if as_json:
        click.echo(json.dumps([d.json() for d in found], indent=2))
    else:
        for diagnostic in found:
            click.echo(diagnostic.render(), err=True)
        click.echo(_summary(len(files), errors, len(found) - errors), err=True)
    sys.exit(1 if errors else 0)


@click.command()
@FILES
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail if it would.")
@click.option("--diff", is_flag=True, help="Print the changes; make none.")
def fmt(paths: tuple[str, ...], only_check: bool, diff: bool) -> None:
    """Bring files into the one form, in place; `-` reads standard input."""
    from tiledsl.diagnostics import CompileError
    from tiledsl.source import Source
    from tiledsl.syntax.formatter import format_source
    from tiledsl.syntax.parser import read_source

    if paths == ("-",):
        try:
            text = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise click.ClickException(f"standard input is not UTF-8: {error.reason}") from None
        click.echo(format_source(Source("<stdin>", text)), nl=False)
        return
    failed = changed = False
    for path in tile_files(paths):
        try:
            source = read_source(path)
            formatted = format_source(source)
        except CompileError as error:
            click.echo(str(error), err=True)
            failed = True
            continue
        if formatted == source.text:
            continue
        changed = True
        if diff:
            click.echo(_difference(path, source.text, formatted), nl=False)
        elif only_check:
            click.echo(f"{path}: would change")
        else:
            write_atomically(path, formatted)
            click.echo(f"{path}: formatted")
    sys.exit(1 if failed or (changed and only_check) else 0)


def _difference(path: Path, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), str(path), str(path)
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _summary(files: int, errors: int, warnings: int) -> str:
    def count(number: int, word: str) -> str:
        return f"{number} {word}{'' if number == 1 else 's'}"

    parts = [count(files, "file"), count(errors, "error"), count(warnings, "warning")]
    return ", ".join(parts)
