"""From text to tile IR: what each construct of the language becomes."""

from pathlib import Path

import pytest

from tiledsl import ir, scalar
from tiledsl.check import Module, check_module, elaborate, instantiate, load_module, load_text
from tiledsl.diagnostics import CompileError, Diagnostic
from tiledsl.ir_text import show
from tiledsl.scalar import Literal, Tensor
from tiledsl.types import DType

MATMUL = """
kernel matmul[T in (f32, f16, bf16)](a: T[M, K], b: T[K, N]) -> (c: T[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    c[m, n] = acc
"""


def kernel(text: str, binding: ir.Binding | None = None, name: str | None = None) -> ir.Kernel:
    module = load_text(text)
    whole, diagnostics = elaborate(module, name or module.own[-1], binding or ir.Binding())
    assert not diagnostics, [d.render() for d in diagnostics]
    assert isinstance(whole, ir.Kernel)
    return whole


def vector(body: str, params: str = "x: f32[N]", output: str = "y: f32[N]") -> str:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"kernel f({params}) -> ({output}):\n    grid i in N by BN\n{lines}"


def body(text: str, binding: ir.Binding | None = None) -> list[str]:
    """Return the printed statements of a kernel."""
    heads = ("  in ", "  out ", "  inout ", "  grid ", "  span ", "  where ", "  table ", "kernel ")
    lines = show(kernel(text, binding)).splitlines()
    return [line[2:] for line in lines if not line.startswith(heads)]


def findings(text: str) -> list[Diagnostic]:
    try:
        return check_module(load_text(text))
    except CompileError as error:
        return list(error.diagnostics)


def types(**given: str) -> ir.Binding:
    return ir.Binding(types=tuple((name, DType(spelling)) for name, spelling in given.items()))


def test_matmul_as_text() -> None:
    assert show(kernel(MATMUL, types(T="f16"))) == (
        "kernel matmul[T=f16]:\n"
        "  in a: f16[M, K]\n"
        "  in b: f16[K, N]\n"
        "  out c: f16[M, N]\n"
        "  grid m in M by BM, n in N by BN\n"
        "  var acc: f32[m, n] = 0.0\n"
        "  for k in K by BK:\n"
        "    %acc.1: f32[m, n] = acc\n"
        "    %2: f16[m, k] = a[m, k]\n"
        "    %3: f16[n, k] = b[k, n]\n"
        "    %4: f32[m, n] = dot(%2, %3 over k)\n"
        "    %5: f32[m, n] = %acc.1 + %4\n"
        "    acc = %5\n"
        "  %acc.6: f32[m, n] = acc\n"
        "  %7: f16[m, n] = f16(%acc.6)\n"
        "  c[m, n] = %7\n"
    )


def test_parts_of_a_kernel() -> None:
    matmul = kernel(MATMUL, types(T="f32"))
    assert matmul.dims == ("M", "K", "N")
    assert matmul.tile_sizes == ("BM", "BN", "BK")
    assert [a.name for a in matmul.grid] == ["m", "n"]
    assert [t.name for t in matmul.tensors] == ["a", "b", "c"]


# ---- types --------------------------------------------------------------------------------------


def test_narrow_types_are_storage() -> None:
    text = vector("y[i] = x[i] + x[i] * 2", "x: f16[N]", "y: f16[N]")
    assert body(text) == [
        "%1: f16[i] = x[i]",
        "%2: f16[i] = x[i]",
        "%3: f32[i] = f32(%2)",
        "%4: f32[i] = %3 * 2.0",
        "%5: f32[i] = f32(%1)",
        "%6: f32[i] = %5 + %4",
        "%7: f16[i] = f16(%6)",
        "y[i] = %7",
    ]


def test_selections_keep_their_type() -> None:
    text = vector("y[i] = where(x[i] > 0, max(x[i], 1), round(x[i]))", "x: f16[N]", "y: f16[N]")
    lines = body(text)
    assert "%5: f16[i] = max(%4, 1.0)" in lines
    assert lines[-2].startswith("%8: f16[i] = where(")


