"""What simulating costs beside plain NumPy, in CPU time: `python benchmarks/simulator.py`.

Both run in this process with one BLAS thread; the simulator counts cycles. `-o FILE` writes the
table as Markdown.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import datetime
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

import tiledsl
from tiledsl.chips import load as load_chip
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.runtime.binding import specialise
from tiledsl.runtime.kernel import Kernel
from tiledsl.runtime.launch import prepare
from tiledsl.simulator import simulate
from tiledsl.simulator.values import load

HERE = Path(__file__).parent
CHIP = "ascend910b3"
REPEAT = 7
NOTES = (
    "A launch is remembered by its sizes: classes, cycles, and the NumPy calls that compute it.",
    "*Simulator* is a launch whose sizes were seen before, whatever the data; *first launch*: the",
    "sizes are new, the kernel is compiled. *No classes*: the program does not say which of its",
    "programs are alike, as where data decides their sizes; all run together until they part.",
    "*First with hazards*: the order of every access is checked too, and who writes what; that is",
    "remembered as well, unless numbers out of tiles decide what happens.",
    "",
    "A first launch pays for counting cycles and for recording the calls. `int8` takes 3.3 to",
    "4.6 ms, depending on whether the memory of its outputs is there or has to be had from",
    "the system, NumPy 5 to 11 for the same reason: of a score of runs on 2026-11-21 one gave",
    "0.35, most 0.60 to 0.72. Tried: larger chunks (0 to 5% less; attention then takes 5%",
    "more), no magnitudes written down for their maximum (no gain), maximum and minimum in",
    "one call (kept, no gain to be measured).",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel on some arrays, beside what a person would write with NumPy.

    ``fallback`` is the goal where the program does not tell its classes, if there is one.
    """

    name: str
    kernel: str
    inputs: Callable[[], dict[str, Array | float]]
    plain: Callable[..., object]
    goal: float
    tiles: Mapping[str, int]
    fallback: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """CPU times as multiples of plain NumPy's, whose own is in milliseconds."""

    plain: float
    ratio: float
    fallback: float
    first: float
    hazards: float


def main() -> None:
    """Print a line a kernel."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("names", nargs="*", help="rows to run, by the start of their names")
    words.add_argument("-o", "--output", type=Path)
    asked = words.parse_args()
    lines = [
        "| kernel | NumPy, ms | simulator | goal | no classes | goal | first launch "
        "| first with hazards |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    print(*lines, sep="\n")
    for row in rows():
        if asked.names and not row.name.startswith(tuple(asked.names)):
            continue
        lines.append(line_of(row, figures(row)))
        print(lines[-1], flush=True)
    if asked.output:
        asked.output.write_text(page(lines), encoding="utf-8")


def rows() -> list[Row]:
    """Return what is measured."""
    few = partial(normal, x=(1024, 4096))
    norm = partial(normal, x=(1024, 4096), w=(4096,), b=(4096,))
    one = partial(normal, x=(1_000_003,), y=(1_000_003,))
    heads = (8, 1024, 64)
    return [
        Row("vector add, BN 1024", "vector_add", one, np.add, 3, {"BN": 1024}, 20),
        Row("vector add, BN 8192", "vector_add", one, np.add, 2.5, {"BN": 8192}, 3),
        Row("softmax 1024x4096 f32", "softmax", few, softmax, 1.3, {}),
        Row("layer norm 1024x4096 f32", "layer_norm", norm, layer_norm, 1.3, {}),
        Row(
            "GEMM 1024x1024x1024 f16", "product",
            partial(normal, np.float16, a=(1024, 1024), b=(1024, 1024)), product, 1.3,
            {"BM": 128, "BN": 128, "BK": 64},
        ),
        Row(
            "causal attention 8x1024x64 f16", "causal_attention",
            partial(normal, np.float16, q=heads, k=heads, v=heads, scale=0.125), attention, 0.75,
            {},
        ),
        Row("int8 there and back 1024x4096", "quantise", few, quantise, 0.6, {}),
    ]  # fmt: skip


def normal(
    dtype: type[np.floating] = np.float32, **shapes: tuple[int, ...] | float
) -> dict[str, Array | float]:
    """Return normally distributed arrays, and numbers as they are."""
    draw = np.random.default_rng(0)
    return {
        name: shape if isinstance(shape, float) else draw.standard_normal(shape).astype(dtype)
        for name, shape in shapes.items()
    }


def softmax(x: Array) -> Array:
    """Return the softmax of each row."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    result: Array = e / e.sum(axis=1, keepdims=True)
    return result


