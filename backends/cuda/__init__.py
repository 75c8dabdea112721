"""CUDA C++: a kernel, its launcher in C, and what builds them."""

from functools import cache
from importlib.resources import files

from tiledsl.backends.backend import render
from tiledsl.backends.cuda.view import view
from tiledsl.gpu.program import Program

HEADER = "tiledsl_cuda.cuh"
HOST_HEADER = "tiledsl_host.h"


def emit(program: Program) -> dict[str, str]:
    """Return the files of ``program``, by name."""
    kernel = view(program)
    return {
        f"{program.name}.cu": render("cuda/templates/kernel.cu.j2", kernel),
        f"{program.name}.h": render("cuda/templates/launcher.h.j2", kernel),
        "CMakeLists.txt": render("cuda/templates/CMakeLists.txt.j2", kernel),
        HEADER: header(HEADER),
    }


@cache
def header(name: str) -> str:
    """Return the text of a header that every kernel includes."""
    return (files("tiledsl.backends.cuda") / "include" / name).read_text(encoding="utf-8")