def test_small_integers_are_computed_in_i32_and_shifted_by_positions() -> None:
    text = vector("y[i] = x[i] >> i % 8 & 1", "x: u8[N]", "y: i32[N]")
    assert body(text) == [
        "%1: u8[i] = x[i]",
        "%2: i32[i] = positions(i)",
        "%3: i32[i] = %2 % 8",
        "%4: i32[i] = i32(%1)",
        "%5: i32[i] = %4 >> %3",
        "%6: i32[i] = %5 & 1",
        "y[i] = %6",
    ]


def test_numbers_take_the_type_they_meet() -> None:
    text = vector("y[i] = x[i] / N + k * x[i] - (2 + 3) * 0.5", "x: f16[N], k: i64", "y: f32[N]")
    lines = body(text)
    assert "%3: f32[i] = %2 / f32(N)" in lines
    assert "%6: f32[i] = f32(k) * %5" in lines
    assert lines[-2].endswith("- 2.5")


def test_different_widths_meet_at_the_wider() -> None:
    text = vector("y[i] = max(x[i], w[i]) + d[i]", "x: f16[N], w: f32[N], d: f64[N]", "y: f64[N]")
    lines = body(text)
    assert any(line.startswith("%4: f32[i] = max(") for line in lines)
    assert lines[-2].startswith("%7: f64[i]")


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("i8(round(x[i]))", "i8"), ("wrap(u8, i32(x[i]))", "u8"), ("bitcast(i32, x[i])", "i32"),
        ("x[i] > 0 and i < 3", "bool"), ("isnan(x[i])", "bool"), ("i", "i32"),
        ("popcount(i)", "i32"), ("rand(1, i)", "f32"), ("bits(1, i)", "u32"), ("~i", "i32"),
        ("x[i] ** 2", "f32"), ("abs(x[i])", "f32"), ("f64(i)", "f64"), ("wide(T)", ""),
        ("lowest(i8)", "i8"), ("-i", "i32"), ("clamp(x[i], 0, 1)", "f32"), ("i // 2", "i32"),
        ("x[i] if N > 2 else 0", "f32"), ("0 < x[i] < 1", "bool"), ("ceil_div(i, 4)", "i32"),
    ],
)  # fmt: skip
def test_type_of(expression: str, want: str) -> None:
    if not want:
        assert findings(vector(f"y[i] = {expression}"))
        return
    assert body(vector(f"y[i] = {expression}", output=f"y: {want}[N]"))[-1].startswith("y[i] = ")


def test_sums_widen_and_truth_values_count() -> None:
    text = """
kernel f(x: i8[M, N]) -> (a: i32[M], b: i32[M], c: i8[M], d: i32[M]):
    where N <= 64
    grid m in M by BM
    span n in N
    v = x[m, n]
    a[m] = sum(v over n)
    b[m] = sum(v > 0 over n)
    c[m] = max(v over n)
    d[m] = argmax(v over n)
"""
    lines = body(text)
    assert "%3: i32[m] = sum(%2 over n)" in lines
    assert any(line.startswith("%7: i8[m] = max(%v over n)") for line in lines)
    assert any("i32[m] = argmax(%v over n)" in line for line in lines)


def test_mean_divides_by_the_number_of_positions() -> None:
    text = """
kernel f(x: f16[M, K]) -> (y: f32[M]):
    grid m in M by BM
    y[m] = mean(x[m, r + s else 0] over r in 3, s in K)
"""
    assert "%4: f32[m] = %3 / f32((K * 3))" in body(
        text
    ) or "%4: f32[m] = %3 / f32((3 * K))" in body(text)


def test_outer_products_of_integers_are_free() -> None:
    text = """
kernel f(x: f32[M, N]) -> (y: f32[M, N]):
    grid m in M by BM, n in N by BN
    causal = n <= m
    y[m, n] = where(causal and n - m < 4, x[m, n], 0)
"""
    assert "%causal: bool[m, n] = %1 <= %2" in body(text)


# ---- numbers, indices, domains ------------------------------------------------------------------


def test_indices_are_affine_through_names() -> None:
    text = """
kernel f(x: f32[L], s: i32) -> (y: f32[P]):
    grid p in P by BP
    at = p * s + 1
    y[p] = x[at * 2 - s else 0]
"""
    (load,) = (s for s in kernel(text).body if isinstance(s, ir.Load))
    ((axis, mult),) = load.index[0].terms
    assert axis.name == "p"
    assert scalar.show(mult) == "(s * 2)"
    assert scalar.show(load.index[0].offset) == "(2 - s)"
    assert load.index[0].gather is None


