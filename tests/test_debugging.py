"""``print`` and ``assert``: in the simulator, and on devices with ``debug``."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import tiledsl
from tiledsl.backends.printing import fixed_string, format_string
from tiledsl.cli.build import build
from tiledsl.runtime.errors import AssertionFailedError
from tiledsl.types import DType

TEXT = r"""
kernel told(x: f32[M, N], k: i32[M], u: u32[N], s: f32) -> (y: f32[M, N]):
    where N <= 64
    grid m in M by BM
    span n in N
    top = max(x[m, n] over n)
    print("rows from {} of {}", start(m), M)
    print("top = {} 100% ??/ \"q\" {} %s %d {}", top, top > 0.5, k[m])
    print("u {} é", u[n])
    print("lane {} {}", x[m, n] > 0.0, x[m, n])
    if k[0] > 5:
        print("never")
    assert x[m, n] < s, "too 50% {} large \"%n\""
    assert s > 0.0
    y[m, n] = x[m, n]
"""
LINES = [
    "rows from 0 of 2",
    'top = 0.000000 100% ??/ "q" 0 %s %d 3 (m = 0)',
    'top = 0.750000 100% ??/ "q" 1 %s %d -4 (m = 1)',
    "u 1 é (n = 0)", "u 4294967295 é (n = 1)", "u 5 é (n = 2)",
    "lane 0 -0.500000 (m = 0, n = 0)", "lane 0 -0.250000 (m = 0, n = 1)",
    "lane 0 0.000000 (m = 0, n = 2)", "lane 1 0.250000 (m = 1, n = 0)",
    "lane 1 0.500000 (m = 1, n = 1)", "lane 1 0.750000 (m = 1, n = 2)",
]  # fmt: skip
PLACES = [
    ("sim", "ascend910b3"), ("sim", "ascend310p"), ("ascend-host", "ascend910b3"),
    ("ascend-host", "ascend310p"), ("cuda-host", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("debugging") / "told.tile"
    path.write_text(TEXT, encoding="utf-8")
    return path


def given(s: float, shift: float = 0.0) -> dict[str, Any]:
    return {
        "x": np.arange(6, dtype=np.float32).reshape(2, 3) / 4 - 0.5 - shift,
        "k": np.array([3, -4], np.int32),
        "u": np.array([1, 2**32 - 1, 5], np.uint32),
        "s": s,
    }


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_what_is_printed(
    path: Path, device: str, chip: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    kernel = tiledsl.load(path)["told"]
    kernel.run(given(9.0), device=device, chip=chip, debug=True, hazards=device == "sim")
    seen = capfd.readouterr().out.splitlines()
    # Threads of a GPU print in any order.
    assert (sorted(seen) == sorted(LINES)) if device == "cuda-host" else (seen == LINES)


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_what_fails(path: Path, device: str, chip: str | None) -> None:
    kernel = tiledsl.load(path)["told"]
    for values, text in (
        (given(0.25), 'told: told.tile:13: assertion failed: too 50% {} large "%n"'),
        (given(-1.0, 3.0), "told: told.tile:14: assertion failed: s > 0.0"),
    ):
        with pytest.raises(AssertionFailedError) as caught:
            kernel.run(values, device=device, chip=chip, debug=True)
        assert str(caught.value) == text


@pytest.mark.parametrize(("device", "chip"), PLACES)
def test_left_out_without_debug(
    path: Path, device: str, chip: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    kernel = tiledsl.load(path)["told"]
    done = kernel.run(given(-1.0), device=device, chip=chip, debug=False)
    assert capfd.readouterr().out == ""
    np.testing.assert_array_equal(done.outputs["y"], given(0.0)["x"])


def test_in_numpy_assertions_hold_too(path: Path) -> None:
    kernel = tiledsl.load(path)["told"]
    with pytest.raises(AssertionFailedError, match=r"told\.tile:13: assertion failed: too 50%"):
        kernel.run(given(0.25), device="numpy")
    done = kernel.run(given(0.25), device="numpy", debug=False)
    np.testing.assert_array_equal(done.outputs["y"], given(0.0)["x"])


def test_built(path: Path, tmp_path: Path) -> None:
    for target, word in (("ascend910b3", "AscendC::printf("), ("cuda.sm80", "printf(")):
        for flags, there in ((["--debug"], True), ([], False)):
            folder = tmp_path / f"{target}{there}"
            words = [str(path), "-t", target, "-o", str(folder), *flags]
            assert CliRunner().invoke(build, words).exit_code == 0
            (source,) = [p for p in folder.rglob("told.c*") if p.suffix in (".cpp", ".cu")]
            assert (word in source.read_text()) is there


def test_nothing_in_a_text_is_obeyed() -> None:
    assert fixed_string('50% "a" \\n ??= \n é', is_format=True) == (
        '"50%% \\"a\\" \\\\n \\?\\?= \\n \\303\\251\\n"'
    )
    assert fixed_string("50%", is_format=False) == '"50%\\n"'
    kinds = (DType.F32, DType.I64, DType.U32, DType.BOOL)
    assert format_string("{}%d{} {}{}", kinds) == '"%f%%d%ld %u%d\\n"'
    assert format_string("\x01" + "7{}", (DType.I32,)) == '"\\0017%d\\n"'


def test_mixed_kernels_print_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mixed.tile"
    path.write_text(
        "kernel mixed(x: f16[M, K], w: f16[K, N]) -> (y: f32[M, N]):\n"
        "    where K <= 32, N <= 32\n"
        "    grid m in M by 16\n"
        "    span k in K\n"
        "    span n in N\n"
        "    s = x[m, k] @ w[k, n]\n"
        '    print("rows {}", size(m))\n'
        '    print("sum {}", sum(s over n))\n'
        "    assert s < 100.0\n"
        "    y[m, n] = s + 1.0\n",
        encoding="utf-8",
    )
    kernel = tiledsl.load(path)["mixed"]
    x, w = np.eye(5, 4, dtype=np.float16), np.ones((4, 3), np.float16)
    wanted = ["rows 5", *(f"sum {3.0 if i < 4 else 0.0:f} (m = {i})" for i in range(5))]
    for device in ("sim", "ascend-host", "cuda-host"):
        kernel.run({"x": x, "w": w}, device=device, debug=True)
        assert sorted(capfd.readouterr().out.splitlines()) == sorted(wanted), device
        with pytest.raises(AssertionFailedError, match=r"assertion failed: s < 100\.0"):
            kernel.run({"x": x * 200, "w": w}, device=device, debug=True)
        capfd.readouterr()
