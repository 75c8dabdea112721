"""Paths on the command line: what they name, and files written whole or not at all."""

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import click


def tile_files(paths: Iterable[str]) -> list[Path]:
    """Return the files, and the ``.tile`` files inside the folders, in order and once."""
    from tiledsl.driver import located

    found: dict[Path, None] = {}
    for text in paths:
        path = located(text)
        if path.is_dir():
            inside = sorted(path.rglob("*.tile"))
            if not inside:
                raise click.ClickException(f"{path}: there are no .tile files in it")
            found |= dict.fromkeys(inside)
        else:
            found[path] = None
    return list(found)


def file_and_kernel(text: str) -> tuple[Path, str | None]:
    """Return the parts of ``FILE:KERNEL`` or ``std:NAME:KERNEL``; the kernel may lack."""
    from tiledsl.driver import located

    if text.startswith("std:"):
        module, _, kernel = text.removeprefix("std:").partition(":")
        return located(f"std:{module}"), kernel or None
    path, _, name = text.rpartition(":")
    if path and not Path(text).exists() and re.fullmatch(r"[A-Za-z_]\w*", name):
        return Path(path), name
    return Path(text), None


def write_atomically(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it: no one ever sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_tree(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write ``files`` (names may have folders) under ``folder``; nothing lands outside of it."""
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    written: list[Path] = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(root):
            raise click.ClickException(f"{path}: is outside of {folder}")
        write_atomically(path, text)
        written.append(path)
    return written