def test_other_integer_tiles_are_lookups() -> None:
    text = vector("y[i] = x[ids[i // 2], i else 0]", "x: f32[M, N], ids: i64[N]")
    (row, column) = next(
        s for s in kernel(text).body if isinstance(s, ir.Load) and s.tensor.name == "x"
    ).index
    assert row.gather is not None
    assert row.gather.type.dtype is DType.I32
    assert column.bare is not None


def test_elements_of_inputs_are_numbers() -> None:
    text = """
kernel f(x: f32[M], off: i32[G + 1], alpha: f16[1], inout z: i32[1]) -> (y: f32[M]):
    grid g in G, m in M[off[g] .. off[g + 1]] by BM
    disjoint y[m] = x[m] * alpha[0] + f32(z[0])
"""
    f = kernel(text)
    assert scalar.show(f.grid[1].lo) == "max(off[g], 0)"
    assert scalar.show(f.grid[1].hi) == "min(off[(g + 1)], M)"
    lines = body(text)
    assert "%2: f32[m] = %1 * f32(alpha[0])" in lines
    assert "%3: i32 = z[0]" in lines  # it is written, so it is read when its turn comes


def test_tables() -> None:
    text = "const W = [[1, 2.5], [-0.0, 4]]\n\n" + vector(
        "span k in 2\nt: f32[i, k] = W[1, k] * x[i]\ny[i] = sum(t over k) + W[0, 1]"
    )
    f = kernel(text)
    (table,) = f.tables
    assert table.values == (1.0, 2.5, -0.0, 4.0)
    assert table.dtype is DType.F32
    assert body(text)[-2].endswith("+ 2.5")


@pytest.mark.parametrize(
    ("domain", "lo", "hi"),
    [
        ("N", "0", "N"), ("N // 2", "0", "(N // 2)"), ("N[3 ..]", "3", "N"),
        ("N[.. 5]", "0", "min(5, N)"),
        ("2 .. N - 1", "2", "(N - 1)"), ("N[s .. N - s]", "max(s, 0)", "min((N - s), N)"),
        ("i", "start(i)", "end(i)"), ("i[2 ..]", "max(2, start(i))", "end(i)"),
        ("size(i)", "0", "(end(i) - start(i))"),
    ],
)  # fmt: skip
def test_domains(domain: str, lo: str, hi: str) -> None:
    text = vector(f"for j in {domain} by 4:\n    y[j] = 1", "x: f32[N], s: i32")
    loop = kernel(text).body[-1]
    assert isinstance(loop, ir.For)
    assert (scalar.show(loop.axis.lo), scalar.show(loop.axis.hi)) == (lo, hi)
    assert loop.axis.tile == Literal(4)


def test_span_in_a_range_and_rename() -> None:
    text = """
kernel f(g: f32[N]) -> (y: f32[N, N]):
    grid i in N by BN
    span j in i
    c = cumsum(g[i] over i)
    y[i, j] = where(j <= i, c - rename(c, i -> j), 0)
"""
    axes = {a for s in kernel(text).body for v in ir.results(s) for a in v.type.axes}
    j = next(a for a in axes if a.name == "j")
    assert j.source is kernel(text).grid[0] or (j.source is not None and j.source.name == "i")
    assert any("rename(%c, i -> j)" in line for line in body(text))


# ---- statements ---------------------------------------------------------------------------------


def test_state_branches_and_scalar_loops() -> None:
    text = """
kernel f(x: f32[M, N], mask: bool[N], s: i32) -> (y: f32[M]):
    grid m in M by BM
    var acc: f32[m] = 0
    for t in N:
        if mask[t] and s > 2:
            acc += x[m, t]
        elif s == 0:
            acc max= x[m, t]
        else:
            acc = acc - 1
    y[m] = acc
"""
    assert body(text) == [
        "var acc: f32[m] = 0.0",
        "for t in N:",
        "  if (mask[t] and (s > 2)):",
        "    %acc.1: f32[m] = acc",
        "    %2: f32[m] = x[m, t]",
        "    %3: f32[m] = %acc.1 + %2",
        "    acc = %3",
        "  else:",
        "    if (s == 0):",
        "      %acc.4: f32[m] = acc",
        "      %5: f32[m] = x[m, t]",
        "      %6: f32[m] = max(%acc.4, %5)",
        "      acc = %6",
        "    else:",
        "      %acc.7: f32[m] = acc",
        "      %8: f32[m] = %acc.7 - 1.0",
        "      acc = %8",
        "%acc.9: f32[m] = acc",
        "y[m] = %acc.9",
    ]


