"""Sizes for a kernel's dims, drawn at random, that its facts allow, and some that they refuse."""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from tiledsl.ir import Kernel, OpGraph, Tensor
from tiledsl.runtime.evaluate import Unknown, evaluate
from tiledsl.testing.cases import Case, Plan, Value

SMALL = (1, 1, 2, 3, 4, 5, 7, 8, 11, 13, 15, 16, 17, 23, 31, 32, 33, 37)
MEDIUM = (41, 61, 63, 64, 65, 97, 100, 127, 128, 129, 191, 256, 257, 511, 521, 1000, 1021, 2048)
ATTEMPTS = 400

# The sides of windows, and what else a device or a reference holds whole.
MOST: Mapping[str, Mapping[str, int]] = {
    "conv1d": {"R": 7},
    "conv2d_nhwc": {"R": 5, "S": 5},
    "moe_unpermute": {"K": 16},
}
# Dims that a reference, or the kernel itself, goes through twice over.
TWICE: Mapping[str, str] = {
    "scalar_flash_attention": "N", "flash_attention_causal": "S", "topk": "N", "prune_2_4": "N",
    "sliding_window_attention": "S", "linear_attention_causal": "N", "decay_attention": "N",
    "lstm_cell": "H", "rope": "D", "dense_to_coo": "N", "mlp_swiglu": "D", "moe_gate_topk": "N",
}  # fmt: skip
# Sizes at which the result is only what rounding left: of one element, less its own mean.
MEANINGLESS: Mapping[str, Mapping[str, int]] = {"rms_norm_bwd": {"N": 1}}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a kernel's dims are drawn for: one element type, one set of constants.

    ``work`` is the most that the product of the dims may be, ``large`` what one dim may be.
    """

    plan: Plan
    graph: Kernel | OpGraph
    cases: tuple[Case, ...]
    names: tuple[str, ...]
    work: int
    large: int

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts that the kernel, or a step of the op, states of these dims and parameters."""
        graph = self.graph
        kernels = [graph] if isinstance(graph, Kernel) else [s.kernel for s in graph.steps]
        texts = [f.text for f in graph.facts]
        texts += [f.text for kernel in kernels for f in kernel.facts if f.text not in texts]
        known = {*self.names, *(name for name, _ in self.cases[0].values)}
        return tuple(t for t in texts if set(re.findall(r"[A-Za-z_]\w*", t)) <= known)

    @property
    def definitions(self) -> tuple[tuple[str, str], ...]:
        """The dims that facts give, with what they are."""
        facts = [f for f in self.graph.facts if f.defines]
        return tuple((f.defines, f.text.split("==", 1)[1]) for f in facts)


def drawn(sizes: Sizes, count: int) -> tuple[Case, ...]:
    """Return ``count`` cases: each dim 0, 1 and large where the facts allow it, the rest random.

    The same each time.
    """
    rng = np.random.default_rng(zlib.crc32(sizes.plan.name.encode()))
    found: dict[tuple[tuple[str, Value], ...], Case] = {}
    for wish in chain(_wishes(sizes), repeat({}, ATTEMPTS)):
        if len(found) == count:
            break
        for _ in range(ATTEMPTS):
            case = _case(sizes, rng, wish)
            if _allowed(sizes, case):
                found.setdefault(case.values, case)
                break
    return tuple(found.values())


def refused(sizes: Sizes) -> Iterator[tuple[Case, str]]:
    """Yield a case for each fact that small sizes can break, and this fact; the others hold."""
    rng = np.random.default_rng(zlib.crc32(sizes.plan.name.encode()))
    for fact in sizes.facts:
        pool = (0, *SMALL, *(int(n) + 1 for n in re.findall(r"\b\d+\b", fact)))
        for _ in range(ATTEMPTS):
            base = dict(sizes.cases[int(rng.integers(len(sizes.cases)))].values)
            base |= {name: int(rng.choice(SMALL)) for name in sizes.names}
            for name in re.findall(r"[A-Za-z_]\w*", fact):
                if isinstance(base[name], int):
                    base[name] = int(rng.choice(pool))
            broken = [f for f in sizes.facts if not _holds(f, base)]
            if broken == [fact] and _can_be_drawn(sizes, base):
                yield Case(tuple(base.items())), fact
                break


