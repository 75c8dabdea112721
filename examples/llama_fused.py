"""A decoder layer in 8 launches instead of 17: `python examples/llama_fused.py`.

The layer of `llama_layer.py`, in which one product gives q, k and v, one kernel turns them and
writes the cache, residual sums end the products before them, and gate and up are one kernel with
SwiGLU behind it. Compared with the NumPy model, and beside the separate kernels: launches, bytes,
cycles. `--small` is for tests.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads slow the simulator's products down

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from chain import Array, Call, Chain
from llama_layer import (
    DTYPES,
    EPS,
    LARGE,
    SMALL,
    TOLERANCE,
    Attend,
    Cache,
    Phase,
    Plain,
    Shape,
    Weights,
    angles,
    cache_of,
    layer,
    model,
    run_phases,
    tokens_of,
    weights_of,
)
from tables import Cell, Page

# What each launch stands for, and the operator whose result it gives.
PARTS = {
    "RMS norm": ("RMS norm",),
    "q, k, v": ("projection q", "projection k", "projection v"),
    "rope and cache": ("rope of q", "rope of k", "k to cache", "v to cache"),
    "attention": ("attention",),
    "o and sum": ("projection o", "residual sum"),
    "RMS norm 2": ("RMS norm 2",),
    "gate, up, SwiGLU": ("projection gate", "projection up", "SwiGLU"),
    "down and sum": ("projection down", "residual sum 2"),
}


def main() -> None:
    """Print both forms side by side, for the prompts and for a token of each sequence."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--small", action="store_true", help="sizes for tests")
    words.add_argument("--type", choices=DTYPES, default="f16", help="the element type")
    words.add_argument("-o", "--output", type=Path, help="a Markdown file for the tables")
    asked = words.parse_args()
    shape = SMALL if asked.small else LARGE
    command = f"python examples/llama_fused.py --type {asked.type}"
    command += " --small" if asked.small else ""
    page = Page("A decoder layer, fused", command, asked.output)
    separate, fused = run(shape, asked.type, Chain())
    for apart, together in ((separate[0], fused[0]), (separate[-1], fused[-1])):
        page.table(f"{together.name}: {shape}, {asked.type}", rows(apart, together), [
            f"The output is off by {together.error:.2g} of its largest number, separate by",
            f"{apart.error:.2g}; the tests allow {TOLERANCE[asked.type]:g}.",
        ])  # fmt: skip


def run(shape: Shape, dtype: str, chain: Chain, seed: int = 0) -> tuple[list[Phase], list[Phase]]:
    """Run the layer by separate kernels and by fused ones, on the same tokens."""
    draw = np.random.default_rng(seed)
    weights = weights_of(shape, dtype, draw)
    tokens = tokens_of(shape, dtype, draw)
    wanted = model(shape, weights, tokens)
    cache, again = (cache_of(shape, dtype, np.random.default_rng(seed)) for _ in range(2))
    apart = partial(layer, chain, shape, weights, Plain(chain, weights))
    qkv = np.concatenate([weights[name] for name in ("q", "k", "v")])
    together = partial(fused_layer, chain, shape, weights | {"qkv": qkv})
    return (
        run_phases(chain, shape, apart, cache, tokens, wanted),
        run_phases(chain, shape, together, again, tokens, wanted),
    )


def fused_layer(
    chain: Chain, shape: Shape, weights: Weights, attend: Attend, cache: Cache, x: Array,
    positions: list[Array],
) -> dict[str, Array]:  # fmt: skip
    """Run the kernels of the layer on tokens of several sequences, and return what each gives."""
    count, page = len(x), cache.k.shape[1]
    cos, sin = angles(shape, np.concatenate(positions))
    slots = np.concatenate([cache.slots(n, at) for n, at in enumerate(positions)])
    h = chain.run("RMS norm", "norm:rms_norm", x, weights["norm"], EPS)
    qkv = chain.run("q, k, v", "gemm:matmul_nt", h, weights["qkv"])
    q, k, v = chain.run(
        "rope and cache", "cache:rope_and_cache", qkv.reshape(count, -1, shape.head), cos, sin,
        slots, cache.k, cache.v,
    )  # fmt: skip
    o = attend(q, k, v).reshape(count, -1)
    middle = chain.run("o and sum", "gemm:linear_add", o, weights["o"], x)
    h2 = chain.run("RMS norm 2", "norm:rms_norm", middle, weights["norm2"], EPS)
    gated = chain.run(
        "gate, up, SwiGLU", "gemm:linear_swiglu", h2, weights["gate"], weights["up"]
    )
    y = chain.run("down and sum", "gemm:linear_add", gated, weights["down"], middle)
    return {
        "RMS norm": h, "rope of q": q, "rope of k": k,
        "k to cache": cache.k[slots // page, slots % page],
        "v to cache": cache.v[slots // page, slots % page],
        "attention": o, "residual sum": middle, "RMS norm 2": h2, "SwiGLU": gated,
        "residual sum 2": y,
    }  # fmt: skip


def rows(separate: Phase, fused: Phase) -> list[dict[str, Cell]]:
    """Return a row for each launch of the fused form, and the sums."""
    one = {call.operator: call for call in fused.calls}
    found = [
        row(name, one[name].kernel, [c for c in separate.calls if c.operator in parts], [one[name]])
        | {"max error": fused.errors.get(parts[-1])}
        for name, parts in PARTS.items()
    ]
    return [*found, row("sum", "", separate.calls, fused.calls)]


def row(name: str, kernel: str, separate: list[Call], fused: list[Call]) -> dict[str, Cell]:
    """Return a row: launches, bytes and cycles of both, and how much longer separate ones take."""
    slow, fast = (sum(call.cycles for call in calls) for calls in (separate, fused))
    return {
        "fused": name,
        "kernel": kernel,
        "launches": len(fused),
        "bytes": sum(call.moved for call in fused),
        "cycles": fast,
        "separate launches": len(separate),
        "bytes ": sum(call.moved for call in separate),
        "cycles ": slow,
        "separate / fused": slow / max(fast, 1),
    }


if __name__ == "__main__":
    main()
