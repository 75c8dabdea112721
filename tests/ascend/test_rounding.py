"""Numbers rounded by the host's C++ are those that NumPy rounds, for each type that is narrow."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import tiledsl
from tiledsl.ops import convert
from tiledsl.types import DTYPES

INCLUDE = Path(__file__).parent.parent.parent / "backends" / "ascend" / "include"
WORDS = {
    "f16": "tdsl::RoundToHalf", "bf16": "tdsl::RoundToBfloat16",
    "f8e4m3": "tdsl::RoundToF8<3, 7>", "f8e5m2": "tdsl::RoundToF8<2, 15>",
}  # fmt: skip


def test_rounding(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 20000, dtype=np.uint64).astype(np.uint32)
    ends = [0, 65504, 65519, 65520, 448, 464, 465, 57344, 61440, 2**-25, 1e-45, np.inf, np.nan]
    near = np.asarray(ends, np.float32)
    x = np.concatenate([bits.view(np.float32), near, -near])
    x.tofile(tmp_path / "x")
    lines = "".join(f"for (float v : x) put({word}(v));\n" for word in WORDS.values())
    (tmp_path / "r.cpp").write_text(
        f"""#include <cstdio>
#include <vector>
#include "tiledsl_scalar.h"
static void put(float v) {{ fwrite(&v, 4, 1, stdout); }}
int main() {{
std::vector<float> x({x.size});
if (fread(x.data(), 4, x.size(), stdin) != x.size()) return 1;
{lines}}}
"""
    )
    made = tmp_path / "r"
    subprocess.run(
        ["g++", "-std=c++17", "-O2", f"-I{INCLUDE}", str(tmp_path / "r.cpp"), "-o", str(made)],
        check=True,
    )
    with (tmp_path / "x").open("rb") as given:
        done = subprocess.run([str(made)], stdin=given, capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.float32).reshape(len(WORDS), x.size)
    for name, got in zip(WORDS, found, strict=True):
        with np.errstate(all="ignore"):
            want = convert(x, DTYPES[name]).astype(np.float32)
        np.testing.assert_array_equal(got, want, name)


@pytest.mark.parametrize("name", WORDS)
def test_the_launcher_rounds(name: str, tmp_path: Path) -> None:
    path = tmp_path / "f.tile"
    path.write_text(
        f"kernel f(x: f32[N], s: {name}) -> (y: f32[N]):\n    grid n in N by 64\n"
        "    y[n] = x[n] * s\n"
    )
    files = tiledsl.load(path)["f"].build("ascend910b3")
    assert f"    s = {WORDS[name]}(s);\n" in files["f_host.cpp"]
