"""Arguments of a call: types and dims solved, facts checked, mistakes named."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tiledsl import ArgumentError
from tiledsl.check import instantiate, load_text
from tiledsl.runtime.binding import arguments, specialise
from tiledsl.runtime.launch import Launch, prepare

TEXT = """
kernel softmax[T in (f16, f32)](x: T[*R, N], scale: f32 = 1.0) -> (y: T[*R, N]):
    where N <= 64
    grid r in R by BR
    span n in N
    e = exp(x[r, n] * scale)
    y[r, n] = e / sum(e over n)

kernel offsets(x: f32[M, K], at: i32[G + 1], w: f32[2 * K]) -> (y: f32[G, K]):
    grid g in G, k in K by BK
    y[g, k] = x[at[g], k else 0] * w[2 * k]

kernel chunks(x: f32[C * S], z: f32[C, S]) -> (y: f32[C, S]):
    grid c in C, s in S by BS
    y[c, s] = x[c * S + s] + z[c, s]

kernel window(x: f32[L], stride: i32, pad: i32, const k: i32) -> (y: f32[P]):
    where P == (L + 2 * pad - k) // stride + 1, stride >= 1, pad >= 0, k >= 1
    grid p in P by BP
    y[p] = sum(x[p * stride + r - pad else 0] over r in k)

kernel parts(x: f32[M]) -> (y: f32[P]):
    where P >= 1
    grid p in P
    y[p] = x[p else 0]

kernel scale[T in (f32, f16, bf16)](inout x: T[N], a: f32, b: T[N] = none):
    grid n in N by BN
    if has(b):
        x[n] = a * x[n] + b[n]
    else:
        x[n] = a * x[n]

kernel made[T in (f32, f16)](n: i32) -> (y: T[n]):
    where n >= 0
    grid i in n by BN
    y[i] = 1
