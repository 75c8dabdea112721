"""``place NAME in gm``: a kernel in parts that are launches of their own; results do not change."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import tiledsl
from tiledsl.cli import main
from tiledsl.diagnostics import CompileError
from tiledsl.driver import load_checked, reschedule
from tiledsl.ir import Kernel as KernelIR
from tiledsl.ir import OpGraph
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.errors import AssertionFailedError, ScheduleWarning
from tiledsl.runtime.kernel import Kernel, Result
from tiledsl.testing import runner
from tiledsl.tuning import Choice, Subject
from tiledsl.tuning.model import predict

ROOT = Path(__file__).parent.parent
EXAMPLES, KERNELS = ROOT / "examples", ROOT / "tiledsl" / "kernels"
DEVICES = ("sim", "ascend-host", "cuda-host")
Array = npt.NDArray[Any]
RNG = np.random.default_rng(17)

TEXT = """\
# A grid of single positions, and a domain that does not begin at 0.
kernel heads(x: f32[B, H, N], s: f32[H], first: i32) -> (y: f32[B, H, N] = 0):
    where 0 <= first, first <= N, N <= 100
    grid b in B, h in H
    span n in N[first ..]
    e = exp(x[b, h, n] * s[h] - max(x[b, h, n] over n))
    y[b, h, n] = e / sum(e over n)

