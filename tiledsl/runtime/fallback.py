"""A kernel in NumPy, as its tile IR reads, where a target cannot do what it asks for."""

from tiledsl.diagnostics import CompileError, Diagnostic
from tiledsl.ir import Kernel
from tiledsl.runtime.devices import Run
from tiledsl.runtime.launch import Launch
from tiledsl.testing.interpreter import interpret

NUMPY = "numpy"
_TILE = 64  # every tile size: programs are run one after the other, so few of them


def refused(error: CompileError) -> Diagnostic | None:
    """Return why the target cannot do it; `None` where something else is wrong, too.

    The codes that begin with L are those of targets: the kernel itself is right.
    """
    beyond = [d for d in error.diagnostics if d.code.startswith("L")]
    return beyond[0] if beyond and len(beyond) == len(error.diagnostics) else None


def explained(kernel: str, reason: Diagnostic) -> str:
    """Return one line: which kernel runs in NumPy, and why, with code and place."""
    return f"{kernel}: runs in NumPy: {reason.span!r}: [{reason.code}] {reason.message}"


def run_in_numpy(kernel: Kernel, launch: Launch, reason: Diagnostic | None = None) -> Run:
    """Run on the arrays of ``launch``, in place."""
    interpret(kernel, launch.arrays, launch.dims, launch.scalars, tile=_TILE)
    said = explained(kernel.name, reason) if reason else f"{kernel.name}: ran in NumPy"
    return Run(kernel.name, None, None, said + "\n")