"""
MODULE = load_text(TEXT, "api.tile")


def launch(
    name: str, *args: object, types: dict[str, Any] | None = None,
    dims: dict[str, int] | None = None, **named: object,
) -> Launch:  # fmt: skip
    header = MODULE.kernels[name].item
    given = arguments(header, args, named)
    graph = instantiate(MODULE, name, specialise(header, given, types or {}))
    return prepare(graph, given, dims or {})


def refused(name: str, *args: object, **named: Any) -> str:
    with pytest.raises(ArgumentError) as caught:
        launch(name, *args, **named)
    return str(caught.value)


def f32(*shape: int) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.float32)


def test_star_dims_are_one_inside_and_many_outside() -> None:
    made = launch("softmax", np.ones((2, 3, 5), np.float16))
    assert made.dims == {"R": 6, "N": 5}
    assert made.arrays["x"].shape == (6, 5)
    assert made.outputs["y"].shape == (2, 3, 5)
    assert made.outputs["y"].dtype == np.float16
    assert np.isnan(made.outputs["y"]).all()
    assert np.shares_memory(made.arrays["y"], made.outputs["y"])
    assert launch("softmax", np.ones(5, np.float32)).outputs["y"].shape == (5,)


def test_defaults_are_taken() -> None:
    assert launch("softmax", f32(1, 2)).scalars == {"scale": 1.0}
    assert launch("softmax", f32(1, 2), scale=3).scalars == {"scale": 3.0}


def test_linear_forms_are_solved() -> None:
    made = launch("offsets", f32(4, 3), np.zeros(6, np.int32), f32(6))
    assert made.dims == {"M": 4, "K": 3, "G": 5}


def test_products_are_solved_when_one_factor_is_known() -> None:
    assert launch("chunks", f32(12), f32(3, 4)).dims == {"C": 3, "S": 4}


def test_facts_give_dims_of_outputs() -> None:
    made = launch("window", f32(9), 2, 1, 3)
    assert made.dims["P"] == 5
    assert made.outputs["y"].shape == (5,)


def test_dims_that_only_outputs_show_are_named() -> None:
    assert launch("parts", f32(3), dims={"P": 4}).outputs["y"].shape == (4,)
    assert "no argument shows the dim P of y: give dims={'P': …}" in refused("parts", f32(3))


def test_types_that_no_argument_shows_are_named() -> None:
    assert launch("made", 3, types={"T": "f16"}).outputs["y"].dtype == np.float16
    assert "no argument shows the element type T" in refused("made", 3)


def test_inout_arrays_are_updated_in_place() -> None:
    x = f32(4)
    made = launch("scale", x, 2.0)
    assert np.shares_memory(made.arrays["x"], x)
    assert made.outputs["x"] is x


def test_inout_arrays_with_strides_are_copied_back() -> None:
    x = np.zeros((4, 2), np.float32)[:, 0]
    made = launch("scale", x, 2.0)
    made.arrays["x"][...] = 7
    made.finish()
    assert (x == 7).all()


def test_inputs_that_overlap_an_inout_array_are_copied() -> None:
    x = f32(4)
    made = launch("scale", x, 2.0, x)
    assert not np.shares_memory(made.arrays["b"], x)


def test_read_only_inout() -> None:
    x = f32(4)
    x.flags.writeable = False
    assert "x: is updated in place, but the array is read-only" in refused("scale", x, 1.0)


@pytest.mark.parametrize(
    ("name", "args", "named", "words"),
    [
        ("softmax", (f32(2, 3), 1.0, 2), {}, "softmax: takes 2 arguments (x, scale), got 3"),
        ("softmax", (f32(2, 3),), {"scal": 1}, "no parameter `scal`; did you mean `scale`?"),
        ("softmax", (f32(2, 3),), {"x": 1}, "`x` is given twice"),
        ("softmax", (), {}, "x: expected T[*R, N], got nothing"),
        ("softmax", ([1.0],), {}, "x: expected an array T[*R, N], got list"),
        ("softmax", (np.ones((2, 3)),), {}, "T one of f16, f32, got f64[2, 3]"),
        ("softmax", (np.float32(1),), {}, "expected f32[*R, N] (at least 1 axes)"),
        ("softmax", (f32(2, 65),), {}, "`where N <= 64` does not hold: N = 65"),
        ("softmax", (f32(2, 3),), {"types": {"T": "f16"}}, "T = f16 (from types={'T': 'f16'})"),
        ("softmax", (f32(2, 3),), {"types": {"U": "f16"}}, "no generic `U`"),
        ("softmax", (f32(2, 3),), {"types": {"T": "f61"}}, "`f61` is no element type"),
        ("softmax", (f32(2, 3),), {"dims": {"N": 4}}, "N = 4"),
        ("softmax", (f32(2, 3),), {"dims": {"Q": 4}}, "has no dim `Q`"),
        ("softmax", (f32(2, 3), "a"), {}, "scale: expected one f32, got str"),
        ("offsets", (f32(4, 3), np.zeros(6, np.int64), f32(6)), {}, "got i64[6]"),
        ("offsets", (f32(4, 3), np.zeros(0, np.int32), f32(6)), {}, "no G gives 0"),
        ("offsets", (f32(4, 3), np.zeros(6, np.int32), f32(7)), {}, "w: expected f32[2 * K]"),
        ("offsets", (f32(3), np.zeros(6, np.int32), f32(6)), {}, "expected f32[M, K] (2 axes)"),
        ("chunks", (f32(12), f32(3, 5)), {}, "(C = 3 from z, S = 5 from z), got f32[12]"),
        ("window", (f32(9), 0, 1, 3), {}, "`where stride >= 1` does not hold: stride = 0"),
        ("window", (f32(9), 1.5, 1, 3), {}, "stride: expected one i32, got float 1.5"),
        ("window", (f32(9), 2**31, 1, 3), {}, "stride: expected i32"),
        ("window", (f32(9), 1, 1), {}, "k: expected const i32, got nothing"),
        ("scale", (f32(4), 1.0, np.ones(4, np.float16)), {}, "T = f32 (from x), got f16[4]"),
        ("scale", (f32(4), 1.0, f32(5)), {}, "b: expected f32[N] with N = 4 (N = 4 from x)"),
        ("made", (-1,), {"types": {"T": "f32"}}, "`where n >= 0` does not hold: n = -1"),
        ("parts", (f32(3),), {"dims": {"P": 0}}, "`where P >= 1` does not hold: P = 0"),
        ("parts", (f32(3),), {"dims": {"P": -1}}, "dim P would be -1"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(
    name: str, args: tuple[object, ...], named: dict[str, object], words: str
) -> None:
    assert words in refused(name, *args, **named)


def test_bf16_arrays_are_those_of_ml_dtypes() -> None:
    made = launch("scale", np.ones(3, ml_dtypes.bfloat16), 1.0)
    assert made.outputs["x"].dtype == ml_dtypes.bfloat16


def test_argument_errors_are_value_errors() -> None:
    assert issubclass(ArgumentError, ValueError)
