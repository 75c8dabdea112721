"""What the backends share: the templates' environment, and a place to keep what was compiled."""

import os
import tempfile
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined


@cache
def templates() -> Environment:
    """Return the environment of all templates; a template's name is its path below `backends`."""
    folder = cache_directory("templates")
    return Environment(
        loader=PackageLoader("tiledsl.backends", "."),
        bytecode_cache=FileSystemBytecodeCache(str(folder)) if folder else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, kernel: object) -> str:
    """Lay out the view ``kernel`` by ``template``; the template calls it ``kernel``."""
    return templates().get_template(template).render(kernel=kernel)


def cache_directory(name: str) -> Path | None:
    """Return the folder ``name`` of the user's cache, made if need be; None if none can be made.

    ``TILEDSL_CACHE`` names another place than ``$XDG_CACHE_HOME/tiledsl`` or ``~/.cache/tiledsl``.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = os.environ.get("TILEDSL_CACHE") or os.path.join(base, "tiledsl")
    folder = Path(root) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None
