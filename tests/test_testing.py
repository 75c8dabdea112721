"""`test` items: their cases, inputs, comparisons, and the pytest plugin."""

import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tiledsl import CompileError
from tiledsl.check import load_text
from tiledsl.driver import ModuleCompiler, load_checked
from tiledsl.runtime.kernel import Kernel
from tiledsl.testing.cases import Case, Plan, plan_of
from tiledsl.testing.compare import compare
from tiledsl.testing.inputs import Inputs
from tiledsl.testing.runner import Options, run_case, shrink
from tiledsl.types import DType

pytest_plugins = ["pytester"]

HEAD = """
kernel f[T in (f32, f16, i32)](x: T[M, N], ids: i32[K], at: i32[G + 1], scale: f32, const k: i32 = 2
        ) -> (y: T[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = x[m, n]

"""
CASE = Case((("M", 3), ("N", 4), ("K", 5), ("G", 6)))


def plan(lines: str) -> Plan:
    body = "".join(f"    {line}\n" for line in lines.strip().split("\n"))
    module = load_text(f"{HEAD}test f:\n{body}", "plan.tile")
    return plan_of(module.tests["f"][0])


def inputs(lines: str, case: Case = CASE, seed: int = 0) -> dict[str, Any]:
    module = load_text(HEAD, "inputs.tile")
    kernel = Kernel(module.kernels["f"].item, ModuleCompiler(module))
    return Inputs(kernel, case, plan(lines), seed).arguments


def test_cases_are_a_product() -> None:
    found = plan("for T in (f32, f16), (M, N) in ((1, 2), (3, 4)), k in (7)").cases
    assert [str(c) for c in found] == [
        "T=f32 M=1 N=2 k=7",
        "T=f32 M=3 N=4 k=7",
        "T=f16 M=1 N=2 k=7",
        "T=f16 M=3 N=4 k=7",
    ]
    assert [str(c) for c in plan("for (M, N) in ((1, 2))").cases] == ["M=1 N=2"]
    assert [str(c) for c in plan("for M in (1, 2)\nfor N in (5)").cases] == ["M=1 N=5", "M=2 N=5"]
    assert [str(c) for c in plan("exact").cases] == [""]
    found = plan("for scale in (0.5, -1), k in (true)").cases
    assert [str(c) for c in found] == ["scale=0.5 k=true", "scale=-1 k=true"]


def test_lines_of_a_test() -> None:
    found = plan('tolerance 1e-3, 1e-5\nexact\ncycles < 9000 on ascend910b3\nfails "N <= 4"')
    assert found.tolerance == (1e-3, 1e-5)
    assert found.exact
    assert found.fails == "N <= 4"
    assert (found.limits[0].op, found.limits[0].limit) == ("<", 9000)


def test_rows_of_the_wrong_length() -> None:
    with pytest.raises(CompileError, match="3 values for the names M, N"):
        plan("for (M, N) in ((1, 2, 3), (4, 5))")


def test_inputs_have_the_shapes_and_types_of_the_case() -> None:
    found = inputs("exact", Case((("T", "f16"), *CASE.values)))
    assert found["x"].shape == (3, 4)
    assert found["x"].dtype == np.float16
    assert found["at"].shape == (7,)
    np.testing.assert_array_equal(
        found["x"], inputs("exact", Case((("T", "f16"), *CASE.values)))["x"]
    )
    assert (found["x"] != inputs("exact", Case((("T", "f16"), *CASE.values)), seed=1)["x"]).any()


def test_given_lines_shape_inputs() -> None:
    found = inputs(
        "given x = uniform(1, 2)\ngiven ids = integers(0, G - 1)\ngiven at = segments(K)\n"
        "given scale = 0.25"
    )
    assert ((found["x"] >= 1) & (found["x"] <= 2)).all()
    assert ((found["ids"] >= 0) & (found["ids"] < 6)).all()
    assert (np.diff(found["at"]) >= 0).all()
    assert (found["at"][0], found["at"][-1]) == (0, 5)
    assert found["scale"] == 0.25
    np.testing.assert_array_equal(inputs("given ids = arange()")["ids"], np.arange(5))
    assert sorted(inputs("given ids = permutation()")["ids"]) == list(range(5))
    assert (inputs("given x = 3")["x"] == 3).all()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("given x = gamma(2)", "inputs are normal(m, s)"),
        ("given ids = integers(1, 0)", "there is no integer from 1 to 0"),
        ("given x = integers(0, Q)", "`Q` is no number; the names here are"),
        ('given x = file("none.npy")', "cannot read none.npy"),
        ("given ids = integers(0, 1 // 0)", "it divides by 0"),
    ],
)
def test_wrong_inputs_are_located(line: str, words: str) -> None:
    with pytest.raises(CompileError) as caught:
        inputs(line)
    assert words in str(caught.value)
    assert "plan.tile:" in str(caught.value)


