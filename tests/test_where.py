"""The `where` lines of schedules: which choices of `tune` are left, for builds and for searches."""

import time
import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tiledsl import ir
from tiledsl.check.limits import Limits, combinations, limits_of
from tiledsl.chips.facts import facts
from tiledsl.cli import cli
from tiledsl.diagnostics import CompileError
from tiledsl.driver import TARGETS, load_checked, reschedule
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.errors import ScheduleWarning
from tiledsl.schedule import plan_for
from tiledsl.source import Source
from tiledsl.syntax import tree
from tiledsl.syntax.parser import parse
from tiledsl.tuning import Subject, kept, search
from tiledsl.tuning.schedules import limits, opened

GEMM = """
kernel gemm(a: f16[M, K], b: f16[K, N]) -> (c: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    c[m, n] = acc

test gemm:
    for M in (64), N in (64), K in (64)
"""


def built(
    path: Path, schedule: str, tiles: Mapping[str, int] | None = None, target: str = "ascend910b3"
) -> dict[str, int]:
    """Return the tile sizes of `gemm` under a schedule."""
    path.write_text(f"{GEMM}\nschedule gemm for {target}:\n    {schedule}\n")
    kernel = load_checked(path)[1]["gemm"]
    graph = kernel.instance(first_binding(kernel.header, {}, {}, {}))
    (compiled,) = kernel.compiled(graph, target, tiles or {})
    return dict(compiled.tiles)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gemm.tile"


def limits_from(text: str, target: str = "ascend910b3") -> Limits:
    (item,) = parse(Source("text", f"schedule f:\n    where {text}\n")).items
    assert isinstance(item, tree.Schedule)
    return limits_of(item, target)


TUNE = "tune BM in (256, 128, 64), BN in (256, 128), BK in (64, 32)"


@pytest.mark.parametrize(
    ("where", "tiles", "expected"),
    [
        ("BM > 0", {}, (256, 256, 64)),
        ("BM * BN * 4 <= target.l0c", {}, (256, 128, 64)),
        ("BM * BN * 4 <= target.l0c, BK < 64", {}, (256, 128, 32)),
        ("BM * BN * 4 <= target.l0c and BM <= BN", {}, (128, 256, 64)),
        ("BM * BN * 4 <= target.l0c", {"BM": 128}, (128, 256, 64)),
        ("BM % (2 * BK) == 0 and not BM == 256", {"BK": 64}, (128, 256, 64)),
        ("max(BM, BN, BK) == 128 or BM // BK == 1", {}, (128, 128, 64)),
        ("64 <= min(BM, BN) < target.cube_cores * 10 - -8", {}, (256, 128, 64)),
    ],
)
def test_a_build_takes_the_first_choice_that_is_left(
    path: Path, where: str, tiles: Mapping[str, int], expected: tuple[int, ...]
) -> None:
    path.write_text(f"{GEMM}\nschedule gemm for ascend:\n    {TUNE}\n    where {where}\n")
    module, kernels = load_checked(path)
    kernel = kernels["gemm"].instance(first_binding(kernels["gemm"].header, {}, {}, {}))
    assert isinstance(kernel, ir.Kernel)
    plan = plan_for(module.schedules["gemm"], kernel, "ascend910b3", tiles)
    assert tuple(plan.tiles.values()) == expected


def test_the_numbers_are_those_of_the_target() -> None:
    for target in TARGETS:
        known = facts("ascend910b3" if target == "numpy" else target)
        assert all(isinstance(number, int) and number > 0 for number in known.values())
    assert facts("ascend910b3")["ub"] == 188416
    assert facts("ascend310p")["l0c"] == 2 * facts("ascend910b3")["l0c"]
    assert facts("cuda.sm90") == {"smem": 227 * 1024}


def test_sizes_that_are_set_take_part(path: Path) -> None:
    assert built(path, "BM = 128\n    tune BN in (256, 64), BK in (64, 16)\n    where BM > BN") == {
        "BM": 128, "BN": 64, "BK": 64,
    }  # fmt: skip
    with pytest.raises(CompileError, match="S132") as caught:
        built(path, f"{TUNE}\n    where BN == BM", {"BM": 16})
    assert "BN = 256, BM = 16: 256 == 16 is false" in str(caught.value)
    assert "other sizes of `BN`" in str(caught.value)
    assert built(path, f"{TUNE}\n    where BN == BM", {"*": 16}) == {"BM": 16, "BN": 16, "BK": 16}


def test_one_choice_is_a_choice(path: Path) -> None:
    assert built(path, "tune BM in (32), BN in 64, BK in (16,)") == {"BM": 32, "BN": 64, "BK": 16}


def test_a_size_that_nobody_sets_is_told_of(path: Path) -> None:
    with pytest.warns(ScheduleWarning, match="W602") as caught:
        sizes = built(path, "tune BM in (128, 64)\n    where BM * BN <= 128")
    assert sizes["BM"] == 128
    assert f"BM = 128, BN = {sizes['BN']}: {128 * sizes['BN']:,} <= 128" in str(caught[0].message)
    assert "`tune BN in (64, 128)` opens it" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(path, "tune BM in (128, 64)\n    where BM * BN <= 1_000_000")


