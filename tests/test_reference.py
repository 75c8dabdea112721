"""References: whole tensors, named axes, f64."""

from typing import Any

import numpy as np
import pytest

from tiledsl import CompileError
from tiledsl.check import elaborate, load_text
from tiledsl.reference import evaluate_reference
from tiledsl.runtime.binding import arguments, specialise
from tiledsl.runtime.launch import prepare

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5)).astype(np.float32)
Y = RNG.normal(size=(5, 4)).astype(np.float32)
V = RNG.normal(size=7).astype(np.float32)
IDS = np.array([2, -1, 0, 3], np.int32)

FNS = """
const TABLE = [[1.0, 2.0], [3.0, 4.0]]
const SHIFT = 10

fn shifted(x) = x + SHIFT

fn moments(x, n):
    mu = mean(x over n)
    d = x - mu
    return mu, mean(d * d over n)

"""


def refer(header: str, body: str, *args: object, **named: object) -> Any:
    """Evaluate a reference; its kernel's body does not matter."""
    outputs = header.split("->")[1]
    stores = [o.split(":")[0].strip(" (") for o in outputs.split("]")[:-1]]
    first = header.split("(")[0]
    text = f'{FNS}kernel {header}:\n    print("")\n\nreference {first}:\n'
    text += "".join(f"    {line}\n" for line in body.strip().split("\n"))
    module = load_text(text, "reference.tile")
    item = module.kernels[first].item
    given = arguments(item, args, named)
    graph, _ = elaborate(module, first, specialise(item, given, {}))
    launch = prepare(graph, given, {})
    found = evaluate_reference(module, graph, launch.arrays, launch.dims, launch.scalars)
    return found if len(stores) > 1 else next(iter(found.values()))


def near(got: Any, want: Any) -> None:
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol=1e-6, atol=1e-7)


def test_nothing_is_reduced_to_what_the_language_says() -> None:
    none = np.zeros((0, 5, 0), np.float32)
    header = "f(x: f32[L, M, N]) -> (y: f32[L, M])"
    assert refer(header, "y[l, m] = max(x[l, m, n] over n)", none).shape == (0, 5)
    header = "f(x: f32[L, M, N]) -> (y: f32[M])"
    near(refer(header, "y[m] = sum(x[l, m, n] over l, n)", none), np.zeros(5))
    near(refer(header, "y[m] = max(x[l, m, n] over l, n)", none), np.full(5, -np.inf))


def test_names_broadcast_and_reduce() -> None:
    got = refer(
        "f(x: f32[M, N]) -> (y: f32[M, N])",
        "e = exp(x[m, n] - max(x[m, n] over n))\ny[m, n] = e / sum(e over n)",
        X,
    )
    e = np.exp(X - X.max(1, keepdims=True))
    near(got, e / e.sum(1, keepdims=True))


def test_products_are_contracted() -> None:
    want = X.astype(np.float64) @ Y
    header = "f(a: f32[M, K], b: f32[K, N]) -> (c: f32[M, N])"
    for body in (
        "sum(a[m, k] * b[k, n] over k)",
        "a[m, k] @ b[k, n]",
        "dot(a[m, k], b[k, n] over k)",
    ):
        near(refer(header, f"c[m, n] = {body}", X, Y), want)


def test_transposed_stores_and_diagonals() -> None:
    near(refer("f(x: f32[M, N]) -> (y: f32[N, M])", "y[n, m] = x[m, n]", X), X.T)
    near(refer("f(x: f32[M, M]) -> (y: f32[M])", "y[m] = x[m, m]", X[:, :3].copy()), X.diagonal())


def test_windows_take_defaults_outside() -> None:
    got = refer("f(x: f32[N]) -> (y: f32[N])", "y[p] = x[p - 1 else 0] + x[p]", V)
    near(got, V + np.r_[0, V[:-1]])
    got = refer("f(x: f32[N]) -> (y: f32[N])", "y[p] = max(x[p + r - 1 else -inf] over r in 3)", V)
    wide = np.r_[-np.inf, V, -np.inf]
    near(got, np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:]))


def test_lookups() -> None:
    got = refer(
        "f(w: f32[V, D], i: i32[N]) -> (y: f32[N, D])", "y[t, d] = w[i[t], d else 0]", Y, IDS
    )
    want = np.where((IDS >= 0)[:, None], Y[IDS], 0)
    near(got, want)


def test_scatter_with_skip_and_atomics() -> None:
    header = "f(x: f32[N], i: i32[N], z: f32[V]) -> (y: f32[V] = 0)"
    got = refer(header, "atomic y[i[t] else skip] += x[t]", V[:4], IDS, f32(3))
    near(got, [V[2], 0, V[0]])


def test_scans_sorts_and_renames() -> None:
    near(refer("f(x: f32[N]) -> (y: f32[N])", "y[n] = cumsum(x[n] over n)", V), V.cumsum())
    got = refer(
        "f(x: f32[N]) -> (y: f32[N], i: i32[N])",
        "v, p = sort(x[n] over n)\ny[n] = v\ni[n] = p",
        V,
    )
    near(got["y"], np.sort(V))
    near(got["i"], np.argsort(V))
    got = refer("f(x: f32[N]) -> (y: f32[N, N])", "y[i, j] = x[i] - rename(x[i], i -> j)", V)
    near(got, V[:, None].astype(np.float64) - V[None])


