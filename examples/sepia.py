"""The sepia filter with its gradient: `python examples/sepia.py`.

Each pixel's colours are mixed by a table of 3 x 3 and cut off at 1; nothing comes back through a
colour that was cut off. Both run in the simulator on images, are compared with NumPy in f32, and
the gradient with differences of the filter itself, in f64. `--small` is one small image, `-o FILE`
writes the tables as Markdown.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tables import Cell, Page

import tiledsl
from tiledsl.chips import load

HERE = Path(__file__).parent
CHIP = "ascend910b3"
TABLE = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
TILES = (2048, 4096, 8192)
Array = np.ndarray[Any, Any]


def main() -> None:
    """Print the tables."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--small", action="store_true")
    words.add_argument("-o", "--output", type=Path)
    asked = words.parse_args()
    shapes = [(1, 64, 80)] if asked.small else [(1, 512, 512), (8, 224, 224), (1, 1080, 1920)]
    flag = " --small" if asked.small else ""
    page = Page(f"The sepia filter on {CHIP}", f"python examples/sepia.py{flag}", asked.output)
    rows = [row for shape in shapes for row in rows_of(shape)]
    page.table("The filter and its gradient, f16", rows, NOTES)
    page.table("The gradient against differences of the filter", differences())


NOTES = [
    "*error*: the largest difference from NumPy. *least*: cycles in which the bytes, each once,",
    "come from and go to HBM, without the launch, which takes 8,000 on 40 cores.",
]


def rows_of(shape: tuple[int, int, int]) -> list[dict[str, Cell]]:
    """Run both kernels on images; return a row for each."""
    many, high, wide = shape
    draw = np.random.default_rng(0)
    x = draw.uniform(0, 1, (many, 3, high, wide)).astype(np.float16)
    dy = draw.normal(size=x.shape).astype(np.float16)
    place = f"{many} x 3 x {high} x {wide}"
    return [
        row("filter", place, "sepia", {"x": x}, sepia(x.astype(np.float32))),
        row("gradient", place, "sepia_gradient", {"x": x, "dy": dy}, gradient(x, dy)),
    ]


def row(
    what: str, place: str, name: str, given: dict[str, Array], want: Array
) -> dict[str, Cell]:
    """Run a kernel with the tile size that takes the fewest cycles; return its row."""
    kernel = kernels()[name]
    runs = []
    for size in TILES:
        try:
            runs.append((kernel.run(given, chip=CHIP, tiles={"BS": size}), size))
        except tiledsl.CompileError:  # no room for that
            continue
    found, size = min(runs, key=lambda run: run[0].cycles or 0)
    (got,) = found.outputs.values()
    chip = load(CHIP)
    bytes_ = sum(array.nbytes for array in given.values()) + got.nbytes
    return {
        "": what,
        "images": place,
        "error": float(np.abs(got.astype(np.float32) - want).max()),
        "launches": found.launches,
        "kB": (found.moved or 0) // 1000,
        "cycles": found.cycles,
        "least": round(bytes_ / chip.hbm_bytes_per_second * chip.mhz * 1e6),
        "µs": found.microseconds,
        "BS": size,
    }


def kernels() -> tiledsl.Module:
    """Return both kernels."""
    return tiledsl.load(HERE / "models" / "sepia.tile")


def sepia(x: Array) -> Array:
    """Return the filtered images."""
    found: Array = np.minimum(np.einsum("ck,nkhw->nchw", TABLE.astype(x.dtype), x), 1)
    return found


def gradient(x: Array, dy: Array) -> Array:
    """Return the gradient of the filter at ``x``."""
    x, dy = x.astype(np.float32), dy.astype(np.float32)
    table = TABLE.astype(np.float32)
    kept = np.where(np.einsum("ck,nkhw->nchw", table, x) < 1, dy, 0)
    found: Array = np.einsum("ck,nchw->nkhw", table, kept)
    return found


def differences() -> list[dict[str, Cell]]:
    """Compare the kernel's gradient, in f32, with differences of the filter in f64."""
    draw = np.random.default_rng(1)
    x = draw.uniform(0, 1, (1, 3, 9, 11)).astype(np.float32)
    dy = draw.normal(size=x.shape).astype(np.float32)
    got = kernels()["sepia_gradient"](x, dy)
    assert isinstance(got, np.ndarray)
    near = slopes(lambda v: float((sepia(v) * dy).sum()), x.astype(np.float64))
    return [
        {
            "elements": x.size,
            "cut off": int((sepia(x) >= 1).sum()),
            "largest gradient": float(np.abs(near).max()),
            "error": float(np.abs(got - near).max()),
        }
    ]


def slopes(function: Callable[[Array], float], x: Array, step: float = 1e-6) -> Array:
    """Return the slope of ``function`` along each element of ``x``."""
    found = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        there, back = x.copy(), x.copy()
        there[at] += step
        back[at] -= step
        found[at] = (function(there) - function(back)) / (2 * step)
    return found


if __name__ == "__main__":
    main()