def test_directives_of_a_command_line(path: Path) -> None:
    path.write_text(GEMM)
    module, kernels = load_checked(path)
    reschedule(module, "gemm", f"{TUNE}; where BM * BN * 4 <= target.l0c")
    assert "gemm.cpp" in kernels["gemm"].build("ascend910b3")
    with pytest.raises(CompileError, match=r"S130.*there is no `target.l0c` on cuda.sm80"):
        kernels["gemm"].build("cuda.sm80")


# ---- how it is settled --------------------------------------------------------------------------

SIZES = st.dictionaries(st.sampled_from("ABC"), st.integers(1, 5), min_size=0)
NUMBERS = st.recursive(
    st.sampled_from(["A", "B", "C", "2", "3"]),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(
        lambda t: f"({' '.join(t)})"
    ),
    max_leaves=4,
)
TRUTHS = st.recursive(
    st.tuples(NUMBERS, st.sampled_from(["<", "<=", "==", "!="]), NUMBERS).map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda t: f"(not {t})"),
    ),
    max_leaves=4,
)


@given(text=TRUTHS, sizes=SIZES)
def test_what_is_settled_is_what_python_says(text: str, sizes: dict[str, int]) -> None:
    found = limits_from(text)
    (line,) = found.lines
    settled = found.settled(line, sizes)
    free = [name for name in "ABC" if name not in sizes]
    told = {
        bool(eval(text, {}, sizes | dict(zip(free, values, strict=True))))
        for values in product((1, 3, 8), repeat=len(free))
    }
    assert settled is None or told == {settled}
    assert settled is not None or free


@given(
    text=TRUTHS,
    choices=st.dictionaries(
        st.sampled_from("ABC"), st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=3
    ),
)
def test_the_combinations_are_those_of_a_product(
    text: str, choices: dict[str, list[int]]
) -> None:
    every = (dict(zip(choices, sizes, strict=True)) for sizes in product(*choices.values()))
    expected = [sizes for sizes in every if eval(text, {}, dict(sizes))]
    assert list(combinations(limits_from(text), choices, {})) == expected


def test_too_many_combinations_are_an_error() -> None:
    choices = {name: range(1, 61) for name in "ABCDEFGH"}
    began = time.monotonic()
    for text in ("A * B * C * D * E * F * G * H < 0", " + ".join("ABCDEFGH" * 20) + " < 0"):
        with pytest.raises(CompileError, match=r"S131.*combinations of sizes were tried"):
            next(combinations(limits_from(text), choices, {}))
    assert time.monotonic() - began < 30
    assert next(combinations(limits_from("A < 3"), choices, {})) == dict.fromkeys("ABCDEFGH", 1)
    assert list(combinations(limits_from("A > 60"), choices, {})) == []  # at once


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9 // (A - 4) > 0", "`A - 4` is 0"),
        ("9 % (A - 4) > 0", "`A - 4` is 0"),
        ("*".join("A" * 40) + " > 0", "more than 63 bits"),
    ],
)
def test_what_cannot_be_computed(text: str, said: str) -> None:
    found = limits_from(text)
    with pytest.raises(CompileError, match="S131") as caught:
        found.settled(found.lines[0], {"A": 4})
    assert said in str(caught.value)


# ---- searches -----------------------------------------------------------------------------------


def test_a_search_keeps_to_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEDSL_CACHE", str(path.parent / "cache"))
    kept._sources.cache_clear()
    path.write_text(
        f"{GEMM}\nschedule gemm for ascend910b:\n    tune BM in (64, 32), BN in (32, 64)\n"
        "    where BM * BN <= 2048, BK <= 64\n"
    )
    module, _ = load_checked(path)
    subject = Subject(str(path), "gemm", (("M", 64), ("N", 64), ("K", 64)), "ascend910b3")
    offered, fixed = opened(module, "gemm", "ascend910b3")
    where, settled = limits(module, "gemm", "ascend910b3")
    with pytest.warns(ScheduleWarning, match="W602"):  # the start is what a build takes
        found = search(subject, offered, fixed=fixed, limits=where, settled=settled, limit=40)
    first, *tried = (t.choice.tiles for t in sorted(found.tried, key=lambda t: t.choice.tiles))
    assert first == ()
    sizes = [dict(tiles) for tiles in tried]
    assert {(s["BM"], s["BN"]) for s in sizes if "BM" in s} == {(64, 32), (32, 32), (32, 64)}
    assert {s["BK"] for s in sizes if "BK" in s} <= {1, 2, 4, 8, 16, 32, 64}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScheduleWarning)
        result = CliRunner().invoke(cli, ["tune", f"{path}:gemm", "M=64", "N=64", "K=64"])
    assert result.exit_code == 0
    assert "BM = 64, BN = 64" not in result.output
    assert "where" not in result.output  # sizes that are all set need none
