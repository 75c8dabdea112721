"""A decoder layer of a LLaMA-like model: `python examples/llama_layer.py`.

RMS norm, projections, rotary positions, a paged key-value cache, attention with grouped heads,
residual sums and a SwiGLU perceptron; several prompts at once, then a token each for some steps
through the cache. Compared with a model of the whole layer in NumPy, in f32, that has no cache.
`--small` is for tests.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads slow the simulator's products down

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from chain import Array, Call, Chain, cost_rows
from tables import Page

EPS, BASE = 1e-5, 500_000.0
OUTPUT = "residual sum 2"
DTYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
# What the layer's output may be off, in parts of its largest number.
TOLERANCE = {"f32": 1e-5, "f16": 2e-3, "bf16": 1.5e-2}


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the layer and of its work: tokens of each prompt, and ``steps`` after it."""

    hidden: int
    heads: int
    kv_heads: int
    head: int
    mlp: int
    page: int
    prompts: tuple[int, ...]
    steps: int

    def __str__(self) -> str:
        heads = f"{self.heads} heads and {self.kv_heads} for keys, of {self.head}"
        return f"hidden {self.hidden}, {heads}, mlp {self.mlp}, pages of {self.page}"


LARGE = Shape(4096, 32, 8, 128, 14336, 16, (83, 45), 3)
SMALL = Shape(96, 6, 2, 16, 160, 4, (9, 5), 3)


Weights = dict[str, Array]
Attend = Callable[[Array, Array, Array], Array]
# Runs a layer on tokens at positions of each sequence; says what each operator gives.
Layer = Callable[[Attend, "Cache", Array, list[Array]], dict[str, Array]]


class Projections(Protocol):
    """How tokens are multiplied by weights: what `llama_int8` does in bytes."""

    def norm(self, operator: str, x: Array, weight: Array) -> Any:
        """Return tokens normalised, in the form in which `project` takes them."""

    def ready(self, operator: str, x: Array) -> Any:
        """Return tokens in that form."""

    def project(self, x: Any, *names: str) -> list[Array]:
        """Return the products of tokens in that form with the weights of these names."""

    def dense(self, x: Any) -> Array:
        """Return the numbers that such tokens stand for."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Projections in the element type of the tokens."""

    chain: Chain
    weights: Weights

    def norm(self, operator: str, x: Array, weight: Array) -> Array:
        """Return tokens normalised."""
        return np.asarray(self.chain.run(operator, "norm:rms_norm", x, weight, EPS))

    def ready(self, operator: str, x: Array) -> Array:
        """Return tokens as they are."""
        return x

    def project(self, x: Array, *names: str) -> list[Array]:
        """Return a product for each weight."""
        kernel = "gemm:matmul_nt"
        return [self.chain.run(f"projection {n}", kernel, x, self.weights[n]) for n in names]

    def dense(self, x: Array) -> Array:
        """Return tokens as they are."""
        return x


