"""What a target cannot do, run in NumPy: the kernel as it reads, and what is said of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiledsl

CHIP = "ascend310p"

TEXT = """
from "parts/norm.tile" import halved

op loss[T in (f32, f16)](x: T[M, N], k: f32 = 2.0) -> (z: T[M, N], total: f32[1]):
    square(x, k) -> (z)
    summed(z) -> (total)

kernel square[T in (f32, f16)](x: T[M, N], k: f32) -> (z: T[M, N]):
    grid m in M by BM, n in N by BN
    z[m, n] = x[m, n] * x[m, n] * k

kernel summed[T in (f32, f16)](x: T[M, N], scale: f32 = 1.0, const k: f32 = 1.0
        ) -> (total: f32[1] = 0):
    grid m in M by BM, n in N by BN
    atomic total[0] += sum(halved(f32(x[m, n])) over m, n) * scale * k
"""
PARTS = "from std.math import sinh\n\nfn halved(x):\n    return x / 2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "norm.tile").write_text(PARTS, encoding="utf-8")
    path = tmp_path / "loss.tile"
    path.write_text(TEXT, encoding="utf-8")
    return path


def inputs() -> tuple[Any, float]:
    x = np.random.default_rng(0).normal(size=(70, 33)).astype(np.float32)
    return x, float((x.astype(np.float64) ** 2).sum())


def test_without_it_the_refusal_has_a_code_a_place_a_target_and_a_reason(file: Path) -> None:
    x, _ = inputs()
    with pytest.raises(tiledsl.CompileError) as caught:
        tiledsl.load(file)["loss"].run({"x": x}, chip=CHIP)
    (found,) = caught.value.diagnostics
    assert found.code == "L001"
    assert f"{CHIP} cannot do this yet: an `atomic` store" in found.message
    assert found.span.text.startswith("atomic total[0]")


def test_only_the_kernel_that_cannot_runs_in_numpy(file: Path) -> None:
    x, wanted = inputs()
    result = tiledsl.load(file)["loss"].run({"x": x}, chip=CHIP, fallback="numpy")
    np.testing.assert_allclose(result.outputs["total"], [wanted], rtol=1e-5)
    first, second = result.runs
    assert first.cycles is not None
    assert second.cycles is None
    assert f"summed: runs in NumPy: {file}:15:5: [L001] {CHIP} cannot do this" in second.report


def test_a_kernel_that_can_is_not_touched(file: Path) -> None:
    x, wanted = inputs()
    result = tiledsl.load(file)["loss"].run({"x": x}, fallback="numpy")
    np.testing.assert_allclose(result.outputs["total"], [wanted], rtol=1e-5)
    assert result.cycles is not None


def test_other_mistakes_stay_mistakes(file: Path) -> None:
    x, _ = inputs()
    kernel = tiledsl.load(file)["loss"]
    with pytest.raises(tiledsl.ArgumentError, match="x: expected"):
        kernel.run({"x": x.astype(np.int8)}, chip=CHIP, fallback="numpy")
    with pytest.raises(tiledsl.ArgumentError, match="fallback: expected numpy"):
        kernel.run({"x": x}, chip=CHIP, fallback="torch")
    large = "kernel k(x: f32[N]) -> (y: f32[N]):\n    where N <= 900000\n    span n in N\n"
    file.write_text(large + "    y[n] = exp(x[n]) / sum(exp(x[n]) over n)\n", encoding="utf-8")
    with pytest.raises(tiledsl.CompileError, match="S001"):
        tiledsl.load(file)["k"].run({"x": x[0]}, chip=CHIP, fallback="numpy")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_whole_in_numpy(file: Path, dtype: type) -> None:
    x = inputs()[0].astype(dtype)
    result = tiledsl.load(file)["loss"].run({"x": x, "k": 3.0}, device="numpy")
    np.testing.assert_array_equal(result.outputs["z"], (x.astype("f4") ** 2 * 3).astype(dtype))
    assert "ran in NumPy" in result.report()


def build(file: Path, kernel: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tiledsl", "build", f"{file}:{kernel}", "-t", CHIP]
    command += ["-o", str(file.parent / "out"), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_build_makes_a_module(file: Path, tmp_path: Path) -> None:
    refused = build(file, "loss")
    assert refused.returncode == 1
    assert "error[L001]" in refused.stderr
    done = build(file, "loss", "--fallback", "numpy")
    assert done.returncode == 0, done.stderr
    assert f"warning: summed: runs in NumPy: {file}:15:5: [L001] {CHIP} cannot" in done.stderr
    out = tmp_path / "out" / CHIP / "loss"
    assert any(out.glob("1_square/*.cpp"))
    assert not list(out.glob("2_summed/*.cpp"))
    moved = tmp_path / "elsewhere"
    (out / "2_summed").rename(moved)  # it needs nothing from where it was made
    file.unlink()
    (tmp_path / "parts" / "norm.tile").unlink()
    program = (
        "import numpy as np, warnings, summed_numpy as module\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    total = module.summed(np.full((70, 33), 2, np.float32), 0.5)['total']\n"
        "assert module.summed(np.ones((2, 2), np.float32))['total'] == 2\n"
        "print(total, seen[0].category.__name__, seen[0].message)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=moved, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("[1155.] RuntimeWarning summed: runs in NumPy: ")


def test_each_target_says_its_own(tmp_path: Path) -> None:
    file = tmp_path / "narrow.tile"
    text = "kernel f(x: i4[N], const far: f32 = inf) -> (y: i4[1] = -8):\n    grid n in N by BN\n"
    file.write_text(
        text + "    atomic y[0] max= i4(min(f32(max(x[n] over n)), far))\n", encoding="utf-8"
    )
    done = build(file, "f", "--fallback", "numpy", "-t", "cuda.sm80")
    assert f"[L001] {CHIP} cannot do this yet: an `atomic` store" in done.stderr
    assert "[L101] cuda.sm80 cannot do this yet: an `atomic` store of i4" in done.stderr
    program = (
        "import numpy as np, ml_dtypes, f_numpy\n"
        "print(f_numpy.f(np.array([-8, 7], ml_dtypes.int4))['y'])\n"
    )
    folder = tmp_path / "out" / "cuda.sm80" / "f"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stdout == "[7]\n", ran.stderr


def test_a_kernel_of_the_library(tmp_path: Path) -> None:
    library = Path(tiledsl.__file__).parent / "kernels"
    file = tmp_path / "own.tile"
    file.write_text(
        "from std.softmax import softmax_rows\n"
        "op pair(x: f32[M, N]) -> (y: f32[M, N]):\n    softmax_rows(x) -> (y)\n",
        encoding="utf-8",
    )
    x, _ = inputs()
    y = tiledsl.load(file)["pair"].run({"x": x}, device="numpy").outputs["y"]
    wanted = tiledsl.load(library / "softmax.tile")["softmax_rows"](x)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-7)