def test_branches_known_at_compile_time_leave_no_trace() -> None:
    text = """
kernel f(x: f32[N], b: f32[N] = none, const fast: bool = false) -> (y: f32[N]):
    grid i in N by BN
    v = x[i] + b[i] if has(b) and not fast else x[i]
    if fast:
        y[i] = v * 2
    else:
        y[i] = v
"""
    absent = ir.Binding(absent=frozenset({"b"}))
    assert body(text, absent) == ["%v: f32[i] = x[i]", "y[i] = %v"]
    assert len(body(text)) == 4
    assert [p.name for p in kernel(text, absent).params] == ["x"]
    fast = ir.Binding(consts=(("fast", True),))
    assert body(text, fast) == ["%v: f32[i] = x[i]", "%2: f32[i] = %v * 2.0", "y[i] = %2"]


def test_atomic_disjoint_and_skip() -> None:
    text = """
kernel f(x: f32[N], ids: i32[N]) -> (s: f32[1] = 0, t: f32[1] = -inf, y: f32[N] = 0):
    grid i in N by BN
    atomic s[0] += sum(x[i] over i)
    atomic t[0] max= max(x[i] over i)
    disjoint y[ids[i] else skip] = x[i]
"""
    f = kernel(text)
    stores = [s for s in f.body if isinstance(s, ir.Store)]
    assert [(s.mode, s.atomic, s.skip) for s in stores] == [
        ("atomic", "add", False), ("atomic", "max", False), ("disjoint", "", True)
    ]  # fmt: skip
    assert f.outputs[1].initial == Literal(float("-inf"), DType.F32)


def test_sort_and_topk() -> None:
    text = """
kernel f(x: f16[M, N], const k: i32) -> (v: f16[M, k], p: i32[M, k], s: f16[M, N]):
    where N <= 64
    grid m in M by BM
    span n in N, e in k
    a, b = topk(x[m, n] over n into e)
    v[m, e] = a
    p[m, e] = b
    c, _ = sort(x[m, n] over n)
    s[m, n] = c
"""
    sorts = [s for s in kernel(text).body if isinstance(s, ir.Sort)]
    assert [str(v.type) for s in sorts for v in ir.results(s)] == [
        "f16[m, e]", "i32[m, e]", "f16[m, n]", "i32[m, n]"
    ]  # fmt: skip


def test_print_and_assert() -> None:
    text = vector('print("m = {}", x[i])\nassert x[i] > 0, "positive"\ny[i] = x[i]')
    assert "print('m = {}', %1)" in body(text)
    assert any(line.startswith("assert %") and "'positive'" in line for line in body(text))


# ---- facts, dims, constants ---------------------------------------------------------------------


def test_facts_define_and_pin_dims() -> None:
    text = """
kernel f(x: f32[L, D], r: i32) -> (y: f32[P, D]):
    where P == L - r + 1, r >= 1, D == 64
    grid p in P by BP
    span d in D
    y[p, d] = x[p + r - 1, d]
"""
    f = kernel(text)
    assert [(fact.text, fact.defines) for fact in f.facts] == [
        ("P == L - r + 1", "P"),
        ("r >= 1", ""),
    ]
    assert f.dims == ("L", "P")
    assert isinstance(f.params[0], Tensor)
    assert f.params[0].shape[1] == Literal(64)
    pinned = kernel(text, ir.Binding(pinned=(("L", 100),)))
    assert pinned.dims == ("P",)


def test_const_parameters_without_a_number_are_symbols() -> None:
    text = vector("y[i] = max(x[i + r else 0] over r in k)", "x: f32[N], const k: i32")
    assert [p.name for p in kernel(text).params] == ["x"]
    bound = kernel(text, ir.Binding(consts=(("k", 3),)))
    axes = {a for s in bound.body for v in ir.results(s) for a in v.type.axes}
    assert {a.hi for a in axes if a.name == "r"} == {Literal(3)}


