"""Element types that vector units lack, moved and cast in every way, on every device."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiledsl
from tiledsl.ops import convert
from tiledsl.types import DType

TEXT = """
kernel moved[T in ({every})](x: T[M, N], row: T[N], at: i32[M], f: f32[M, N]) -> (
        copied: T[M, N], turned: T[N, M], picked: T[M, N], spread: T[M, N], chosen: T[M, N],
        made: T[M, N], number: f32[M, N], shifted: T[M, N]):
    where N <= 256
    grid m in M by 8
    span n in N
    copied[m, n] = x[m, n]
    turned[n, m] = x[m, n]
    picked[m, n] = x[at[m], n else {default}]
    spread[m, n] = row[n]
    chosen[m, n] = where(x[m, n] > row[n], x[m, n], {default})
    made[m, n] = T(f[m, n])
    number[m, n] = f32(x[m, n])
    shifted[m, n] = x[m, n + 1 else {default}]

kernel scattered[T in ({every})](x: T[M, N], at: i32[M], to: i32[N]) -> (y: T[M, N], z: T[M, N]):
    where N <= 256
    grid m in M by 8
    span n in N
    disjoint y[at[m], n else skip] = x[m, n]
    disjoint z[m, to[n] else skip] = x[m, n]
"""
PACKED = """
kernel moved[T in (i4, u4)](x: T[M, N], row: T[N], at: i32[M], f: f32[M, N], keep: bool[M]) -> (
        copied: T[M, N], turned: T[N, M], picked: T[M, N], spread: T[M, N], chosen: T[M, N],
        made: T[M, N], number: f32[M, N], rest: f16[M, N], column: i32[M], filled: T[M, N]):
    where N >= 2, N <= 256
    grid m in M by 8
    span n in N
    span r in 2 .. N
    copied[m, n] = x[m, n]
    turned[n, m] = x[m, n]
    picked[m, n] = x[at[m], n else 3]
    spread[m, n] = row[n]
    chosen[m, n] = where(x[m, n] > row[n], x[m, n], 3)
    made[m, n] = T(f[m, n])
    number[m, n] = f32(x[m, n])
    rest[m, r] = f16(x[m, r]) * 0.5
    column[m] = i32(x[m, N - 1])
    filled[m, n] = T(where(keep[m], 5, 2))

kernel scattered[T in (i4, u4)](x: T[M, N], at: i32[M]) -> (y: T[M, N]):
    grid m in M by 8, n in N by 32
    disjoint y[at[m], n else skip] = x[m, n]
"""
NUMBERS = """
kernel tiled[T in ({every}, i4, u4, i32, f16, f32)](x: T[N], s: T[4], t: T[N, 4]) -> (
        sum: f32[N], same: T[N], chosen: T[N], column: f32[N]):
    grid j in N by 32
    sum[j] = f32(s[0]) + f32(x[j])
    same[j] = s[1]
    chosen[j] = where(x[j] > s[2], x[j], s[3])
    column[j] = f32(t[j, 1])

kernel single[T in ({every}, i4, u4, i32, f16, f32)](t: T[N, 4], p: T) -> (
        row: f32[N], picked: T[N, 4]):
    grid i in N
    row[i] = f32(t[i, 1]) * 2.0 + f32(p)
    span k in 4
    picked[i, k] = where(t[i, k] > p, p, t[i, 2])
"""
TYPES = [
    DType.I8, DType.U8, DType.I16, DType.U16, DType.U32, DType.I64, DType.F8E4M3, DType.F8E5M2,
]  # fmt: skip
PLACES = [
    ("sim", "ascend910b3"), ("sim", "ascend310p"), ("ascend-host", "ascend910b3"),
    ("ascend-host", "ascend310p"), ("cuda-host", None),
]  # fmt: skip
SHAPES = [(0, 5), (1, 1), (3, 37), (17, 64), (33, 251)]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> tiledsl.Module:
    path = tmp_path_factory.mktemp("types") / "moved.tile"
    every = ", ".join(map(str, TYPES))
    path.write_text(TEXT.format(every=every, default=3), encoding="utf-8")
    return tiledsl.load(path)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tiledsl.Module:
    path = tmp_path_factory.mktemp("types") / "packed.tile"
    path.write_text(PACKED, encoding="utf-8")
    return tiledsl.load(path)


def elements(dtype: DType, shape: tuple[int, ...], seed: int) -> npt.NDArray[Any]:
    """Return every bit pattern, as far as they go."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*shape, dtype.size), np.uint8).view(dtype.numpy)[..., 0]


