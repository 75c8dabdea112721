"""A decoder layer with weights and activations in bytes: `python examples/llama_int8.py`.

The layer of `llama_layer.py` in f16, whose projections multiply bytes: weights with a scale for
each output, made beforehand; tokens with a scale each, made on the way, inside the RMS norm where
one comes before; exact sums in i32, and both scales applied before the product is written. Compared
with the f32 model, and beside the f16 chain: errors, cycles. `--small` is for tests.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads slow the simulator's products down

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from chain import Array, Call, Chain
from llama_layer import (
    EPS,
    LARGE,
    OUTPUT,
    SMALL,
    Phase,
    Plain,
    Shape,
    Weights,
    cache_of,
    layer,
    model,
    run_phases,
    tokens_of,
    weights_of,
)
from tables import Cell, Page

# What the output may be off: root of the sum of squares, relative; and its cosine at least.
RELATIVE, COSINE = 0.03, 0.9995


class Bytes(NamedTuple):
    """Rows as bytes, with a scale each."""

    q: Array
    scale: Array


@dataclass(frozen=True, slots=True)
class InBytes:
    """Projections of bytes by bytes."""

    chain: Chain
    weights: Mapping[str, Bytes]

    def norm(self, operator: str, x: Array, weight: Array) -> Bytes:
        """Return tokens normalised, as bytes."""
        return Bytes(*self.chain.run(operator, "quant:rms_norm_int8", x, weight, EPS))

    def ready(self, operator: str, x: Array) -> Bytes:
        """Return tokens as bytes."""
        return Bytes(*self.chain.run(operator, "quant:quantize_rows", x))

    def project(self, x: Bytes, *names: str) -> list[Array]:
        """Return a product for each weight, in f16."""
        return [
            self.chain.run(
                f"projection {name}", "quant:int8_linear", x.q, self.weights[name].q, x.scale,
                self.weights[name].scale, types={"T": "f16"},
            )
            for name in names
        ]  # fmt: skip

    def dense(self, x: Bytes) -> Array:
        """Return the numbers that the bytes stand for."""
        return np.asarray(x.q * x.scale[:, None])


class Error(NamedTuple):
    """How far an array is from what it should be: ``relative`` by the roots of sums of squares."""

    largest: float
    relative: float
    cosine: float


@dataclass(frozen=True, slots=True)
class Both:
    """One phase of the layer in f16 and in bytes."""

    halves: Phase
    bytes: Phase

    def errors(self) -> dict[str, tuple[Error, Error, Error]]:
        """Return by operator: bytes against the model, f16 against it, bytes against f16."""
        found: dict[str, tuple[Error, Error, Error]] = {}
        for name, want in self.bytes.want.items():
            b, h = self.bytes.got[name], self.halves.got[name]
            found[name] = error(b, want), error(h, want), error(b, h)
        return found


def main() -> None:
    """Print errors and costs for the prompts, and for a token of each sequence."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--small", action="store_true", help="sizes for tests")
    words.add_argument("-o", "--output", type=Path, help="a Markdown file for the tables")
    asked = words.parse_args()
    shape = SMALL if asked.small else LARGE
    command = "python examples/llama_int8.py" + (" --small" if asked.small else "")
    page = Page("A decoder layer in bytes", command, asked.output)
    pairs = run(shape, Chain())
    for pair in (pairs[0], pairs[-1]):
        title = f"{pair.bytes.name}: {shape}"
        page.table(f"Errors. {title}", [
            {
                "operator": "the layer" if name == OUTPUT else name,
                "int8: max abs": by[0].largest, "relative": by[0].relative,
                "cosine": f"{by[0].cosine:.6f}",
                "f16: max abs": by[1].largest, "relative ": by[1].relative,
                "cosine ": f"{by[1].cosine:.6f}",
                "int8 to f16: relative": by[2].relative, "cosine  ": f"{by[2].cosine:.6f}",
            }
            for name, by in pair.errors().items()
        ], [
            "Against the f32 model with the f16 weights, all that came before included; relative:",
            "the root of the sum of squared errors by that of squared numbers. The tests allow the",
            f"layer in bytes {RELATIVE:g}, and a cosine of {COSINE:g} at least.",
        ])  # fmt: skip
        page.table(f"Cycles on a simulated 910B3. {title}", costs(pair))


def run(shape: Shape, chain: Chain, seed: int = 0) -> list[Both]:
    """Run the layer in f16 and in bytes on the same tokens with the same weights."""
    draw = np.random.default_rng(seed)
    weights = weights_of(shape, "f16", draw)
    tokens = tokens_of(shape, "f16", draw)
    wanted = model(shape, weights, tokens)
    cache, again = (cache_of(shape, "f16", np.random.default_rng(seed)) for _ in range(2))
    plain = partial(layer, chain, shape, weights, Plain(chain, weights))
    small = partial(layer, chain, shape, weights, InBytes(chain, quantised(weights)))
    halves = run_phases(chain, shape, plain, cache, tokens, wanted)
    in_bytes = run_phases(chain, shape, small, again, tokens, wanted)
    return [Both(*pair) for pair in zip(halves, in_bytes, strict=True)]


def quantised(weights: Weights) -> dict[str, Bytes]:
    """Return the weights of projections as bytes, with a scale for each output."""
    found: dict[str, Bytes] = {}
    for name, w in weights.items():
        if w.ndim == 2:
            scale = np.abs(w).max(1).astype(np.float32) / 127
            found[name] = Bytes(np.rint(w / scale[:, None]).astype(np.int8), scale)
    return found


def error(got: Array, want: Array) -> Error:
    """Return how far ``got`` is from ``want``."""
    a, b = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    norm = float(np.linalg.norm(b))
    cosine = float(a @ b) / (float(np.linalg.norm(a)) * norm)
    return Error(float(np.abs(a - b).max()), float(np.linalg.norm(a - b)) / norm, cosine)


def costs(pair: Both) -> list[dict[str, Cell]]:
    """Return a row an operator: kernels, bytes and cycles of both, and their sums."""
    left, right = by_operator(pair.halves.calls), by_operator(pair.bytes.calls)
    rows = [cost(name, left.get(name), call) for name, call in right.items()]
    f16, int8 = (total(calls.values()) for calls in (left, right))
    return [*rows, cost("sum", f16, int8)]


def by_operator(calls: list[Call]) -> dict[str, Call]:
    """Return the call of each operator, which here has one."""
    return {call.operator: call for call in calls}


def total(calls: Collection[Call]) -> Call:
    """Return calls added up."""
    return Call(
        "sum", "", sum(c.launches for c in calls), sum(c.moved for c in calls),
        sum(c.cycles for c in calls), sum(c.microseconds for c in calls),
    )  # fmt: skip


def cost(name: str, f16: Call | None, int8: Call) -> dict[str, Cell]:
    """Return a row; an operator may be missing in f16."""
    return {
        "operator": name,
        "f16 kernel": "" if f16 is None else f16.kernel,
        "bytes": None if f16 is None else f16.moved,
        "cycles": None if f16 is None else f16.cycles,
        "int8 kernel": int8.kernel,
        "bytes ": int8.moved,
        "cycles ": int8.cycles,
        "f16 / int8": None if f16 is None else f16.cycles / max(int8.cycles, 1),
    }


if __name__ == "__main__":
    main()
