"""``build --fallback numpy``: the files of a kernel that a target cannot do."""

import keyword
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiledsl.check.modules import KERNELS, LIBRARY
from tiledsl.ir import ScalarParam
from tiledsl.runtime.fallback import explained

if TYPE_CHECKING:
    from tiledsl.check import Module
    from tiledsl.diagnostics import Diagnostic
    from tiledsl.ir import Kernel

_SOURCES = "tile"  # the folder of the .tile files beside the module


@dataclass(frozen=True, slots=True)
class NumpyModule:
    """Makes a Python module that runs one kernel in NumPy and warns that it does."""

    module: "Module"
    search: tuple[Path, ...] = ()

    def __call__(self, kernel: "Kernel", reason: "Diagnostic") -> dict[str, str]:
        """Return the module and the ``.tile`` files that it reads; say so on standard error."""
        said = explained(kernel.name, reason)
        click.echo(f"warning: {said}", err=True)
        known = self.module.kernels.get(kernel.name)
        home = known.module if known is not None else self.module
        places = _places(home)
        root = Path(os.path.commonpath([path.parent for path in places.values()]))
        texts = {m: path.relative_to(root).as_posix() for m, path in places.items()}
        folders = [
            folder.resolve().relative_to(root).as_posix()
            for folder in self.search
            if folder.resolve().is_relative_to(root)
        ]
        files = {f"{kernel.name}_numpy.py": _python(kernel, said, texts[home], folders)}
        return files | {f"{_SOURCES}/{name}": m.source.text for m, name in texts.items()}


def _places(home: "Module") -> "dict[Module, Path]":
    """Return a module and all that it imports, but the library, with their files."""
    return {m: m.path for m in dict.fromkeys(_imported(home)) if m.path is not None}


def _imported(module: "Module") -> "Iterator[Module]":
    yield module
    for other in module.imports.values():
        if other.path is None or other.path.parent not in (LIBRARY, KERNELS):
            yield from _imported(other)


def _python(kernel: "Kernel", said: str, source: str, folders: list[str]) -> str:
    names = [param.name for param in kernel.params]
    binding = kernel.binding
    given = ", ".join(
        [*(f"{name!r}: {_word(name)}" for name in names), *_constants(binding.consts)]
    )
    types = {name: str(dtype) for name, dtype in binding.types}
    outputs = ", ".join(t.name for t in kernel.outputs) or "what was updated in place"
    return f'''"""{kernel.name} in NumPy, as `tiledsl build --fallback numpy` made it."""

import warnings as _warnings
from pathlib import Path as _Path

import tiledsl as _tiledsl

REASON = {said!a}

_SOURCES = _Path(__file__).resolve().parent / {_SOURCES!r}
_SEARCH = tuple(_SOURCES / folder for folder in {[".", *folders]!a})
_KERNEL = _tiledsl.load(_SOURCES / {source!a}, search=_SEARCH)[{kernel.name!r}]


def {_word(kernel.name)}({", ".join([*_parameters(kernel), "**_dims"])}):
    """Return {outputs}, by name, and warn that this runs in NumPy.

    Dims that no argument shows are given by name.
    """
    _warnings.warn(REASON, RuntimeWarning, stacklevel=2)
    given = {{{given}}}
    dims = {dict(binding.pinned)!r} | _dims
    return _KERNEL.run(given, device="numpy", types={types!r}, dims=dims).outputs
'''


def _word(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def _parameters(kernel: "Kernel") -> list[str]:
    """Return the parameters of the function; the kernel knows the defaults."""
    words: list[str] = []
    optional = True
    for param in reversed(kernel.params):
        optional = optional and isinstance(param, ScalarParam) and param.default is not None
        words.insert(0, _word(param.name) + ("=None" if optional else ""))
    return words


def _constants(consts: tuple[tuple[str, int | float | bool], ...]) -> "Iterator[str]":
    """Yield the entries of a dict of Python, in which an infinity needs a call."""
    for name, value in consts:
        yield f"{name!r}: {value!r}" if math.isfinite(value) else f"{name!r}: float('{value}')"