@pytest.mark.parametrize(("device", "chip"), PLACES)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_moved(module: tiledsl.Module, dtype: DType, device: str, chip: str | None) -> None:
    if chip == "ascend310p" and dtype in (DType.I16, DType.U16):
        pytest.skip("310P has no casts from 16-bit integers: L001")
    for shape in SHAPES:
        m, n = shape
        rng = np.random.default_rng(m)
        x, row = elements(dtype, shape, 1), elements(dtype, (n,), 2)
        at = rng.permutation(m).astype(np.int32)
        to = rng.permutation(n).astype(np.int32)
        f = rng.standard_normal(shape).astype(np.float32)
        f *= 2.0 ** rng.integers(-20, 36, shape)
        given = {"x": x, "row": row, "at": at, "f": f}
        got = module["moved"].run(given, device=device, chip=chip, types={"T": dtype}).outputs
        three = convert(np.asarray(3), dtype)
        with np.errstate(all="ignore"):
            wanted = {
                "copied": x, "turned": x.T, "picked": x[at], "spread": np.tile(row, (m, 1)),
                "chosen": np.where(x > row, x, three), "made": convert(f, dtype),
                "number": convert(x, DType.F32),
                "shifted": np.concatenate([x[:, 1:], np.full((m, 1), three)], 1),
            }  # fmt: skip
        for name, array in wanted.items():
            same(got[name], array, f"{name} {shape}")
        given = {"x": x, "at": at, "to": to}
        got = module["scattered"].run(given, device=device, chip=chip, types={"T": dtype}).outputs
        y, z = np.empty_like(x), np.empty_like(x)
        y[at], z[:, to] = x, x
        same(got["y"], y, f"rows {shape}")
        same(got["z"], z, f"columns {shape}")


@pytest.mark.parametrize(("device", "chip"), PLACES)
@pytest.mark.parametrize("dtype", [DType.I4, DType.U4], ids=str)
def test_packed(packed: tiledsl.Module, dtype: DType, device: str, chip: str | None) -> None:
    """Two elements to a byte, with odd sizes; of ``rest`` the first two columns are not written."""
    low, high = map(int, dtype.limits)
    for m, n in [(0, 5), (1, 2), (3, 37), (17, 64), (33, 251)]:
        rng = np.random.default_rng(m)
        x, row = (rng.integers(low, high + 1, size).astype(dtype.numpy) for size in ((m, n), n))
        at = rng.permutation(m).astype(np.int32)
        f = (rng.standard_normal((m, n)) * 10).astype(np.float32)
        keep = rng.integers(0, 2, m).astype(bool)
        given = {"x": x, "row": row, "at": at, "f": f, "keep": keep}
        got = packed["moved"].run(given, device=device, chip=chip, types={"T": dtype}).outputs
        whole, line = x.astype(np.int32), row.astype(np.int32)
        wanted = {
            "copied": whole, "turned": whole.T, "picked": whole[at],
            "spread": np.tile(line, (m, 1)), "chosen": np.where(whole > line, whole, 3),
            "made": np.clip(np.trunc(f), low, high), "number": whole, "column": whole[:, -1],
            "filled": np.where(keep[:, None], 5, np.full((m, n), 2)),
        }  # fmt: skip
        for name, array in wanted.items():
            same(got[name].astype(np.int32), array.astype(np.int32), f"{name} {m, n}")
        same(got["rest"][:, 2:], (whole[:, 2:] * 0.5).astype(np.float16), "rest")
        given = {"x": x, "at": at}
        got = packed["scattered"].run(given, device=device, chip=chip, types={"T": dtype}).outputs
        y = np.empty_like(whole)
        y[at] = whole
        same(got["y"].astype(np.int32), y, f"rows {m, n}")


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_numbers(tmp_path: Path, device: str, chip: str | None) -> None:
    """Single elements and parameters, which the scalar unit reads."""
    path, size = tmp_path / "numbers.tile", 37
    path.write_text(NUMBERS.format(every=", ".join(map(str, TYPES))), encoding="utf-8")
    module = tiledsl.load(path)
    for dtype in (*TYPES, DType.I4, DType.U4, DType.I32, DType.F16, DType.F32):
        if chip == "ascend310p" and dtype in (DType.I16, DType.U16):
            continue
        rng = np.random.default_rng(1)
        low, high = (-20, 20) if dtype.is_float else (dtype.limits[0] // 2, dtype.limits[1] // 2)
        x, s, t, p = (
            rng.integers(int(low), int(high) + 1, shape).astype(dtype.numpy)
            for shape in (size, 4, (size, 4), 1)
        )
        got: dict[str, npt.NDArray[Any]] = {}
        for name, given in (
            ("tiled", {"x": x, "s": s, "t": t}), ("single", {"t": t, "p": p[0].item()}),
        ):  # fmt: skip
            run = module[name].run(given, device=device, chip=chip, types={"T": dtype})
            got |= run.outputs
        y, u, v, q = (convert(a, DType.F32) for a in (x, s, t, p))
        wanted = {
            "sum": u[0] + y, "same": np.full(size, s[1]), "chosen": np.where(x > s[2], x, s[3]),
            "column": v[:, 1], "row": v[:, 1] * np.float32(2) + q,
            "picked": np.where(t > p, p, t[:, 2:3]),
        }  # fmt: skip
        for name, array in wanted.items():
            found = np.asarray(got[name]).astype(np.float64)
            same(found, array.astype(np.float64), f"{name} {dtype}")


def same(got: npt.NDArray[Any], wanted: npt.NDArray[Any], what: str) -> None:
    """Hold that two arrays are equal; all NaNs are one."""
    if got.dtype.kind != "i" and got.dtype.kind != "u":
        with np.errstate(invalid="ignore"):
            got, wanted = got.astype(np.float64), wanted.astype(np.float64)
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(wanted[wanted == 0]))
    np.testing.assert_array_equal(got, wanted, err_msg=what)