def test_comparisons() -> None:
    one, nan = np.ones(4, np.float32), np.full(4, np.nan, np.float32)
    assert not compare(one, one, DType.F32).text
    assert not compare(nan, nan, DType.F32).text
    assert "got nan, expected 1.0" in compare(nan, one, DType.F32).text
    assert "4 of 4 elements differ" in compare(one * 1.001, one, DType.F32).text
    assert not compare(one * 1.001, one, DType.F32, (2e-3,)).text
    assert not compare(one * 1.001, one, DType.F32, (0, 2e-3)).text
    assert compare(one * 1.001, one, DType.F32, (0, 2e-4)).text
    assert compare(np.nextafter(one, 2), one, DType.F32, exact=True).text
    assert "shape [4], expected [2]" in compare(one, one[:2], DType.F32).text
    assert "got 3, expected 2" in compare(np.array([3]), np.array([2]), DType.I32).text
    # A row of one element has its neighbours' size for a yardstick, not its own.
    column = np.array([[8.0], [1e-3]], np.float32)
    assert not compare(column + np.float32(1e-5), column, DType.F32).text
    assert compare(column + np.float32(1e-3), column, DType.F32).text
    half = one.astype(ml_dtypes.bfloat16)
    assert not compare(half * ml_dtypes.bfloat16(1.01), half, DType.BF16).text


def test_an_empty_array_needs_no_integer() -> None:
    given = inputs("given ids = integers(0, K - 1)", CASE.with_value("K", 0))
    assert given["ids"].shape == (0,)


WRONG = """
kernel f(x: f32[M, N]) -> (y: f32[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = x[m, n]

reference f:
    y[m, n] = where(m >= 2 and n >= 5, 0, x[m, n])

test f:
    for M in (1, 30), N in (40)

kernel g(x: f32[N]) -> (y: f32[N]):
    where N <= 4
    grid n in N by BN
    y[n] = x[n] + 1

test g:
    for N in (5)
    fails "N <= 4"

test g:
    for N in (3)
    fails "N <= 4"
"""


def test_failures_are_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "wrong.tile"
    path.write_text(WRONG, encoding="utf-8")
    module, kernels = load_checked(path)
    test = plan_of(module.tests["f"][0])

    def again(case: Case) -> Any:
        return run_case(module, kernels["f"], test, case, Options())

    first = again(test.cases[1])
    assert "y: " in first.failure
    assert str(shrink(first, again).case) == "M=3 N=6"
    assert not again(test.cases[0]).failure


def test_a_launch_that_must_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.tile"
    path.write_text(WRONG, encoding="utf-8")
    module, kernels = load_checked(path)
    refused, accepted = (plan_of(test) for test in module.tests["g"])
    assert not run_case(module, kernels["g"], refused, refused.cases[0], Options()).failure
    outcome = run_case(module, kernels["g"], accepted, accepted.cases[0], Options())
    assert outcome.failure == 'it ran, but "N <= 4" was to stop it'


def test_kernels_without_a_reference_are_compared_with_their_text(tmp_path: Path) -> None:
    path = tmp_path / "g.tile"
    path.write_text(WRONG.replace('fails "N <= 4"', "exact"), encoding="utf-8")
    module, kernels = load_checked(path)
    test = plan_of(module.tests["g"][1])
    outcome = run_case(module, kernels["g"], test, test.cases[0], Options())
    assert outcome.errors == (("y", 0.0),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cycles < 1 on ascend910b1", "cycles on ascend910b1, expected < 1"),
        ("cycles <= 9e9 on ascend910b4", ""),
        ("cycles < 9 on ascend999", "target: expected one of"),
    ],
)
def test_limits_on_cycles(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "g.tile"
    path.write_text(WRONG.replace('fails "N <= 4"', line), encoding="utf-8")
    module, kernels = load_checked(path)
    test = plan_of(module.tests["g"][1])
    failure = run_case(module, kernels["g"], test, test.cases[0], Options()).failure
    assert (words in failure) if words else not failure


def test_sizes_that_facts_give(tmp_path: Path) -> None:
    path = tmp_path / "h.tile"
    path.write_text(
        "kernel h(x: f32[K], s: f32[G]) -> (y: f32[K]):\n    where K == G * 4\n"
        "    grid k in K by 8\n    y[k] = x[k] * s[k // 4]\n\ntest h:\n    for G in (0, 5)\n",
        encoding="utf-8",
    )
    module, kernels = load_checked(path)
    (test,) = map(plan_of, module.tests["h"])
    for case in test.cases:
        outcome = run_case(module, kernels["h"], test, case, Options())
        assert not outcome.failure
        assert outcome.result is not None
        assert outcome.result.outputs["y"].shape == (4 * dict(case.values)["G"],)


def test_hazards_are_looked_for_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "put.tile"
    path.write_text(
        "kernel put(x: f32[N], at: i32[N]) -> (y: f32[N] = 0):\n    grid n in N by 16\n"
        "    disjoint y[at[n] else skip] = x[n]\n\n"
        "test put:\n    for N in (40)\n    given x = uniform(1, 1)\n"
        "    given at = integers(0, 0)\n",
        encoding="utf-8",
    )
    module, kernels = load_checked(path)
    (test,) = map(plan_of, module.tests["put"])
    failures = [
        run_case(module, kernels["put"], test, test.cases[0], options).failure
        for options in (Options(), Options(hazards=False))
    ]
    assert "write after write" in failures[0]
    assert not failures[1]


def plugin() -> tuple[str, ...]:
    """Return the words that load the plugin where it is not installed."""
    installed = any(e.name == "tiledsl" for e in entry_points(group="pytest11"))
    return () if installed else ("-p", "tiledsl.testing.plugin")


def test_the_plugin_collects_cases(pytester: pytest.Pytester) -> None:
    pytester.makefile(".tile", own=WRONG)
    pytester.makefile(".tile", none="const X = 1\n")
    result = pytester.runpytest_subprocess(*plugin(), "-q")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*M=3 N=6: y: 1 of 18 elements differ*", "again: tiledsl run *:f M=3 N=6 --hazards"]
    )