def test_shapes_are_arithmetic_on_dims_and_parameters() -> None:
    text = """
kernel f(w: f32[4 * H], m: u8[ceil_div(N, 8)], x: f32[*S, N], top: i32) -> (y: f32[*S, N + top]):
    grid s in S by BS, n in N + top by BN
    y[s, n] = x[s, n - top else 0]
"""
    assert kernel(text).dims == ("H", "N", "S")
    assert show(kernel(text)).splitlines()[3] == "  in x: f32[*S, N]"


# ---- functions ----------------------------------------------------------------------------------


def test_functions_mean_the_names_of_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "lib.tile").write_text(
        "const SCALE = 3.0\n\nfn helper(v) = v * SCALE\n\nfn both(v, n):\n"
        "    s = sum(v over n)\n    return helper(v), s\n"
    )
    (tmp_path / "main.tile").write_text(
        'from "lib.tile" import both as pair\n\nconst SCALE = 5.0\n\nfn helper(v) = v\n\n'
        "kernel f(x: f32[M, N]) -> (y: f32[M, N], t: f32[M]):\n    where N <= 8\n"
        "    grid m in M by BM\n    span n in N\n    s, v = pair(x[m, n], n)\n"
        "    y[m, n] = s\n    t[m] = v\n"
    )
    module = load_module(tmp_path / "main.tile")
    assert check_module(module) == []
    whole, _ = elaborate(module, "f")
    assert "* 3.0" in show(whole)


def test_functions_take_tensors_and_ranges() -> None:
    text = "fn at(t, j, step) = t[j + step else 0]\n\n" + vector("y[i] = at(x, i, 1)")
    assert body(text) == ["%1: f32[i] = x[i + 1 else 0.0]", "y[i] = %1"]


def test_every_function_of_the_library_is_good() -> None:
    text = """
from std.nn import relu, relu6, leaky_relu, elu, selu, silu, softplus, log_sigmoid, mish
from std.nn import hard_sigmoid, hard_swish, gelu, gelu_tanh, finite, softmax, log_sum_exp, moments
from std.nn import rms
from std.math import PI, square, cube, reciprocal, lerp, hypot, log_add_exp, divide_no_nan, sinh
from std.math import cosh, log10, is_finite, round_up
from std.random import uniform, normal, bernoulli, dropout

kernel f[T in (f16, f32)](x: T[M, N]) -> (y: f32[M, N]):
    where N <= 64
    grid m in M by BM
    span n in N
    v = x[m, n]
    a = relu(v) + relu6(v) + leaky_relu(v, 0.1) + elu(v, 1) + selu(v) + silu(v) + softplus(v)
    b = log_sigmoid(v) + mish(v) + hard_sigmoid(v) + hard_swish(v) + gelu(v) + gelu_tanh(v)
    c = softmax(v, n) + log_sum_exp(v, n) + finite(v) + rms(v, n, 1e-6) + PI * square(v) + cube(v)
    mu, r = moments(v, n, 1e-5)
    d = reciprocal(v) + lerp(v, a, 0.5) + hypot(v, b) + log_add_exp(v, c) + divide_no_nan(v, a)
    e = sinh(v) + cosh(v) + log10(v) + f32(is_finite(v)) + f32(round_up(n, 4)) + mu + r
    at = m * N + n
    g = uniform(7, at, -1, 1) + normal(7, at, N) + dropout(v, 7, at, 0.5)
    y[m, n] = a + b + c + d + e + where(bernoulli(7, at, 0.5), g, 0)
"""
    assert [d.render() for d in findings(text)] == []


# ---- whole modules ------------------------------------------------------------------------------


def test_instantiate_raises_what_is_wrong() -> None:
    module = load_text(vector("y[i] = x[i + 1]"))
    with pytest.raises(CompileError) as caught:
        instantiate(module, "f", ir.Binding())
    assert [d.code[0] for d in caught.value.diagnostics] == ["B"]
    with pytest.raises(CompileError) as caught:
        instantiate(load_text(MATMUL), "matmul", ir.Binding())
    assert caught.value.diagnostics[0].code == "T218"


