"""Philox on every device: equal words, whatever the shapes and types of seed and offset."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiledsl
from tiledsl.ops import philox, uniform

TEXT = """
kernel draw(seed: i32, long: i64, x: i32[M, N], small: i8[M]) -> (
        u: f32[M, N], b: u32[M, N], w: u32[M, N], s: u32[M], t: u32[M]):
    where N <= 512
    grid m in M by BM
    span n in N
    u[m, n] = rand(seed, m * N + n)
    b[m, n] = bits(7, x[m, n])
    w[m, n] = bits(x[m, n], m + small[m])
    s[m] = bits(small[m], long)
    t[m] = bits(long, bits(seed, m))
"""
PLACES = [
    ("sim", "ascend910b3"), ("sim", "ascend310p"), ("ascend-host", "ascend910b3"),
    ("ascend-host", "ascend310p"), ("cuda-host", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def draw(tmp_path_factory: pytest.TempPathFactory) -> tiledsl.Kernel:
    path = tmp_path_factory.mktemp("random") / "draw.tile"
    path.write_text(TEXT, encoding="utf-8")
    return tiledsl.load(path)["draw"]


def test_known_answer() -> None:
    # Random123, kat_vectors: philox4x32, 10 rounds, counter 0 and key 0.
    assert philox(np.asarray(0), np.asarray(0)) == 0x6627E8D5


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_words(draw: tiledsl.Kernel, device: str, chip: str | None) -> None:
    rng = np.random.default_rng(0)
    for shape, seed, long in (
        ((1, 1), 0, 0), ((0, 5), 1, 1), ((3, 37), -9, -5), ((17, 128), 2**31 - 1, 2**62 + 3),
        ((2, 509), -(2**31), -(2**63)),
    ):  # fmt: skip
        x = rng.integers(-(2**31), 2**31, shape).astype(np.int32)
        small = rng.integers(-128, 128, shape[0]).astype(np.int8)
        given = {"seed": seed, "long": long, "x": x, "small": small}
        got = draw.run(given, device=device, chip=chip, hazards=device == "sim").outputs
        rows, size = np.arange(shape[0]), shape[0] * shape[1]
        whole, every = np.asarray(seed), np.arange(size).reshape(shape)
        wanted: dict[str, npt.NDArray[Any]] = {
            "u": uniform(philox(whole, every)),
            "b": philox(np.asarray(7), x),
            "w": philox(x, (rows + small)[:, None]),
            "s": philox(small, np.asarray(long)),
            "t": philox(np.asarray(long), philox(whole, rows)),
        }
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array, err_msg=f"{name} {shape}")
