"""Sorting, picking and scanning on the NPU, on the simulator and on the Ascend host model."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiledsl

TEXT = """
kernel pick[T in (f32, f16)](x: T[M, N]) -> (
        low: T[M, N], high: i32[M], least: i32[M], total: T[M, N]):
    where N <= 512
    grid m in M by BM
    span n in N
    s, i = sort(x[m, n] over n)
    low[m, n] = s
    high[m] = argmax(x[m, n] over n)
    least[m] = argmin(x[m, n] over n)
    total[m, n] = cumsum(x[m, n] over n)
"""
DEVICES = ("sim", "ascend-host")


@pytest.fixture(scope="module")
def pick(tmp_path_factory: pytest.TempPathFactory) -> tiledsl.Kernel:
    path = tmp_path_factory.mktemp("sort") / "pick.tile"
    path.write_text(TEXT, encoding="utf-8")
    return tiledsl.load(path)["pick"]


def run(pick: tiledsl.Kernel, x: npt.NDArray[Any], device: str, tile: int) -> dict[str, Any]:
    watched = device == "sim"
    done = pick.run({"x": x}, device=device, tiles={"BM": tile}, hazards=watched)
    return dict(done.outputs)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("shape", "tile"), [((1, 1), 1), ((5, 37), 2), ((33, 100), 16), ((3, 512), 3)]
)
def test_equal_to_numpy(
    pick: tiledsl.Kernel, device: str, shape: tuple[int, int], tile: int
) -> None:
    """Whole quarters: many ties, and sums that are exact."""
    x = np.round(np.random.default_rng(0).standard_normal(shape) * 4).astype(np.float32) / 4
    got = run(pick, x, device, tile)
    np.testing.assert_array_equal(got["low"], np.sort(x, 1))
    np.testing.assert_array_equal(got["high"], x.argmax(1))
    np.testing.assert_array_equal(got["least"], x.argmin(1))
    np.testing.assert_array_equal(got["total"], x.cumsum(1))


@pytest.mark.parametrize("device", DEVICES)
def test_a_nan_is_found(pick: tiledsl.Kernel, device: str) -> None:
    x = np.random.default_rng(1).standard_normal((3, 20)).astype(np.float32)
    x[1, 7] = np.nan
    got = run(pick, x, device, 3)
    assert got["high"].tolist() == x.argmax(1).tolist()
    assert got["least"].tolist() == x.argmin(1).tolist()
