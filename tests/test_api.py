"""The Python API on the simulator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiledsl
from tiledsl import ArgumentError, CompileError

EXAMPLES = Path(__file__).parent.parent / "examples"
SOFTMAX = tiledsl.load(EXAMPLES / "softmax.tile")
ADD = tiledsl.load(EXAMPLES / "vector_add.tile")
RNG = np.random.default_rng(0)

TEXT = """
# Doubles in place, and counts.
kernel double[T in (f32, f16)](inout x: T[N]) -> (n: i32[1]):
    grid i in N by BN
    v = x[i]
    x[i] = v + v

kernel twice(inout x: f32[N]):
    grid i in N by BN
    x[i] = x[i] + x[i]

kernel both(x: f32[N]) -> (a: f32[N], b: f32[N]):
    grid i in N by BN
    a[i] = x[i] + 1
    b[i] = x[i] + 2

kernel rows(x: f32[M, N]) -> (part: f32[P, N]):
    where P >= 1
    grid p in P, n in N by BN
    each = ceil_div(M, P)
    var acc: f32[n] = 0
    for m in M[p * each .. (p + 1) * each] by BM:
        acc += sum(x[m, n] over m)
    part[p, n] = acc

kernel fold(part: f32[P, N]) -> (y: f32[N]):
    grid n in N by BN
    var acc: f32[n] = 0
    for p in P by BP:
        acc += sum(part[p, n] over p)
    y[n] = acc

op total(x: f32[M, N]) -> (y: f32[N]):
    temp part: f32[3, N]
    rows(x) -> (part)
    fold(part) -> (y)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> tiledsl.Module:
    path = tmp_path_factory.mktemp("api") / "own.tile"
    path.write_text(TEXT.replace(" -> (n: i32[1])", ""), encoding="utf-8")
    return tiledsl.load(path)


def softmax(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def test_a_module_is_a_mapping_of_its_kernels() -> None:
    assert list(SOFTMAX) == ["softmax", "softmax_long"]
    assert "softmax" in SOFTMAX
    with pytest.raises(KeyError):
        SOFTMAX["sofmax"]


def test_a_kernel_tells_what_it_is(module: tiledsl.Module) -> None:
    kernel = SOFTMAX["softmax"]
    assert kernel.name == "softmax"
    assert kernel.generics == {"T": ("f16", "bf16", "f32")}
    assert [(p.name, p.type) for p in kernel.params] == [("x", "T[*R, N]")]
    assert [p.name for p in kernel.outputs] == ["y"]
    assert kernel.source.startswith("kernel softmax[")
    assert kernel.doc.startswith("softmax over the last axis")
    assert not module["both"].generics


def test_calls_return_arrays() -> None:
    x = RNG.normal(size=(2, 3, 77)).astype(np.float32)
    got = SOFTMAX["softmax"](x)
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, softmax(x), rtol=1e-5)
    np.testing.assert_array_equal(ADD["vector_add"](x=x, y=x), x + x)


def test_several_outputs_are_a_tuple(module: tiledsl.Module) -> None:
    a, b = module["both"](np.zeros(5, np.float32))
    assert (a == 1).all()
    assert (b == 2).all()


def test_inout_arrays_are_updated_and_found_in_the_outputs(module: tiledsl.Module) -> None:
    x = np.arange(10, dtype=np.float32)
    result = module["twice"].run({"x": x})
    assert result.outputs["x"] is x
    np.testing.assert_array_equal(x, 2 * np.arange(10))
    assert module["twice"](x[::2]) is not None
    np.testing.assert_array_equal(x[::2], 4 * np.arange(0, 10, 2))


def test_runs_tell_cycles() -> None:
    result = SOFTMAX["softmax"].run({"x": np.ones((4, 100), np.float16)}, chip="ascend910b3")
    assert result.cycles is not None
    assert result.cycles > 0
    assert result.launches == 1
    assert result.moved is not None
    assert result.moved > 0
    assert result.microseconds is not None
    assert "cycles" in result.report()


def test_tile_sizes_never_change_results() -> None:
    x = RNG.normal(size=(9, 50)).astype(np.float32)
    for tiles in ({"BR": 1}, {"BR": 2}, {"*": 16}):
        got = SOFTMAX["softmax"].run([x], tiles=tiles).outputs["y"]
        np.testing.assert_allclose(got, softmax(x), rtol=1e-5)


def test_hazards_are_looked_for() -> None:
    x = np.ones((3, 40), np.float32)
    assert SOFTMAX["softmax"].run({"x": x}, hazards=True).outputs["y"].shape == (3, 40)


def test_ops_run_step_by_step(module: tiledsl.Module) -> None:
    x = RNG.normal(size=(10, 33)).astype(np.float32)
    np.testing.assert_allclose(module["total"](x), x.astype(np.float64).sum(0), rtol=1e-4)
    result = module["total"].run({"x": x})
    assert "rows" in result.report()
    assert "fold" in result.report()
    assert list(result.outputs) == ["y"]


def test_dims_are_given_where_no_argument_shows_them(module: tiledsl.Module) -> None:
    x = np.ones((10, 4), np.float32)
    part = module["rows"].run({"x": x}, dims={"P": 4}).outputs["part"]
    np.testing.assert_array_equal(part.sum(0), [10] * 4)
    assert part.shape == (4, 4)


def test_empty_arrays() -> None:
    assert ADD["vector_add"](np.zeros(0, np.float32), np.zeros(0, np.float32)).shape == (0,)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "gpu"}, "device: expected one of sim, ascend-host, cuda-host, cuda"),
        ({"chip": "cuda.sm80"}, "chip: sim runs no cuda.sm80"),
        ({"chip": "ascend910z"}, "target: expected one of"),
        ({"tiles": {"BX": 4}}, "no tile size `BX`; there are BR"),
        ({"tiles": {"BR": 0}}, "BR: expected at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        SOFTMAX["softmax"].run({"x": np.ones((2, 3), np.float32)}, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("target", ["ascend910b3", "cuda.sm90", "numpy"])
def test_builds_are_files(target: str) -> None:
    files = SOFTMAX["softmax"].build(target, types={"T": "f16"}, tiles={"BR": 2})
    assert any("softmax" in name for name in files)
    assert files == SOFTMAX["softmax"].build(target, types={"T": "f16"}, tiles={"BR": 2})


def test_builds_of_ops_have_a_folder_a_step(module: tiledsl.Module) -> None:
    files = module["total"].build("numpy")
    assert {name.split("/")[0] for name in files} == {"1_rows", "2_fold"}


def test_files_with_mistakes_raise(tmp_path: Path) -> None:
    path = tmp_path / "wrong.tile"
    path.write_text("kernel f(x: f32[N]) -> (y: f32[N]):\n    grid i in N by B\n    y[i] = z[i]\n")
    with pytest.raises(CompileError) as caught:
        tiledsl.load(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code.startswith("N")
    assert f"{path}:3:12: error[" in str(caught.value)


def test_names_of_the_package() -> None:
    assert set(tiledsl.__all__) <= {*dir(tiledsl), *tiledsl.__all__}
    with pytest.raises(AttributeError):
        tiledsl.lod  # noqa: B018