@dataclass(frozen=True, slots=True)
class Cache:
    """Keys and values in pages, and the pages of each sequence."""

    k: Array
    v: Array
    table: Array

    def slots(self, sequence: int, positions: Array) -> Array:
        """Return the rows of the pages in which a sequence's positions are."""
        page = self.k.shape[1]
        found: Array = self.table[sequence, positions // page] * page + positions % page
        return found.astype(np.int32)


@dataclass(frozen=True, slots=True)
class Phase:
    """A run of the layer over some tokens: its calls, what each operator gave, and should."""

    name: str
    calls: list[Call]
    got: Mapping[str, Array]
    want: Mapping[str, Array]

    @property
    def errors(self) -> dict[str, float]:
        """The largest error of each operator in parts of its largest number."""
        return {name: relative(self.got[name], want) for name, want in self.want.items()}

    @property
    def error(self) -> float:
        """The error of the layer's output."""
        return relative(self.got[OUTPUT], self.want[OUTPUT])


def main() -> None:
    """Print a table for the prompts, and one for a token of each sequence."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--small", action="store_true", help="sizes for tests")
    words.add_argument("--type", choices=DTYPES, default="f16", help="the element type")
    words.add_argument("-o", "--output", type=Path, help="a Markdown file for the tables")
    asked = words.parse_args()
    shape = SMALL if asked.small else LARGE
    command = f"python examples/llama_layer.py --type {asked.type}"
    page = Page("A decoder layer", command + (" --small" if asked.small else ""), asked.output)
    phases = run(shape, asked.type, Chain())
    for phase in (phases[0], phases[-1]):
        rows = cost_rows(phase.calls, phase.errors)
        page.table(f"{phase.name}: {shape}, {asked.type}, on a simulated 910B3", rows)
    page.table("Outputs", [
        {
            "phase": phase.name, "launches": sum(call.launches for call in phase.calls),
            "µs": sum(call.microseconds for call in phase.calls), "max error": phase.error,
            "tolerance": TOLERANCE[asked.type],
        }
        for phase in phases
    ], [
        "Errors are the largest difference from the NumPy model, in parts of the largest number,",
        "with all that came before in the chain; the model is in f32 and has the same weights.",
    ])  # fmt: skip


def run(shape: Shape, dtype: str, chain: Chain, seed: int = 0) -> list[Phase]:
    """Run the layer over the prompts, then ``shape.steps`` times over a token of each sequence."""
    draw = np.random.default_rng(seed)
    weights = weights_of(shape, dtype, draw)
    tokens = tokens_of(shape, dtype, draw)
    wanted = model(shape, weights, tokens)
    cache = cache_of(shape, dtype, draw)
    plain = partial(layer, chain, shape, weights, Plain(chain, weights))
    return run_phases(chain, shape, plain, cache, tokens, wanted)


def run_phases(
    chain: Chain, shape: Shape, run_layer: Layer, cache: Cache, tokens: list[Array],
    wanted: list[dict[str, Array]],
) -> list[Phase]:  # fmt: skip
    """Run the layer over the prompts and the tokens after them, and compare with what is wanted."""
    scale = shape.head**-0.5
    starts = np.cumsum([0, *shape.prompts[:-1]])
    first = np.repeat(starts, shape.prompts).astype(np.int32)

    def among_prompts(q: Array, k: Array, v: Array) -> Array:
        return np.asarray(chain.run("attention", "attention:gqa_ragged", q, k, v, first, scale))

    def over_cache(q: Array, k: Array, v: Array) -> Array:
        used = np.array([at[0] + 1 for at in positions], np.int32)
        given = (q, cache.k, cache.v, cache.table, used, scale)
        return np.asarray(chain.run("attention", "cache:paged_decode", *given))

    sizes = " and ".join(map(str, shape.prompts))
    phases: list[Phase] = []
    for step in range(shape.steps + 1):
        before = len(chain.calls)
        if step == 0:
            name = f"Prompts of {sizes} tokens"
            positions = [np.arange(size) for size in shape.prompts]
        else:
            name = f"Token {step} after prompts of {sizes}"
            positions = [np.array([size + step - 1]) for size in shape.prompts]
        x = np.concatenate([x[at] for x, at in zip(tokens, positions, strict=True)])
        attend = over_cache if step else among_prompts
        got = run_layer(attend, cache, x, positions)
        want = {
            name: np.concatenate([w[name][at] for w, at in zip(wanted, positions, strict=True)])
            for name in got
        }
        phases.append(Phase(name, chain.calls[before:], got, want))
    return phases


def layer(
    chain: Chain, shape: Shape, weights: Weights, linear: Projections, attend: Attend, cache: Cache,
    x: Array, positions: list[Array],
) -> dict[str, Array]:  # fmt: skip
    """Run the kernels of the layer on tokens of several sequences, and return what each gives."""
    count = len(x)
    cos, sin = angles(shape, np.concatenate(positions))
    slots = np.concatenate([cache.slots(n, at) for n, at in enumerate(positions)])
    h = linear.norm("RMS norm", x, weights["norm"])
    flat = linear.project(h, "q", "k", "v")
    q, k, v = (array.reshape(count, -1, shape.head) for array in flat)
    turned_q = chain.run("rope of q", "cache:rope", q[None], cos, sin)[0]
    turned_k = chain.run("rope of k", "cache:rope", k[None], cos, sin)[0]
    chain.run("k to cache", "cache:reshape_and_cache", turned_k, cache.k, slots)
    chain.run("v to cache", "cache:reshape_and_cache", v, cache.v, slots)
    o = attend(turned_q, turned_k, v).reshape(count, -1)
    (attended,) = linear.project(linear.ready("attention to bytes", o), "o")
    middle = chain.run("residual sum", "elementwise:vector_add", x, attended)
    h2 = linear.norm("RMS norm 2", middle, weights["norm2"])
    gate, up = linear.project(h2, "gate", "up")
    gated = chain.run("SwiGLU", "elementwise:swiglu", gate, up)
    (down,) = linear.project(linear.ready("SwiGLU to bytes", gated), "down")
    y = chain.run("residual sum 2", "elementwise:vector_add", middle, down)
    page = cache.k.shape[1]
    return {
        "RMS norm": linear.dense(h), "projection q": flat[0], "projection k": flat[1],
        "projection v": flat[2], "rope of q": turned_q, "rope of k": turned_k,
        "k to cache": cache.k[slots // page, slots % page],
        "v to cache": cache.v[slots // page, slots % page],
        "attention": o, "projection o": attended, "residual sum": middle,
        "RMS norm 2": linear.dense(h2), "projection gate": gate, "projection up": up,
        "SwiGLU": gated, "projection down": down, "residual sum 2": y,
    }  # fmt: skip


def model(shape: Shape, weights: Weights, tokens: list[Array]) -> list[dict[str, Array]]:
    """Return what each operator gives for all tokens of each sequence: NumPy in f32, no cache."""
    ends = np.cumsum([len(x) for x in tokens])[:-1]
    x = np.concatenate(tokens).astype(np.float32)

    def linear(x: Array, name: str) -> Array:
        return np.asarray(x @ weights[name].astype(np.float32).T)

    def norm(x: Array, name: str) -> Array:
        root = np.sqrt((x * x).mean(1, keepdims=True) + np.float32(EPS))
        return np.asarray(x / root * weights[name].astype(np.float32))

    h = norm(x, "norm")
    q, k, v = (linear(h, name) for name in ("q", "k", "v"))
    parts = [np.split(array.reshape(len(x), -1, shape.head), ends) for array in (q, k, v)]
    turned = [[turn(shape, part) for part in kind] for kind in parts[:2]]
    o = np.concatenate([attention(*three) for three in zip(*turned, parts[2], strict=True)])
    attended = linear(o, "o")
    middle = x + attended
    h2 = norm(middle, "norm2")
    gate, up = linear(h2, "gate"), linear(h2, "up")
    gated = gate / (1 + np.exp(-gate)) * up
    down = linear(gated, "down")
    whole = {
        "RMS norm": h, "projection q": q, "projection k": k, "projection v": v, "attention": o,
        "projection o": attended, "residual sum": middle, "RMS norm 2": h2,
        "projection gate": gate, "projection up": up, "SwiGLU": gated, "projection down": down,
        "residual sum 2": middle + down,
    }  # fmt: skip
    cut = {name: np.split(array, ends) for name, array in whole.items()}
    cut |= {"rope of q": turned[0], "rope of k": turned[1]}
    cut |= {"k to cache": turned[1], "v to cache": parts[2]}
    return [{name: found[n] for name, found in cut.items()} for n in range(len(tokens))]


def turn(shape: Shape, x: Array) -> Array:
    """Return the heads of tokens 0, 1, … turned by their positions: pairs as complex numbers."""
    half = shape.head // 2
    speed = BASE ** (-np.arange(half) / half)
    angle = np.arange(len(x))[:, None, None] * speed
    pairs = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
    return np.concatenate([pairs.real, pairs.imag], -1).astype(np.float32)


def attention(q: Array, k: Array, v: Array) -> Array:
    """Return causal attention, by the whole matrix of scores."""
    group = q.shape[1] // k.shape[1]
    k, v = (np.repeat(array, group, axis=1) for array in (k, v))
    s = np.einsum("ihd,jhd->hij", q, k) * np.float32(q.shape[2] ** -0.5)
    s = np.where(np.tri(len(q), dtype=bool), s, np.float32(-np.inf))
    p = np.exp(s - s.max(2, keepdims=True))
    p /= p.sum(2, keepdims=True)
    found: Array = np.einsum("hij,jhd->ihd", p, v).reshape(len(q), -1)
    return found


def angles(shape: Shape, positions: Array) -> tuple[Array, Array]:
    """Return cosines and sines of each position's angles, as a model keeps them in a table."""
    half = shape.head // 2
    angle = positions[:, None] * BASE ** (-(np.arange(shape.head) % half) / half)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def weights_of(shape: Shape, dtype: str, draw: np.random.Generator) -> Weights:
    """Return random weights with which numbers keep their size, by name."""
    heads, kv = shape.heads * shape.head, shape.kv_heads * shape.head
    sides = {
        "q": (heads, shape.hidden), "k": (kv, shape.hidden), "v": (kv, shape.hidden),
        "o": (shape.hidden, heads), "gate": (shape.mlp, shape.hidden),
        "up": (shape.mlp, shape.hidden), "down": (shape.hidden, shape.mlp),
    }  # fmt: skip
    found: Weights = {}
    for name, (rows, cols) in sides.items():
        w = draw.standard_normal((rows, cols), np.float32)
        w *= np.float32(cols**-0.5)
        found[name] = w.astype(DTYPES[dtype])
    for name in ("norm", "norm2"):
        found[name] = (1 + 0.1 * draw.standard_normal(shape.hidden)).astype(DTYPES[dtype])
    return found


def tokens_of(shape: Shape, dtype: str, draw: np.random.Generator) -> list[Array]:
    """Return what the layer is given for each token of each sequence."""
    sizes = [(size + shape.steps, shape.hidden) for size in shape.prompts]
    return [draw.standard_normal(size, np.float32).astype(DTYPES[dtype]) for size in sizes]


def cache_of(shape: Shape, dtype: str, draw: np.random.Generator) -> Cache:
    """Return an empty cache whose pages are dealt out at random, with some to spare."""
    pages = -(-(max(shape.prompts) + shape.steps) // shape.page)
    count = len(shape.prompts) * pages
    table = draw.permutation(count + 3)[:count].reshape(-1, pages).astype(np.int32)
    size = (count + 3, shape.page, shape.kv_heads, shape.head)
    return Cache(np.zeros(size, DTYPES[dtype]), np.zeros(size, DTYPES[dtype]), table)


def relative(got: Array, want: Array) -> float:
    """Return the largest error in parts of the largest number."""
    a = got.reshape(want.shape).astype(np.float32)
    return float(np.abs(a - want).max() / np.abs(want).max())


if __name__ == "__main__":
    main()
