"""Rows that are looked up come as whole rows, one copy after the other, without a wait between."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tiledsl
from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import walk_steps
from tiledsl.runtime.binding import first_binding
from tiledsl.scalar import Local

# The span comes into scope before the loop: the rows of a page are j by d all the same.
SOURCE = """
kernel sum_pages(k: f16[C, P, D], table: i32[L], used: i32) -> (y: f32[D]):
    where P >= 1, D <= 256
    grid e in 1
    span d in D
    var acc: f32[d] = 0
    for j in min(used, L * P) by BJ:
        acc += sum(f32(k[table[j // P], j % P, d else 0]) over j)
    y[d] = acc

# `a` serves a lookup, a mask and a store: the vector unit has it, and divides for all of them.
kernel quotients(x: f32[N, 8], t: i32[M], p: i32) -> (y: f32[M, 8], z: i32[M]):
    where p != 0
    grid i in M by BM
    span d in 8
    a = (t[i] * 5 - 11) // p
    z[i] = a
    y[i, d] = where(a > 2, x[i * 7 // p, d else 5], x[max(a, 0) % N, d else 7])
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> tiledsl.Module:
    file: Path = tmp_path_factory.mktemp("lookups") / "lookups.tile"
    file.write_text(SOURCE, encoding="utf-8")
    return tiledsl.load(file)


@pytest.fixture(scope="module")
def kernel(module: tiledsl.Module) -> tiledsl.Kernel:
    return module["sum_pages"]


def lanes(kernel: tiledsl.Kernel) -> Iterator[npu.For]:
    """Yield the loops over the rows that are looked up."""
    graph = kernel.instance(first_binding(kernel.header, {}, {}, {}))
    (compiled,) = kernel.compiled(graph, "ascend910b3", {})
    assert isinstance(compiled.program, npu.Program)
    for step in walk_steps(compiled.program.cores[0].body):
        if isinstance(step, npu.For) and step.name.startswith("j_lane"):
            yield step


def test_rows_are_copied_whole_and_do_not_wait(kernel: tiledsl.Kernel) -> None:
    (loop,) = lanes(kernel)
    inside = list(walk_steps(loop.body))
    (copy,) = [step for step in inside if isinstance(step, npu.CopyIn)]
    assert copy.length == Local("d_size")
    assert not any(isinstance(step, npu.Barrier | npu.WaitFlag) for step in inside)


def test_the_scalar_unit_finds_pages(kernel: tiledsl.Kernel) -> None:
    (loop,) = lanes(kernel)
    reads = (npu.ReadScalar, npu.WriteScalar, npu.Binary)
    assert not any(isinstance(step, reads) for step in walk_steps(loop.body))


@pytest.mark.parametrize("device", ["sim", "ascend-host"])
def test_pages_are_summed(kernel: tiledsl.Kernel, device: str) -> None:
    draw = np.random.default_rng(0)
    k = draw.standard_normal((9, 4, 40)).astype(np.float16)
    table = np.array([7, 2, 8, -1, 0, 9], np.int32)  # two pages are outside: zeros
    given = {"k": k, "table": table, "used": 22}
    result = kernel.run(given, device=device, hazards=device == "sim")
    rows = np.concatenate([k[7], k[2], k[8], 0 * k[0], k[0]]).astype(np.float32)
    np.testing.assert_allclose(result.outputs["y"], rows.sum(0), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("device", ["sim", "ascend-host"])
@pytest.mark.parametrize("p", [1, 3, -3])
def test_a_quotient_may_serve_a_lookup_and_a_mask(
    module: tiledsl.Module, device: str, p: int
) -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((9, 8)).astype(np.float32)
    t = draw.integers(-9, 9, 40, dtype=np.int32)
    outputs = module["quotients"].run({"x": x, "t": t, "p": p}, device=device).outputs
    a, at = (t * 5 - 11) // p, np.arange(40) * 7 // p
    inside = (at >= 0) & (at < 9)
    near = np.where(inside[:, None], x[np.where(inside, at, 0)], np.float32(5))
    np.testing.assert_array_equal(outputs["z"], a)
    far = x[np.maximum(a, 0) % 9]
    np.testing.assert_array_equal(outputs["y"], np.where(a[:, None] > 2, near, far))
