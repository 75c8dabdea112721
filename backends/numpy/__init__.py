"""NumPy: an NPU program as a readable Python module, which the simulator runs."""

from tiledsl.backends.backend import render
from tiledsl.backends.numpy.view import view
from tiledsl.npu.program import Program

__all__ = ["emit"]


def emit(program: Program) -> dict[str, str]:
    """Return the module of ``program``: one function for each kind of core."""
    module = view(program)
    return {module.file: render("numpy/templates/program.py.j2", module)}
