"""Loops in which cube and vector cores run apart give what they give in turns."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tiledsl.driver import load_checked, reschedule
from tiledsl.npu import program as npu
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.estimates import estimate_kernel
from tiledsl.runtime.kernel import Kernel

SOURCE = """
kernel attention(q: f16[S, D], k: f16[L, D], v: f16[L, D]) -> (o: f32[S, D]):
    where D <= 64
    grid i in S by BS
    span d in D
    var top: f32[i] = -inf
    var den: f32[i] = 0
    var acc: f32[i, d] = 0
    for j in L[.. end(i) + 40] by BL:
        s = where(j <= i + 40, q[i, d] @ k[j, d], -inf)
        new = max(top, max(s over j))
        p = exp(s - new)
        fix = exp(top - new)
        den = den * fix + sum(p over j)
        acc = acc * fix + f16(p) @ v[j, d]
        top = new
    o[i, d] = acc / den

# Matrices of the first products are needed by the later ones.
kernel backward(q: f16[S, D], k: f16[L, D], v: f16[L, D], do: f16[S, D], lse: f32[S]) -> (
        dk: f32[L, D], dv: f32[L, D]):
    where D <= 64
    grid j in L by BL
    span d in D
    var a: f32[j, d] = 0
    var b: f32[j, d] = 0
    for i in S by BS:
        p = exp(k[j, d] @ q[i, d] * 0.1 - lse[i])
        ds = p * (v[j, d] @ do[i, d])
        a += f16(p) @ do[i, d]
        b += f16(ds) @ q[i, d]
    dv[j, d] = a
    dk[j, d] = b

# Tiles of vector cores are needed in both stages, and a lookup decides where to read.
kernel gated(q: f16[S, D], k: f16[L, D], v: f16[L, D], w: f32[S, L], page: i32[P]) -> (
        o: f32[S, D]):
    where D <= 64, L == P * 16
    grid i in S by BS
    span d in D
    var acc: f32[i, d] = 0
    for t in P:
        span j in L[t * 16 .. t * 16 + 16]
        g = w[i, j]
        p = exp(q[i, d] @ k[min(max(page[t], 0), P - 1) * 16 + j - t * 16, d] * 0.1 - g)
        u = f16(p) @ v[j, d]
        acc += u * sum(p over j) + u * max(g over j)
    o[i, d] = acc

# The next turn's first product needs what becomes of this turn's.
kernel recurrent(x: f16[S, D], w: f16[D, D]) -> (y: f32[S, D]):
    where D <= 32
    grid i in S by BS
    span d in D
    span e in d
    var h: f16[i, d] = 0
    var out: f32[i, e] = 0
    for t in 5:
        z = f16(sigmoid(h @ w[d, e]))
        out += f32(z)
        h = f16(rename(z, e -> d) + x[i, d])
    y[i, e] = out
"""
RNG = np.random.default_rng(0)
Array = npt.NDArray[Any]
LOOPS = {"attention": "j", "backward": "i", "gated": "t", "recurrent": "t"}


def _normal(*shape: int, dtype: Any = np.float16) -> Array:
    return RNG.normal(size=shape).astype(dtype)


ARGUMENTS: dict[str, dict[str, Array]] = {
    "attention": {"q": _normal(33, 40), "k": _normal(75, 40), "v": _normal(75, 40)},
    "backward": {
        "q": _normal(70, 24), "k": _normal(37, 24), "v": _normal(37, 24), "do": _normal(70, 24),
        "lse": _normal(70, dtype=np.float32),
    },
    "gated": {
        "q": _normal(20, 32), "k": _normal(80, 32), "v": _normal(80, 32),
        "w": _normal(20, 80, dtype=np.float32), "page": np.array([3, 0, 4, 1, 2], np.int32),
    },
    "recurrent": {"x": _normal(20, 16), "w": _normal(16, 16)},
}  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("skew") / "skew.tile"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def _kernel(file: Path, name: str, turns: int) -> Kernel:
    module, kernels = load_checked(file)
    reschedule(module, name, f"skew {LOOPS[name]} by {turns}")
    return kernels[name]


def _run(file: Path, name: str, turns: int, device: str = "sim") -> dict[str, Array]:
    run = _kernel(file, name, turns).run(
        ARGUMENTS[name], tiles={"*": 16}, device=device, hazards=device == "sim"
    )
    return dict(run.outputs)


@pytest.mark.parametrize("name", ["attention", "backward", "gated"])
@pytest.mark.parametrize("turns", [1, 2, 3, 5])
def test_results_do_not_depend_on_it(file: Path, name: str, turns: int) -> None:
    apart, in_turn = _run(file, name, turns), _run(file, name, 0)
    for output, value in in_turn.items():
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(apart[output], value)


@pytest.mark.parametrize("name", ["attention", "backward", "gated"])
def test_what_is_emitted_runs_apart_too(file: Path, name: str) -> None:
    apart, in_turn = _run(file, name, 2, "ascend-host"), _run(file, name, 0)
    for output, value in in_turn.items():
        np.testing.assert_allclose(apart[output], value, rtol=2e-3, atol=2e-3)


def _program(kernel: Kernel) -> npu.Program:
    binding = first_binding(kernel.header, {}, {}, {})
    (compiled,) = kernel.compiled(kernel.instance(binding), "ascend910b3", {})
    assert isinstance(compiled.program, npu.Program)
    return compiled.program


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_there_are_slots_for_what_is_under_way(file: Path, turns: int) -> None:
    program = _program(_kernel(file, "attention", turns))
    assert [w.slots for w in program.workspaces] == [max(2, turns + 1)] * 3
    (kept,) = [b for b in program.cores[1].buffers if b.name == "fix"]
    assert kept.slots == turns + 1


def test_cores_that_run_apart_are_faster(file: Path) -> None:
    cycles = []
    for turns in (0, 1, 2):
        kernel = _kernel(file, "attention", turns)
        dims = {"S": 2048, "L": 2048, "D": 64}
        run = estimate_kernel(kernel, "ascend910b3", dims, tiles={"BS": 128, "BL": 128})
        cycles.append(run.cycles)
    assert cycles[1] < 0.8 * cycles[0]
    assert cycles[2] < 0.7 * cycles[0]
