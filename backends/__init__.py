"""The backends: one folder each, and a line in the table."""

from importlib import import_module
from types import ModuleType

# Each module has ``emit(program) -> {file name: text}``; it is imported when it is asked for, so
# that a build for one target does not pay for the others.
BACKENDS = {
    "ascend": "tiledsl.backends.ascend",
    "cuda": "tiledsl.backends.cuda",
    "numpy": "tiledsl.backends.numpy",
}


def backend(name: str) -> ModuleType:
    """Return the module of the backend ``name``."""
    return import_module(BACKENDS[name])