def test_ops_choose_types_and_pass_numbers() -> None:
    text = """
kernel rows[T in (f16, f32)](x: T[M, N], w: T[N] = none, scale: f32 = 2.0) -> (part: f32[P, N]):
    where P >= 1
    grid p in P, n in N by BN
    var acc: f32[n] = 0
    each = ceil_div(M, P)
    for m in M[p * each .. (p + 1) * each] by BM:
        acc += sum(x[m, n] over m) * scale
    if has(w):
        acc = acc * w[n]
    part[p, n] = acc

kernel fold(part: f32[P, N]) -> (y: f32[N]):
    grid n in N by BN
    var acc: f32[n] = 0
    for p in P by BP:
        acc += sum(part[p, n] over p)
    y[n] = acc

op total[T in (f16, f32)](x: T[M, N], splits: i32) -> (y: f32[N]):
    half = splits // 2
    temp part: f32[half, N]
    rows(x) -> (part)
    fold(part) -> (y)
    rows(x, none, 3) -> (part)
"""
    module = load_text(text)
    assert check_module(module) == []
    graph = instantiate(module, "total", types(T="f16"))
    assert isinstance(graph, ir.OpGraph)
    assert [s.kernel.name for s in graph.steps] == ["rows", "fold", "rows"]
    assert graph.steps[0].kernel.binding.absent == {"w"}
    assert graph.steps[0].args[1] == Literal(2.0, DType.F32)
    assert graph.steps[2].args[1] == Literal(3.0, DType.F32)
    assert scalar.show(graph.temps[0].shape[0]) == "(splits // 2)"
    assert show(graph).startswith("op total[T=f16]:\n  in x: f16[M, N]\n  in splits: i32\n")


def test_one_mistake_is_told_once() -> None:
    text = """
kernel f[T in (f16, bf16, f32)](x: T[N], const a: bool, const b: bool) -> (y: T[N]):
    grid i in N by BN
    y[i] = x[i] + i
"""
    (only,) = findings(text)
    assert only.code == "T201"


def test_imports_from_the_search_path_and_not_from_outside(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "shared.tile").write_text("fn twice(x) = x + x\n")
    (tmp_path / "project").mkdir()
    main = tmp_path / "project" / "main.tile"
    main.write_text('from "shared.tile" import twice\n\n' + vector("y[i] = twice(x[i])"))
    with pytest.raises(CompileError, match=r"there is no `shared\.tile`"):
        load_module(main)
    module: Module = load_module(main, search=(tmp_path / "lib",))
    assert check_module(module) == []
    main.write_text('from "../lib/shared.tile" import twice\n')
    with pytest.raises(CompileError, match="leaves the project"):
        load_module(main)
    (tmp_path / "project" / "link.tile").symlink_to(tmp_path / "lib" / "shared.tile")
    main.write_text('from "link.tile" import twice\n')
    with pytest.raises(CompileError, match="leaves the project"):
        load_module(main)


HOSTILE = {
    "doubling": "fn f0(x) = x + 1\n"
    + "".join(f"fn f{k + 1}(x) = f{k}(f{k}(x))\n" for k in range(40))
    + vector("y[i] = f40(x[i])").replace("kernel f(", "kernel main("),
    "numbers": vector("a0 = s\n" + "\n".join(f"a{k + 1} = a{k} * a{k}" for k in range(60))
                      + "\ny[i] = x[a60 else 0]", "x: f32[N], s: i32"),
    "constants": "".join(f"const A{k + 1} = A{k} * A{k}\n" for k in range(70)) + "const A0 = 3\n",
    "chain": "".join(f"const A{k} = A{k + 1} + 1\n" for k in range(3000)) + "const A3000 = 3\n",
    "arms": vector("if s == 0:\n    y[i] = 0\n"
                   + "\n".join(f"elif s == {k}:\n    y[i] = {k}" for k in range(1000)),
                   "x: f32[N], s: i32"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_quickly(name: str) -> None:
    found = findings(HOSTILE[name])
    assert found
    assert all(d.message and d.render() for d in found)


def test_dims_of_a_parameter_left_out_are_gone() -> None:
    text = vector("y[i] = x[i] + b[0, i else 0] if has(b) else x[i]",
                  "x: f32[N], b: f32[K, N] = none")  # fmt: skip
    assert kernel(text, ir.Binding(absent=frozenset({"b"}))).dims == ("N",)
    assert kernel(text).dims == ("N", "K")
