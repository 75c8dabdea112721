"""``NAME=VALUE`` on the command line: element types, parameters, dims, tile sizes."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

import click

from tiledsl.runtime.binding import Header
from tiledsl.syntax import tree
from tiledsl.syntax.walk import walk
from tiledsl.types import DTYPES

Value = int | float | bool | str


@dataclass(slots=True)
class Settings:
    """What was set, sorted by what the names are in one kernel."""

    types: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    tiles: dict[str, int] = field(default_factory=dict)


def parse(pairs: Iterable[str]) -> dict[str, Value]:
    """Return the values by name; a usage error where a pair has not the form ``NAME=VALUE``."""
    found: dict[str, Value] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name or not text:
            raise click.UsageError(f"`{pair}` has not the form NAME=VALUE")
        found[name] = value_of(text)
    return found


def tile_sizes(pairs: Iterable[str]) -> dict[str, int]:
    """Return the tile sizes that pairs ``NAME=SIZE`` set."""
    return {name: _integer(name, value) for name, value in parse(pairs).items()}


def value_of(text: str) -> Value:
    """Return the number or truth value that ``text`` spells, else the text itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text.replace("_", ""))
        except ValueError:
            continue
    return text


def sort_out(header: Header, values: dict[str, Value]) -> tuple[Settings, list[str]]:
    """Return the settings for one kernel, and the names that it does not know."""
    settings, unknown = Settings(), []
    generics = {g.name.id for g in header.generics}
    params = {p.name.id for p in header.params}
    dims, tiles = dim_names(header), tile_names(header)
    for name, value in values.items():
        if name in generics:
            if str(value) not in DTYPES:
                raise click.ClickException(f"{name}: `{value}` is no element type")
            settings.types[name] = str(value)
        elif name in params:
            settings.parameters[name] = value
        elif name in dims:
            settings.dims[name] = _integer(name, value)
        elif name in tiles or name == "*":
            settings.tiles[name] = _integer(name, value)
        else:
            unknown.append(name)
    return settings, unknown


def refuse_unknown(unknown: Iterable[str], headers: Iterable[Header]) -> None:
    """Raise an error for the first name that no kernel knows."""
    for name in unknown:
        known = sorted({n for header in headers for n in _names(header)})
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known) or 'none'}"
        raise click.ClickException(f"nothing is called `{name}`; {hint}")


def dim_names(header: Header) -> set[str]:
    """Return the dims in the types of the parameters and outputs."""
    params = {p.name.id for p in header.params}
    found: set[str] = set()
    for param in (*header.params, *header.outputs):
        for dim in param.type.dims or ():
            found |= {node.id for node in walk(dim) if isinstance(node, tree.Name)}
    functions = {"ceil_div", "min", "max"}
    return {name for name in found if name not in params | functions}


def tile_names(header: Header) -> set[str]:
    """Return the names after ``by``."""
    found: set[str] = set()
    for node in walk(header.body):
        if isinstance(node, tree.Range) and isinstance(node.by, tree.Name):
            found.add(node.by.id)
    return found - {p.name.id for p in header.params}


def _names(header: Header) -> set[str]:
    generics = {g.name.id for g in header.generics}
    params = {p.name.id for p in header.params}
    return generics | params | dim_names(header) | tile_names(header)


def _integer(name: str, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise click.ClickException(f"{name}: expected an integer, got `{value}`")
    return value