def test_topk_is_descending_with_the_lowest_position_among_equals() -> None:
    x = np.array([1, 3, 3, 2], np.float32)
    got = refer(
        "f(x: f32[N], const k: i32) -> (v: f32[k], i: i32[k])",
        "w, p = topk(x[n] over n into e)\nv[e] = w\ni[e] = p",
        x, 3,
    )  # fmt: skip
    near(got["v"], [3, 3, 2])
    near(got["i"], [1, 2, 3])


def test_functions_see_the_names_of_their_own_file() -> None:
    near(refer("f(x: f32[N]) -> (y: f32[N])", "y[n] = shifted(x[n])", V), V.astype(np.float64) + 10)
    got = refer(
        "f(x: f32[M, N]) -> (a: f32[M], b: f32[M])",
        "p, q = moments(x[m, n], n)\na[m] = p\nb[m] = q",
        X,
    )
    near(got["a"], X.astype(np.float64).mean(1))
    near(got["b"], X.astype(np.float64).var(1))


def test_tables_conditions_and_branches() -> None:
    got = refer(
        "f(x: f32[N], const flip: bool) -> (y: f32[N])",
        "if flip:\n    y[n] = -x[n]\nelse:\n    y[n] = TABLE[n % 2, 1] * x[n]",
        V, False,
    )  # fmt: skip
    near(got, np.where(np.arange(7) % 2 == 0, 2, 4) * V.astype(np.float64))


def test_integers_are_exact_and_outputs_saturate() -> None:
    big = np.array([2**31 - 1, 5], np.int32)
    near(refer("f(x: i32[N]) -> (y: i32[N])", "y[n] = x[n] * 3 // 3", big), big)
    near(refer("f(x: i32[N]) -> (y: i32[N])", "y[n] = x[n] * 3", big), [2**31 - 1, 15])
    near(
        refer(
            "f(x: f32[N]) -> (y: i8[N])", "y[n] = i8(round(x[n]))", np.array([2.5, 300], np.float32)
        ),
        [2, 127],
    )


def test_empty_reductions_give_identities() -> None:
    nothing = np.zeros((2, 0), np.float32)
    near(refer("f(x: f32[M, N]) -> (y: f32[M])", "y[m] = sum(x[m, n] over n)", nothing), [0, 0])
    near(
        refer("f(x: f32[M, N]) -> (y: f32[M])", "y[m] = max(x[m, n] over n)", nothing),
        [-np.inf] * 2,
    )


def test_recurrences_run_over_scalars() -> None:
    body = "var h: f32 = 0\nfor t in N:\n    h = 0.5 * h + x[t]\n    y[t] = h"
    got, h = refer("f(x: f32[N]) -> (y: f32[N])", body, V), 0.0
    for t in range(7):
        h = 0.5 * h + float(V[t])
        assert abs(got[t] - h) < 1e-6


def test_inout_tensors_keep_what_is_not_written() -> None:
    module = load_text(
        'kernel f(inout c: f32[N], at: i32[K], v: f32[K]):\n    print("")\n\n'
        "reference f:\n    c[at[k] else skip] = v[k]\n",
        "inout.tile",
    )
    item = module.kernels["f"].item
    given = arguments(item, (np.zeros(3, np.float32), IDS, np.array([1, 2, 3, 4], np.float32)), {})
    graph, _ = elaborate(module, "f", specialise(item, given, {}))
    launch = prepare(graph, given, {})
    found = evaluate_reference(module, graph, launch.arrays, launch.dims, launch.scalars)
    near(found["c"], [3, 0, 1])
    near(launch.arrays["c"], [0, 0, 0])


@pytest.mark.parametrize(
    ("header", "body", "words"),
    [
        ("f(x: f32[N]) -> (y: f32[N])", "y[n] = x[n + 1]", "it reads outside `x`"),
        ("f(x: f32[N]) -> (y: f32[N])", "y[n] = sum(x[n + j] over j)", "what `j` runs over"),
        ("f(x: f32[N]) -> (y: f32[N])", "y[n + 1] = x[n]", "it writes outside `y`"),
        ("f(x: f32[N]) -> (y: f32[N])", "y[n] = x[n] + m", "what `m` runs over"),
        ("f(x: f32[N]) -> (y: i32[N])", "y[n] = x[n]", "a float is stored in i32"),
        ("f(x: f32[N]) -> (y: f32[N])", "y[n] = x[n] @ x[m] + m", "share no range"),
        ("f(x: f32[N]) -> (y: f32[N])", "y[n] = hypot(x[n])", "no function `hypot`"),
        ("f(x: f32[N]) -> (y: f32[1])", "y[0] = x[n]", "`n` of the value is not among"),
    ],
)
def test_what_has_no_meaning_is_told(header: str, body: str, words: str) -> None:
    with pytest.raises(CompileError) as caught:
        refer(header, body, V)
    assert words in str(caught.value)


def f32(*shape: int) -> np.ndarray[Any, Any]:
    return np.zeros(shape, np.float32)