def _wishes(sizes: Sizes) -> Iterator[dict[str, int]]:
    """Yield what some dims are to be: 0, all of them 1, large, at a fact's limit."""
    yield dict.fromkeys(sizes.names, 1)
    for name in sizes.names:
        yield {name: 0}
        yield {name: sizes.large}
    yield dict.fromkeys(sizes.names, 0)


def _case(sizes: Sizes, rng: np.random.Generator, wish: Mapping[str, int]) -> Case:
    base = dict(sizes.cases[int(rng.integers(len(sizes.cases)))].values)
    chosen: dict[str, int] = {}
    for name in sizes.names:
        pool = SMALL if wish or rng.random() < 0.6 else MEDIUM
        chosen[name] = wish.get(name, int(rng.choice(pool)))
    for name, most in MOST.get(sizes.plan.name, {}).items():
        chosen[name] = min(chosen[name], most)
    for _ in range(3):
        _shrink(sizes, chosen, wish)
        _repair(sizes, chosen, base)
    return Case(tuple((base | chosen).items()))


def _shrink(sizes: Sizes, chosen: dict[str, int], wish: Mapping[str, int]) -> None:
    """Make the largest dims smaller until there is no more work than is wanted."""
    twice = TWICE.get(sizes.plan.name, "")
    while True:
        work = 1
        for name, size in chosen.items():
            work *= max(size, 1) ** (2 if name == twice else 1)
        if work <= sizes.work:
            return
        some = [n for n in chosen if chosen[n] > 1]
        largest = max([n for n in some if n not in wish] or some, key=lambda n: chosen[n])
        chosen[largest] = max(1, chosen[largest] * 5 // 8)


def _repair(sizes: Sizes, chosen: dict[str, int], base: Mapping[str, Value]) -> None:
    """Bring the dims nearer to what simple facts ask of them."""
    values = {**base, **chosen}
    for fact in sizes.facts:
        if _holds(fact, values):
            continue
        match fact.split():
            case [name, "%", by, "==", "0"] if name in chosen:
                step = int(values.get(by, by))
                chosen[name] = max(1, chosen[name] // step) * step if step else 0
            case [name, "<=" | ">=", bound] if name in chosen:
                chosen[name] = int(values.get(bound, bound))
            case _:
                pass
        values |= chosen


def _allowed(sizes: Sizes, case: Case) -> bool:
    values = dict(case.values)
    if any(values[n] == size for n, size in MEANINGLESS.get(sizes.plan.name, {}).items()):
        return False
    if not all(_holds(fact, values) for fact in sizes.facts):
        return False
    for _, text in sizes.definitions:
        value = _value(text, values)
        if value is None or value < 0:
            return False
    return _can_be_drawn(sizes, values)


def _can_be_drawn(sizes: Sizes, values: Mapping[str, Value]) -> bool:
    """Return whether there are numbers for what the test gives: none is among 0 .. -1."""
    tensors = {p.name: p for p in sizes.graph.params if isinstance(p, Tensor)}
    dims = {n: v for n, v in values.items() if isinstance(v, int)}
    for line in sizes.plan.given:
        match = re.fullmatch(r"integers\((.*), (.*)\)", line.value.span.text)
        tensor = tensors.get(line.name.id)
        if match is None or tensor is None:
            continue
        low, high = (_value(text, values) for text in match.groups())
        try:
            count = np.prod([int(evaluate(s, dims, {}, {})) for s in tensor.shape])
        except Unknown:
            return False
        if low is None or high is None or (high < low and count > 0):
            return False
    return True


def _holds(fact: str, values: Mapping[str, Value]) -> bool:
    return bool(_value(fact, values))


def _value(text: str, values: Mapping[str, Value]) -> int | None:
    """Return what an expression of the language over integers is: its words are Python's."""
    names = {n: v for n, v in values.items() if isinstance(v, int | float)}
    try:
        return int(eval(text, {"__builtins__": {}, "min": min, "max": max}, names))
    except ZeroDivisionError:
        return None