# The scale of a row lacks n; the same programs compute what has it.
kernel scaled(a: f16[M, K], b: f16[K, N]) -> (c: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    var square: f32[m] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
        v = f32(a[m, k])
        square += sum(v * v over k)
    c[m, n] = acc * rsqrt(square + 1.0)

# What is cut lacks n, and nothing beside it has n.
kernel rows(x: f32[M, D], y: f32[N]) -> (z: f32[M, N]):
    where D <= 64
    grid m in M by BM, n in N by BN
    span d in D
    s = sum(x[m, d] over d)
    z[m, n] = s + y[n]

# What is cut lacks the only range of the grid.
kernel plain(x: f32[N], w: f32[D]) -> (y: f32[N]):
    where D <= 100
    grid n in N by BN
    span d in D
    s = sum(w[d] over d)
    y[n] = x[n] * s

# A product that goes on with what the first launch has left.
kernel again(a: f16[M, K], b: f16[K, N]) -> (y: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    half = max(acc, 0)
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    y[m, n] = acc + half

# A sum over one tile, whose length the text says; `totals` is without.
kernel blocks(x: f32[M, N]) -> (y: f32[M, N], z: f32[N] = 0):
    where N <= 64
    grid m in M by 8
    span n in N
    s = sum(x[m, n] over m)
    y[m, n] = x[m, n] - s
    atomic z[n] += s

kernel totals(x: f32[M, N]) -> (z: f32[N] = 0):
    where N <= 64
    grid m in M by BM
    span n in N
    s = sum(x[m, n] over m)
    atomic z[n] += s * 2

# Arrays that are updated in place, read and written on both sides; an output of two halves.
kernel updated(inout p: f32[M, N], g: f32[M, N]) -> (y: f32[M, N], n2: f32[1] = 0):
    where N <= 64, N % 2 == 0
    grid m in M by BM
    span n in N, i in N // 2
    old = p[m, n]
    p[m, n] = old * 0.5
    y[m, i] = g[m, i]
    atomic n2[0] += sum(old over m, n)
    u = g[m, n] * 2 + sum(old over n)
    p[m, n] = p[m, n] + u + old
    y[m, i + N // 2] = g[m, i] + 1
    atomic n2[0] += sum(u over m, n)

# State that goes on after a cut, a mask, whole numbers.
kernel state(x: f32[M, N]) -> (y: f32[M], z: i32[M]):
    grid m in M by BM
    var top: f32[m] = -1e30
    var seen: i32[m] = 0
    for n in N by BN:
        top = max(top, max(x[m, n] over n))
        seen += sum(i32(x[m, n] > 0) over n)
    high = top > 1
    seen = seen * 2
    for n in N by BN:
        seen += sum(i32(where(high, x[m, n] < 0, x[m, n] > 1)) over n)
    half = top * 0.5
    z[m] = seen + i32(high)
    y[m] = half

# P stands only in the outputs.
kernel pooled(x: f32[M, N]) -> (y: f32[P, N], z: f32[P]):
    where P == M // 2, N <= 64
    grid p in P by BP
    span n in N
    t = max(x[2 * p, n], x[2 * p + 1, n])
    u = sum(t over n)
    y[p, n] = t - u
    z[p] = u

# Rows of a ragged batch, a span that a tile decides, random bits, four bits to an element.
kernel ragged(x: f32[M, N], off: i32[G + 1]) -> (y: f32[M, N] = 0):
    where N <= 64
    grid g in G, m in M[off[g] .. off[g + 1]] by BM
    span n in N
    s = sum(x[m, n] over n)
    disjoint y[m, n] = x[m, n] - s

kernel pairs(x: f32[M]) -> (y: f32[M]):
    grid m in M by BM
    span j in m
    s: f32[m, j] = x[m] * x[j]
    y[m] = sum(where(m == j, s, 0) over j)

kernel blockwise(x: f32[M, N], t: i32[B]) -> (y: f32[B, 16, N]):
    where N <= 32
    grid b in B
    span n in N, j in M[t[b] * 16 .. t[b] * 16 + 16], i in 16
    s: f32[j, n] = x[j, n] - mean(x[j, n] over n)
    y[b, i, n] = sum(where(j - t[b] * 16 == i, exp(s), 0) over j)

kernel noisy(x: f32[N], seed: i32) -> (y: f32[N]):
    grid n in N by BN
    r = rand(seed, n)
    t = x[n] * 2
    y[n] = t + r

kernel asserted(x: f32[M, N]) -> (y: f32[M]):
    where N <= 64
    grid m in M by BM
    span n in N
    top = max(x[m, n] over n)
    assert top < 100, "a top"
    s = sum(exp(x[m, n] - top) over n)
    assert s < 50, "a sum"
    y[m] = s

kernel double(x: f32[M, N]) -> (t: f32[M, N], u: f32[M]):
    where N <= 64
    grid m in M by BM
    span n in N
    s = sum(x[m, n] over n)
    t[m, n] = x[m, n] * s
    u[m] = s

op twice(x: f32[M, N]) -> (y: f32[M, N], u: f32[M]):
    temp t: f32[M, N]
    temp v: f32[M]
    double(x) -> (t, v)
    double(t) -> (y, u)
"""

Making = Callable[..., dict[str, Any]]


def _normal(*shape: int, dtype: npt.DTypeLike = np.float32) -> Array:
    return RNG.normal(size=shape).astype(dtype)


MAKERS: dict[str, Making] = {
    "heads": lambda b, h, n, first=3: {
        "x": _normal(b, h, n), "s": _normal(h), "first": min(first, n)
    },
    "scaled": lambda m, n, k: {
        "a": _normal(m, k, dtype=np.float16), "b": _normal(k, n, dtype=np.float16)
    },
    "plain": lambda n, d: {"x": _normal(n), "w": _normal(d)},
    "again": lambda m, n, k: {
        "a": _normal(m, k, dtype=np.float16), "b": _normal(k, n, dtype=np.float16)
    },
    "rows": lambda m, n, d: {"x": _normal(m, d), "y": _normal(n)},
    "blocks": lambda m, n: {"x": _normal(m, n)},
    "updated": lambda m, n: {"p": _normal(m, n), "g": _normal(m, n)},
    "state": lambda m, n: {"x": _normal(m, n)},
    "pooled": lambda m, n: {"x": _normal(m, n)},
    "blockwise": lambda b, n: {"x": _normal(b * 16 - 5, n), "t": RNG.permutation(b).astype("i4")},
    "noisy": lambda n: {"x": _normal(n), "seed": 7},
    "twice": lambda m, n: {"x": _normal(m, n)},
}  # fmt: skip
# Kernel, schedule, sizes, launches.
CUTS: list[tuple[str, str, tuple[int, ...], int]] = [
    ("heads", "place e in gm", (2, 3, 37), 2),
    ("scaled", "place acc in gm", (37, 53, 70), 2),
    ("scaled", "place acc in gm", (37, 0, 70), 2),
    ("plain", "place s in gm", (130, 70), 2),
    ("again", "place half in gm", (37, 53, 70), 2),
    ("rows", "place s in gm", (37, 53, 7), 2),
    ("blocks", "place s in gm", (37, 19), 2),
    ("updated", "place u in gm", (37, 26), 2),
    ("state", "place high in gm; place half in gm", (37, 53), 3),
    ("state", "place seen in gm", (37, 53), 2),
    ("pooled", "place u in gm", (38, 19), 2),
    ("blockwise", "place s in gm", (3, 19), 2),
    ("noisy", "place t in gm", (1000,), 2),
]


# Kernels of the library: schedule, arguments, launches.
def _library(name: str, dtype: npt.DTypeLike) -> tuple[Path, str, dict[str, Any]]:
    match name:
        case "gemm":
            given: dict[str, Any]
            given = {"a": _normal(70, 91, dtype=dtype), "b": _normal(91, 53, dtype=dtype),
                     "bias": _normal(53, dtype=dtype)}  # fmt: skip
            return EXAMPLES / "gemm.tile", "place acc in gm", given
        case "softmax":
            return EXAMPLES / "softmax.tile", "place e in gm", {"x": _normal(37, 101, dtype=dtype)}
        case "flash_attention":
            q, k, v = (_normal(1, 2, n, 24, dtype=dtype) for n in (37, 70, 70))
            given = {"q": q, "k": k, "v": v, "scale": 0.2}
            return EXAMPLES / "flash_attention.tile", "place acc in gm", given
        case _:
            given = {n: _normal(5) for n in ("mean", "gamma", "beta")}
            given |= {"x": _normal(2, 3, 6, 9, dtype=dtype), "w": _normal(5, 3, 3, 3, dtype=dtype),
                      "variance": RNG.uniform(0.5, 2, 5).astype("f4"), "eps": 1e-5}  # fmt: skip
            return KERNELS / "conv.tile", "place acc in gm", given


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "cut.tile"
    path.write_text(TEXT, encoding="utf-8")
    return path


def _kernel(path: Path, name: str, schedule: str = "", of: str = "") -> Kernel:
    module, kernels = load_checked(path)
    if schedule:
        reschedule(module, of or name, schedule)
    return kernels[name]


def _run(kernel: Kernel, given: dict[str, Any], **more: Any) -> Result:
    """Run on copies of the arguments; hazards are looked for in the simulator."""
    copies = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in given.items()}
    sim = more.get("device", "sim") == "sim"
    return kernel.run(copies, hazards=sim, **more)


def _same(found: Result, wanted: Result) -> None:
    """Sums may be taken in another order, and so differ by the rounding of f32."""
    for name, value in wanted.outputs.items():
        one, other = (v.astype(np.float64) for v in (found.outputs[name], value))
        np.testing.assert_allclose(one, other, rtol=3e-6, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("name", "schedule", "sizes", "launches"), CUTS)
@pytest.mark.parametrize("device", DEVICES)
def test_a_cut_changes_nothing(
    text: Path, name: str, schedule: str, sizes: tuple[int, ...], launches: int, device: str
) -> None:
    given = MAKERS[name](*sizes)
    whole = _run(_kernel(text, name), given, device=device, tiles={"*": 16})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        parts = _run(_kernel(text, name, schedule), given, device=device, tiles={"*": 16})
    assert (whole.launches, parts.launches) == (1, launches)
    _same(parts, whole)


@pytest.mark.parametrize("name", ["gemm", "softmax", "flash_attention", "conv_bn_relu"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
@pytest.mark.parametrize("device", DEVICES)
def test_kernels_of_the_library(name: str, dtype: npt.DTypeLike, device: str) -> None:
    if name == "conv_bn_relu" and dtype is not np.float16:
        dtype = np.float32
    path, schedule, given = _library(name, dtype)
    whole = _run(_kernel(path, name), given, device=device, tiles={"*": 32})
    parts = _run(_kernel(path, name, schedule), given, device=device, tiles={"*": 32})
    assert parts.launches == 2
    for output, value in whole.outputs.items():
        np.testing.assert_array_equal(parts.outputs[output].view("u1"), value.view("u1"))


@pytest.mark.parametrize("sizes", [(0, 5, 7), (5, 0, 7), (3, 5, 0), (1, 1, 1), (257, 131, 67)])
@pytest.mark.parametrize("device", DEVICES)
def test_sizes(sizes: tuple[int, int, int], device: str, gemm: Kernel, whole: Kernel) -> None:
    m, n, k = sizes
    half: npt.DTypeLike = np.float16
    given = {"a": _normal(m, k, dtype=half), "b": _normal(k, n, dtype=half),
             "bias": _normal(n, dtype=half)}  # fmt: skip
    _same(_run(gemm, given, device=device), _run(whole, given, device=device))


@pytest.fixture(scope="module")
def whole() -> Kernel:
    return _kernel(EXAMPLES / "gemm.tile", "gemm")


@pytest.fixture(scope="module")
def gemm() -> Kernel:
    return _kernel(EXAMPLES / "gemm.tile", "gemm", "place acc in gm")


# ---- what is cut, and how


def _parted(kernel: Kernel, target: str = "ascend910b3") -> OpGraph:
    whole = kernel.instance(first_binding(kernel.header, {}, {}, {}))
    assert isinstance(whole, KernelIR)
    parts = kernel.parted(whole, target)
    assert isinstance(parts, OpGraph)
    return parts


def test_the_accumulator_stays_wide(gemm: Kernel) -> None:
    parts = _parted(gemm)
    assert [step.kernel.name for step in parts.steps] == ["gemm_acc", "gemm_rest"]
    assert {step.kernel.origin for step in parts.steps} == {"gemm"}
    (temp,) = parts.temps
    assert (temp.name, str(temp.dtype), len(temp.shape)) == ("acc_gm", "f32", 2)


def test_what_is_cheap_is_computed_again(text: Path) -> None:
    parts = _parted(_kernel(text, "noisy", "place t in gm"))
    assert [t.name for t in parts.temps] == ["t_gm"]  # and no random numbers


def test_a_range_that_the_value_lacks(text: Path) -> None:
    """Programs that have the same value do not all compute it, or do not all store it."""
    parts = _parted(_kernel(text, "rows", "place s in gm"))
    assert [[a.name for a in step.kernel.grid] for step in parts.steps] == [["m"], ["m", "n"]]
    parts = _parted(_kernel(text, "scaled", "place acc in gm"))
    assert [len(t.shape) for t in parts.temps] == [2, 1]


def test_a_later_place_holds(text: Path) -> None:
    kernel = _kernel(EXAMPLES / "gemm.tile", "gemm", "place acc in gm; place acc in ub")
    assert not any("/" in name for name in kernel.build("ascend910b3"))
    kernel = _kernel(EXAMPLES / "gemm.tile", "gemm", "place acc in ub; place acc in gm")
    assert any("/" in name for name in kernel.build("ascend910b3"))


def test_files(gemm: Kernel, whole: Kernel) -> None:
    files = gemm.build("ascend910b3")
    assert {name.split("/")[0] for name in files} == {"1_gemm_acc", "2_gemm_rest"}
    assert "2_gemm_rest/gemm_rest_host.cpp" in files
    other = _kernel(EXAMPLES / "gemm.tile", "gemm", "pipeline k depth 2")
    assert other.build("ascend910b3") == whole.build("ascend910b3")


def test_a_schedule_is_for_its_target(tmp_path: Path) -> None:
    path = tmp_path / "gemm.tile"
    old = (EXAMPLES / "gemm.tile").read_text(encoding="utf-8")
    path.write_text(old.replace("pipeline k depth 2", "place acc in gm"), encoding="utf-8")
    kernel = _kernel(path, "gemm")
    assert any("/" in name for name in kernel.build("ascend910b1"))
    assert not any("/" in name for name in kernel.build("cuda.sm90"))
    assert not any("/" in name for name in kernel.build("ascend310p"))


def test_tile_sizes_hold_for_all_parts(gemm: Kernel) -> None:
    whole = gemm.instance(first_binding(gemm.header, {}, {}, {}))
    sizes = {"BM": 48, "BN": 80, "BK": 32}
    head, rest = gemm.compiled(whole, "ascend910b3", sizes)
    assert (dict(head.tiles), dict(rest.tiles)) == (sizes, {"BM": 48, "BN": 80})
    head, rest = gemm.compiled(whole, "ascend910b3", {"BM": 128, "BN": 256, "BK": 64})
    assert dict(head.tiles) == {"BM": 128, "BN": 256, "BK": 64}
    assert rest.tiles["BM"] * rest.tiles["BN"] < 128 * 256  # as far as they fit
    with pytest.raises(tiledsl.ArgumentError, match="no tile size `BQ`"):
        gemm.compiled(whole, "ascend910b3", {"BQ": 16})


def test_a_step_of_an_op(text: Path) -> None:
    given = MAKERS["twice"](37, 19)
    wanted = _run(_kernel(text, "twice"), given)
    for device in DEVICES:
        found = _run(_kernel(text, "twice", "place s in gm", of="double"), given, device=device)
        assert found.launches == 4
        _same(found, wanted)
    files = _kernel(text, "twice", "place s in gm", of="double").build("cuda.sm80")
    assert sorted({name.split("/")[0] for name in files}) == [
        "1_double_s", "2_double_rest", "3_double_s", "4_double_rest"
    ]  # fmt: skip


def test_assertions_on_both_sides(text: Path) -> None:
    kernel = _kernel(text, "asserted", "place s in gm")
    x = np.zeros((5, 7), np.float32)
    assert kernel.run({"x": x}).launches == 2
    with pytest.raises(AssertionFailedError, match="a top"):
        kernel.run({"x": x + 100})
    with pytest.raises(AssertionFailedError, match="a sum"):
        kernel.run({"x": np.zeros((5, 64), np.float32)})
    built = kernel.build("ascend910b3")  # without assertions `top` is not needed afterwards
    assert {name.split("/")[0] for name in built} == {"1_asserted_s", "2_asserted_rest"}


def test_a_part_that_a_target_cannot_do_runs_in_numpy(text: Path) -> None:
    x = _normal(2, 40).astype(np.float64)
    path = text.with_name("wide.tile")
    path.write_text(
        "kernel wide(x: f64[M, N]) -> (y: f64[M, N]):\n    where N <= 64\n"
        "    grid m in M by BM\n    span n in N\n    s = sum(x[m, n] over n)\n"
        "    y[m, n] = x[m, n] - s\n",
        encoding="utf-8",
    )
    found = _kernel(path, "wide", "place s in gm").run({"x": x}, fallback="numpy")
    np.testing.assert_allclose(found.outputs["y"], x - x.sum(1, keepdims=True))


# ---- what is said


@pytest.mark.parametrize(
    ("name", "place", "reason"),
    [
        ("scaled", "v", "a value inside a loop or a branch cannot be cut at"),
        ("totals", "s", "`s` is of a whole tile of `m`, whose size each launch chooses"),
        ("ragged", "s", "the range `m` has a length that only the device knows"),
        ("pairs", "s", "the range `j` is part of a tile, whose size a launch chooses"),
        ("updated", "old", ""),
    ],
)
@pytest.mark.parametrize("target", ["ascend910b3", "cuda.sm80"])
def test_reasons(text: Path, name: str, place: str, reason: str, target: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        files = _kernel(text, name, f"place {place} in gm").build(target)
    assert any("/" in file for file in files) == (not reason)
    said = [str(w.message) for w in caught]
    assert len(said) == bool(reason)
    assert all(f"`place {place}` has no effect on {target}: {reason}\n" in one for one in said)


def test_more_reasons(tmp_path: Path) -> None:
    path = tmp_path / "more.tile"
    path.write_text(
        "kernel f(x: i4[M, N], y: f32[M]) -> (z: i4[M, N], w: f32[M]):\n    where N <= 64\n"
        "    grid m in M by BM\n    span n in N\n    h = N // 2\n    u = max(x[m, n], 1)\n"
        "    z[m, n] = u\n    d = y[m] * f32(h)\n    w[m] = d + 1\n    e = y[m] + 1\n",
        encoding="utf-8",
    )
    for name, reason in {
        "u": "`u` has elements of 4 bits, two to a byte",
        "h": "it is no tile of its own, but a number or another name of a value",
        "e": "nothing reads it",
    }.items():
        with pytest.warns(ScheduleWarning, match=reason):
            _kernel(path, "f", f"place {name} in gm").build("ascend910b3")
    with pytest.raises(CompileError, match=r"`q` is no value of `f`"):
        _kernel(path, "f", "place q in gm")


def test_one_part_is_enough_for_a_directive() -> None:
    """What changes nothing in any part is said once, with the reason of the part that has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        lines = "place acc in gm; pipeline k depth 3; split k over l0 by 32; cores 8; bypass a"
        _kernel(EXAMPLES / "gemm.tile", "gemm", lines).build("ascend910b3")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kernel = _kernel(EXAMPLES / "gemm.tile", "gemm", "place acc in gm; pipeline k depth 60")
        kernel.build("ascend910b3")
        kernel.build("ascend910b3")
    (said,) = [text for w in caught if "--schedule" in (text := str(w.message))]
    assert "`pipeline k` has no effect on ascend910b3: there is no room, or no use" in said


# ---- time


def test_compare(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{EXAMPLES / 'gemm.tile'}:gemm"
    words = ["--compare", path, f"{path}@BM=64,BN=64; place acc in gm", "M=512", "N=512", "K=512"]
    monkeypatch.setattr("sys.argv", ["tiledsl", "profile", *words, "T=f16", "--json"])
    main()
    fused, parts = json.loads(capsys.readouterr().out)
    assert [one["kernel"] for one in fused["launches"]] == ["gemm"]
    assert [one["kernel"] for one in parts["launches"]] == ["gemm_acc", "gemm_rest"]
    assert parts["name"] == "gemm@BM=64,BN=64; place acc in gm"
    assert parts["launches"][0]["tiles"] == {"BM": 64, "BN": 64, "BK": 128}
    assert parts["cycles"] == pytest.approx(sum(one["cycles"] for one in parts["launches"]), abs=1)
    assert parts["cycles"] > fused["cycles"]


def test_the_search_counts_all_launches() -> None:
    sizes = (("T", "f16"), ("M", 512), ("N", 512), ("K", 512))
    subject = Subject(str(EXAMPLES / "gemm.tile"), "gemm", sizes, "ascend910b3")
    sizes_set = (("BN", 128),)  # so that both launches have room for the rows of the schedule
    fused, parts = (predict(subject, Choice(sizes_set, x)) for x in ("", "place acc in gm"))
    assert fused.cycles is not None
    assert parts.cycles is not None
    assert parts.cycles > fused.cycles
    assert (set(parts.tiles), parts.apart) == ({"BM", "BN", "BK"}, ())
    bare = predict(subject, Choice((), "place acc in gm", bare=True))
    assert set(bare.apart) == {"BM", "BN"}  # which the two launches choose by themselves
    set_by_us = predict(subject, Choice((("BM", 128), ("BN", 256)), "place acc in gm", bare=True))
    assert (set_by_us.apart, set_by_us.tiles["BN"]) == ((), 256)


def test_limits_are_on_all_launches(tmp_path: Path) -> None:
    old = (EXAMPLES / "softmax.tile").read_text(encoding="utf-8").split("\ntest ")[0]
    path = tmp_path / "softmax.tile"
    path.write_text(
        old + "\ntest softmax:\n    for T in (f16), R in (64), N in (100)\n"
        "    cycles < 100 on ascend910b3\n"
        "\nschedule softmax for ascend910b3:\n    place e in gm\n",
        encoding="utf-8",
    )
    module, kernels = load_checked(path)
    (plan,) = runner.tests_of(module)
    (case,) = plan.cases
    kernel = kernels["softmax"]
    found = runner.run_case(module, kernel, plan, case, runner.Options())
    assert isinstance(found.result, Result)
    assert found.result.launches == 2
    assert f"{found.result.cycles} cycles on ascend910b3, expected < 100" in found.failure
