"""Ascend C: a kernel, its tiling header, a host launcher with a C interface, a CMakeLists.txt."""

from pathlib import Path

from tiledsl.backends.ascend.view import KernelWords, view
from tiledsl.backends.backend import render
from tiledsl.npu.program import Program

HERE = Path(__file__).parent
_HEADERS = ("tiledsl_ascend.h", "tiledsl_cube.h", "tiledsl_scalar.h")


def emit(program: Program) -> dict[str, str]:
    """Return the files of ``program``: those named after it, and the headers that they include."""
    words = view(program)
    name = program.name
    return {
        f"{name}.cpp": render("ascend/templates/kernel.cpp.j2", words),
        f"{name}_tiling.h": render("ascend/templates/tiling.h.j2", words),
        f"{name}_host.cpp": render("ascend/templates/host.cpp.j2", words),
        "CMakeLists.txt": render("ascend/templates/CMakeLists.txt.j2", words),
        **{header: (HERE / "include" / header).read_text() for header in headers(words)},
    }


def headers(words: KernelWords) -> tuple[str, ...]:
    """Return the headers of leaf operations that the kernel includes."""
    return (*_HEADERS, "tiledsl_unified.h") if words.unified else _HEADERS


def host_entry(words: KernelWords) -> str:
    """Return the source with which the kernel runs on the model of Ascend C in ``host/``."""
    return render("ascend/templates/run.cpp.j2", words)


__all__ = ["emit", "headers", "host_entry", "view"]
