"""f16 as f32 and back: every f16, every number between two of them, and what is beyond; sums."""

import numpy as np
import pytest

from tiledsl.ops.registry import Array
from tiledsl.simulator import arithmetic
from tiledsl.simulator.halves import narrow_into, round_into, widen

ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = ALL[np.isfinite(ALL)]


def _neighbours() -> Array:
    """Return each finite f16, what is half way to the next one, and the f32 on both sides."""
    wide = np.unique(FINITE.astype(np.float32))
    ends = np.append(wide, np.float32(65536))
    middle = ((ends[:-1].astype(np.float64) + ends[1:]) / 2).astype(np.float32)
    exact = np.concatenate([wide, middle, -middle, np.array([0.0, -0.0], np.float32)])
    up, down = (np.nextafter(exact, np.float32(to)) for to in (np.inf, -np.inf))
    return np.concatenate([exact, up, down])


def _same(got: Array, want: Array) -> None:
    assert got.dtype == want.dtype
    bits = f"u{want.itemsize}"
    np.testing.assert_array_equal(got.view(bits), want.view(bits))


@pytest.mark.parametrize("part", [FINITE, FINITE[FINITE > 0]])
def test_widening_is_exact(part: Array) -> None:
    _same(widen(part), part.astype(np.float32))


def test_widening_keeps_infinities_and_what_is_no_number() -> None:
    np.testing.assert_array_equal(widen(ALL), ALL.astype(np.float32))


@pytest.mark.parametrize("keep", [65520, np.inf])
@pytest.mark.parametrize("sign", [0, 1])
def test_rounding_is_that_of_numpy(keep: float, sign: int) -> None:
    x = _neighbours()
    x = x[(np.abs(x) < keep) & (x > 0 if sign else np.isfinite(x))]
    want = x.astype(np.float16)
    near, halves = np.empty_like(x), np.empty_like(want)
    round_into(x, near)
    _same(near, want.astype(np.float32))
    narrow_into(x, halves)
    _same(halves, want)


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 65520.0, -1e9])
def test_one_odd_number_among_many(odd: float) -> None:
    x = np.linspace(-3, 3, 5000, dtype=np.float32)
    x[17] = odd
    near, halves = np.empty_like(x), np.empty(x.shape, np.float16)
    with np.errstate(all="ignore"):
        round_into(x, near)
        narrow_into(x, halves)
        np.testing.assert_array_equal(near, x.astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(halves, x.astype(np.float16))


def test_random_numbers() -> None:
    draw = np.random.default_rng(0)
    x = draw.integers(0, 1 << 32, 1 << 20, np.uint32).view(np.float32)
    x = x[np.abs(x) < 65520]
    near = np.empty_like(x)
    round_into(x, near)
    _same(near, x.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("cols", [1, 63, 64, 65, 128, 4000])
def test_sums_of_rows_are_as_exact_as_those_of_repeats(cols: int) -> None:
    x = np.random.default_rng(0).normal(1000, 1, (2, 9, 4104)).astype(np.float32)[:, :, :cols]
    out = np.empty((2, 9), np.float32)
    arithmetic.fold("sum", 2, x, out)
    np.testing.assert_allclose(out, x.astype(np.float64).sum(2), rtol=3e-7)
