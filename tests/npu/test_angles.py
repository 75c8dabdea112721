"""Sine and cosine of angles of any size, where programs with large ones and small ones meet."""

from pathlib import Path

import numpy as np
import pytest

import tiledsl

TEXT = """
kernel turn(x: f32[M, N], t: f32[M]) -> (s: f32[M, N], c: f32[M, N], u: f32[M]):
    where N <= 300
    grid m in M by BM
    span n in N
    s[m, n] = sin(x[m, n])
    c[m, n] = cos(x[m, n])
    u[m] = sin(t[m])
"""
PLACES = [
    ("sim", "ascend910b3"), ("sim", "ascend310p"), ("ascend-host", "ascend910b3"),
    ("ascend-host", "ascend310p"),
]  # fmt: skip


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_angles_of_any_size(tmp_path: Path, device: str, chip: str) -> None:
    path = tmp_path / "turn.tile"
    path.write_text(TEXT, encoding="utf-8")
    kernel = tiledsl.load(path)["turn"]
    rng = np.random.default_rng(0)
    for shape in ((9, 300), (1, 1), (3, 37), (0, 4), (4, 0)):
        x = 10.0 ** rng.uniform(-3, 38.4, shape) * rng.choice([-1, 1], shape)
        x[: shape[0] // 2] %= 100  # programs without a large one
        if x.size > 10:
            x[-1, -6:] = [0.0, np.inf, np.nan, 3.4028e38, 16367173 * 2.0**72, np.pi * 1e6]
        x = x.astype(np.float32)
        t = x[:, 0].copy() if shape[1] else np.ones(shape[0], np.float32)
        watched = device == "sim"
        got = kernel.run(
            {"x": x, "t": t}, device=device, chip=chip, hazards=watched, tiles={"BM": 2}
        ).outputs
        with np.errstate(invalid="ignore"):
            wide, first = x.astype(float), t.astype(float)
            for name, want in (("s", np.sin(wide)), ("c", np.cos(wide)), ("u", np.sin(first))):
                np.testing.assert_allclose(got[name], want, rtol=1e-6, atol=1e-30)