def layer_norm(x: Array, w: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return each row with mean 0 and variance 1, scaled and shifted, with both."""
    mean = x.mean(axis=1, keepdims=True)
    d = x - mean
    rstd = 1 / np.sqrt((d * d).mean(axis=1, keepdims=True) + np.float32(1e-5))
    return d * rstd * w + b, mean, rstd


def product(a: Array, b: Array) -> Array:
    """Return the product, summed in f32."""
    found: Array = np.matmul(a.astype(np.float32), b.astype(np.float32))
    return found


def attention(q: Array, k: Array, v: Array, scale: float) -> Array:
    """Return causal attention by way of the whole matrix of scores."""
    q, k, v = (x.astype(np.float32) for x in (q, k, v))
    s = q @ k.transpose(0, 2, 1) * np.float32(scale)
    s = np.where(np.tri(s.shape[1], dtype=bool), s, np.float32(-np.inf))
    p = np.exp(s - s.max(axis=2, keepdims=True))
    return np.asarray(p @ v / p.sum(axis=2, keepdims=True)).astype(np.float16)


def quantise(x: Array) -> tuple[Array, Array, Array]:
    """Return codes of eight bits with a scale for each row, and what they stand for."""
    scale = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    q = np.clip(np.rint(x / scale), -128, 127).astype(np.int8)
    return q, scale, q.astype(np.float32) * scale


def figures(row: Row) -> Figures:
    """Measure one kernel."""
    kernel, inputs = kernels()[row.kernel], row.inputs()
    graph = kernel.instance(specialise(kernel.header, dict(inputs), {}))
    program = kernel.compiled(graph, CHIP, row.tiles, debug=True)[0].program  # as `run` does
    assert isinstance(program, Program)
    unclassed, chip = replace(program, uniform=None), load_chip(CHIP)
    run = partial(kernel.run, inputs, chip=CHIP, tiles=row.tiles)
    forget = load(program).launches.clear

    def fallback() -> None:
        launch = prepare(graph, dict(inputs), {}, fill=False)
        simulate(
            unclassed, launch.arrays, launch.dims, launch.scalars, chip, fill=launch.fill
        )

    plain, *others = milliseconds(
        (nothing, partial(row.plain, *inputs.values())), (nothing, run), (nothing, fallback),
        (forget, run), (forget, partial(run, hazards=True)),
    )  # fmt: skip
    return Figures(plain, *(time / plain for time in others))


def nothing() -> None:
    """Do nothing."""


@cache
def kernels() -> dict[str, Kernel]:
    """Return the kernels of the examples and of this benchmark, by name."""
    paths = [*sorted((HERE.parent / "examples").glob("*.tile")), HERE / "simulator.tile"]
    return {name: kernel for path in paths for name, kernel in tiledsl.load(path).items()}


def milliseconds(*works: tuple[Callable[[], None], Callable[[], object]]) -> list[float]:
    """Return the median CPU time of each, warm; they take turns, so that noise meets them all.

    What comes first in a pair is done before, each time.
    """
    times: list[list[float]] = [[] for _ in works]
    for turn in range(REPEAT + 1):
        for (before, work), taken in zip(works, times, strict=True):
            before()
            if before is nothing:
                work()  # what others did to the caches is not counted
            start = time.process_time()
            work()
            if turn:
                taken.append(time.process_time() - start)
    return [statistics.median(taken) * 1e3 for taken in times]


def line_of(row: Row, found: Figures) -> str:
    """Return a row of the table."""
    alone = "" if row.fallback is None else f"≤ {row.fallback:g}"
    return (
        f"| {row.name} | {found.plain:.2f} | {found.ratio:.2f} | ≤ {row.goal:g} "
        f"| {found.fallback:.2f} | {alone} | {found.first:.1f} | {found.hazards:.1f} |"
    )


def page(lines: list[str]) -> str:
    """Return the table with the machine and the day."""
    day = datetime.datetime.now(datetime.UTC).date()
    return "\n".join([
        "# The simulator beside plain NumPy", "",
        f"`python benchmarks/simulator.py -o benchmarks/results/simulator.md`, {day}, {machine()},",
        f"NumPy {np.__version__}, one BLAS thread; median CPU time of {REPEAT} runs in a process.",
        "The figures are multiples of plain NumPy's time. The simulator runs each kernel with",
        f"values and cycles on {CHIP}.",
        "", *lines, "", *NOTES, "",
    ])  # fmt: skip


def machine() -> str:
    """Return the processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return f"{len(names)} cores of {names[0]}" if names else platform.processor()


if __name__ == "__main__":
    main()