OWN = """
kernel twice[T in (f32, f16)](x: T[N], factor: f32 = 2.0) -> (y: T[N]):
    grid n in N by BN
    y[n] = T(f32(x[n]) * factor)

reference twice:
    y[n] = x[n] * factor

kernel near(x: f32[N]) -> (y: f32[N]):
    grid n in N by BN
    y[n] = where(n == 6, x[n] + 0.01, x[n])

reference near:
    y[n] = x[n]

test near:
    for N in (3, 5)
    given x = uniform(1, 2)
"""
USERS = """
import numpy as np
import pytest


def test_arrays_and_sizes(tile_kernel, assert_matches_reference):
    twice = tile_kernel("own.tile:twice")
    assert_matches_reference(twice, np.arange(7, dtype=np.float32), factor=3.0)
    for n in (0, 1, 17):
        assert_matches_reference(twice, N=n, T="f16", tiles={"BN": 16})
    assert (twice(np.ones(3, np.float16)) == 2).all()


def test_what_the_run_is_given(tile_kernel, tile_device, record_property):
    result = tile_kernel("own.tile:near").run({"x": np.ones(3, np.float32)})
    assert (result.cycles is not None) == (tile_device == "sim")
    print("on", result.report().split(chr(10))[0])


def test_shrunk(tile_kernel, assert_matches_reference):
    assert_matches_reference(tile_kernel("own.tile:near"), N=40)


def test_given(tile_kernel, assert_matches_reference):
    assert_matches_reference(tile_kernel("own.tile:near"), np.ones(9, np.float32))


def test_within(tile_kernel, assert_matches_reference):
    assert_matches_reference(tile_kernel("own.tile:near"), N=9, tolerance=(0.0, 0.02))


def test_no_such_kernel(tile_kernel, assert_matches_reference):
    with pytest.raises(ValueError, match="no kernel `nears`; did you mean `near`"):
        tile_kernel("own.tile:nears")
    with pytest.raises(ValueError, match="which kernel"):
        tile_kernel("own.tile")
    with pytest.raises(ValueError, match="expected an array or a number, got list"):
        assert_matches_reference(tile_kernel("own.tile:near"), [1.0])
    tile_kernel("std:attention:flash_attention")
"""


def test_the_manual_shows_tests_that_pass(pytester: pytest.Pytester) -> None:
    root = Path(__file__).parent.parent
    page = (root / "docs" / "testing.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    pytester.makepyfile(test_shown=shown)
    pytester.makefile(".tile", gemm=(root / "examples" / "gemm.tile").read_text(encoding="utf-8"))
    result = pytester.runpytest_subprocess(*plugin(), "-q", "test_shown.py")
    result.assert_outcomes(passed=2)


def test_the_plugin_has_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makefile(".tile", own=OWN)
    pytester.makepyfile(test_own=USERS)
    loaded = plugin()
    devices = ("--tile-device", "sim", "--tile-device", "cuda-host")
    result = pytester.runpytest_subprocess(*loaded, *devices, "-q", "test_own.py")
    result.assert_outcomes(passed=8, failed=4)
    result.stdout.fnmatch_lines(
        [
            "*N=7: y: 1 of 7 elements differ*",
            "*again: tiledsl run *own.tile:near N=7 --hazards*",
            "*near: y: 1 of 9 elements differ, the first at [[]6[]]*",
        ]
    )
    chosen = pytester.runpytest_subprocess(
        *loaded, "--tile-chip", "ascend910b4", "-q", "-s", "test_own.py", "-k", "given"
    )
    chosen.stdout.fnmatch_lines(["*on*ascend910b4*"])
