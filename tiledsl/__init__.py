"""A tile language for NPU and GPU kernels: one source, three targets, and a simulator."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiledsl.diagnostics import CompileError, Diagnostic
    from tiledsl.driver import load
    from tiledsl.runtime.errors import ArgumentError, AssertionFailedError, DeviceError
    from tiledsl.runtime.kernel import Kernel, Module, Result

__version__ = "0.1.0"
__all__ = [
    "ArgumentError", "AssertionFailedError", "CompileError", "DeviceError", "Diagnostic", "Kernel",
    "Module", "Result", "__version__", "load",
]  # fmt: skip

# The command line must start without NumPy: names are imported when they are first used.
_HOMES = {
    "ArgumentError": "tiledsl.runtime.errors",
    "AssertionFailedError": "tiledsl.runtime.errors",
    "CompileError": "tiledsl.diagnostics",
    "DeviceError": "tiledsl.runtime.errors",
    "Diagnostic": "tiledsl.diagnostics",
    "Kernel": "tiledsl.runtime.kernel",
    "Module": "tiledsl.runtime.kernel",
    "Result": "tiledsl.runtime.kernel",
    "load": "tiledsl.driver",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tiledsl' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
