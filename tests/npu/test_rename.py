"""Tiles under another range: copied, transposed, and masks of both kinds."""

from typing import Any

import numpy as np
import pytest

import tiledsl

TEXT = """
kernel again[T in (f32, f16, i32)](x: T[M, K]) -> (
        y: T[M, M], c: i32[M, M], s: T[K, M], b: i32[K, M]):
    where M <= 70, K <= 40
    grid g in 1
    span m in M
    span n in m
    span k in K
    a = T(x[m, k] * 2)
    v = sum(a over k)
    y[m, n] = T(v + rename(v, m -> n))
    c[m, n] = i32(rename(v > 0, m -> n)) + i32(v > 0)
    s[k, n] = rename(a, m -> n)
    b[k, n] = i32(rename(a > 1, m -> n))
"""
PLACES = [
    ("sim", "ascend910b3"), ("sim", "ascend310p"), ("ascend-host", "ascend910b3"),
    ("ascend-host", "ascend310p"), ("cuda-host", None),
]  # fmt: skip


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_renamed(tmp_path: Any, device: str, chip: str | None) -> None:
    path = tmp_path / "again.tile"
    path.write_text(TEXT, encoding="utf-8")
    kernel = tiledsl.load(path)["again"]
    for dtype in (np.float32, np.float16, np.int32):
        for m, k in ((1, 1), (37, 17), (70, 40), (5, 33), (0, 3)):
            x: Any = np.random.default_rng(0).integers(-4, 5, (m, k)).astype(dtype)
            watched = device == "sim"
            got = kernel.run({"x": x}, device=device, chip=chip, hazards=watched).outputs
            a, v = 2 * x, 2 * x.sum(1)
            np.testing.assert_array_equal(got["y"], v[:, None] + v[None])
            np.testing.assert_array_equal(got["c"], (v > 0)[:, None].astype(int) + (v > 0)[None])
            np.testing.assert_array_equal(got["s"], a.T)
            np.testing.assert_array_equal(got["b"], (a.T > 1).astype(int))
