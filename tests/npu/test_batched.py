"""Products whose sides share a range that stays, on every device."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiledsl

TEXT = """
kernel summed[T in (f16, f32)](x: T[B, M, K], y: T[B, K, N]) -> (z: f32[B, M, N]):
    where B <= 6, M <= 64
    grid n in N by BN
    span b in B
    span m in M
    var acc: f32[b, m, n] = 0
    for k in K by BK:
        acc += dot(x[b, m, k], y[b, k, n] over k)
    z[b, m, n] = acc + 1.0

kernel heads[T in (f16, f32)](
        q: T[S, H, D], k: T[L, H, D], v: T[L, H, D], scale: f32) -> (o: T[S, H, D]):
    where H <= 4, D <= 64
    grid i in S by BS
    span h in H
    span d in D
    var top: f32[h, i] = -inf
    var den: f32[h, i] = 0
    var acc: f32[h, i, d] = 0
    for j in L by BL:
        s = dot(q[i, h, d], k[j, h, d] over d) * scale
        new = max(top, max(s over j))
        p = exp(s - new)
        fix = exp(top - new)
        den = den * fix + sum(p over j)
        acc = acc * fix + dot(T(p), v[j, h, d] over j)
        top = new
    o[i, h, d] = acc / den

kernel whole(x: i8[B, C, M, K], y: i8[B, C, N, K]) -> (z: i32[B, C, M, N]):
    where C <= 3, K <= 100, M <= 40
    grid b in B by BB, n in N by BN
    span c in C
    span m in M
    span k in K
    z[b, c, m, n] = dot(x[b, c, m, k], y[b, c, n, k] over k)

kernel twice(x: f16[B, M, M]) -> (z: f32[B, M, M]):
    where B <= 4, M <= 32
    grid g in 1
    span b in B
    span m in M
    span n in m
    span k in m
    a = f16(x[b, m, k] * 2.0)
    c = f16(rename(a, m -> n) + 1.0)
    z[b, m, n] = dot(a, c over k) + dot(a, rename(a, m -> n) over k)
"""
PLACES = [
    ("sim", "ascend910b3"), ("sim", "ascend310p"), ("ascend-host", "ascend910b3"),
    ("ascend-host", "ascend310p"), ("cuda-host", None),
]  # fmt: skip
SIZES = ((3, 37, 40, 21), (1, 1, 1, 1), (4, 17, 64, 40), (2, 33, 5, 130))
Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("batched") / "batched.tile"
    path.write_text(TEXT, encoding="utf-8")
    return tiledsl.load(path)


def outputs(
    kernel: tiledsl.Kernel, args: dict[str, object], device: str, chip: str | None
) -> Array:
    done = kernel.run(args, device=device, chip=chip, hazards=device == "sim").outputs
    (found,) = done.values()
    return np.asarray(found)


def types(chip: str | None) -> tuple[Any, ...]:
    return (np.float16,) if chip == "ascend310p" else (np.float16, np.float32)


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_summed(kernels: Any, device: str, chip: str | None) -> None:
    rng = np.random.default_rng(0)
    for dtype in types(chip):
        for b, m, k, n in (*SIZES, (2, 64, 0, 5), (0, 3, 3, 3)):
            x, y = rng.normal(size=(b, m, k)), rng.normal(size=(b, k, n))
            x, y = x.astype(dtype), y.astype(dtype)
            got = outputs(kernels["summed"], {"x": x, "y": y}, device, chip)
            np.testing.assert_allclose(got, x.astype(float) @ y.astype(float) + 1, atol=1e-4)


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_heads(kernels: Any, device: str, chip: str | None) -> None:
    rng = np.random.default_rng(1)
    for dtype in types(chip):
        for h, i, d, j in SIZES:
            shapes = {"q": (i, h, d), "k": (j, h, d), "v": (j, h, d)}
            args = {name: rng.normal(size=s).astype(dtype) for name, s in shapes.items()}
            q, k, v = (args[name].astype(float).transpose(1, 0, 2) for name in "qkv")
            s = q @ k.transpose(0, 2, 1) * 0.25
            p = np.exp(s - s.max(-1, keepdims=True))
            want = (p / p.sum(-1, keepdims=True) @ v).transpose(1, 0, 2)
            got = outputs(kernels["heads"], {**args, "scale": 0.25}, device, chip)
            np.testing.assert_allclose(got.astype(float), want, atol=4e-3)


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_whole_numbers(kernels: Any, device: str, chip: str | None) -> None:
    rng = np.random.default_rng(2)
    for b, m, k, n in ((5, 37, 40, 21), (1, 1, 1, 1), (2, 3, 100, 130)):
        x = rng.integers(-128, 128, (b, 3, m, k)).astype(np.int8)
        y = rng.integers(-128, 128, (b, 3, n, k)).astype(np.int8)
        got = outputs(kernels["whole"], {"x": x, "y": y}, device, chip)
        want = x.astype(int) @ y.astype(int).transpose(0, 1, 3, 2)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_computed_sides(kernels: Any, device: str, chip: str | None) -> None:
    rng = np.random.default_rng(3)
    for b, m in ((4, 32), (1, 1), (2, 17)):
        x = (rng.integers(-4, 5, (b, m, m)) / 4).astype(np.float16)
        a = 2 * x.astype(float)
        want = a @ (2 * a + 1).transpose(0, 2, 1)
        got = outputs(kernels["twice"], {"x": x}, device, chip)
        np.testing.assert_allclose(got, want, atol=1e-3)
