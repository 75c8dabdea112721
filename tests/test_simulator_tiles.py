"""Matrices kept as f32 beside their bytes change no value, and neither do widened halves."""

from pathlib import Path

import numpy as np
import pytest

import tiledsl
from tiledsl.simulator.halves import widen
from tiledsl.simulator.lanes import Lanes

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("sizes", [(64, 64, 130), (100, 77, 130), (1, 1, 3), (33, 17, 300)])
def test_a_product_with_and_without(
    monkeypatch: pytest.MonkeyPatch, dtype: type[np.floating], sizes: tuple[int, int, int]
) -> None:
    m, n, k = sizes
    draw = np.random.default_rng(0)
    shapes = ((m, k), (k, n), (n,))
    arrays = [draw.standard_normal(shape).astype(dtype) for shape in shapes]
    gemm = tiledsl.load(EXAMPLES / "gemm.tile")["gemm"]
    kept = gemm.run(arrays).outputs["c"]
    monkeypatch.setattr(Lanes, "keeps_tiles", False)
    written = gemm.run(arrays).outputs["c"]
    np.testing.assert_allclose(kept.astype(np.float32), written.astype(np.float32), 2e-3, 1e-3)


def test_every_half_is_widened_as_numpy_does() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        wide = every.astype(np.float32)
    finite = np.isfinite(every)
    bits = widen(every[finite]).view(np.uint32)
    np.testing.assert_array_equal(bits, wide[finite].view(np.uint32))
    np.testing.assert_array_equal(widen(every), wide)
