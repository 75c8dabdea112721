"""Proofs on kernels built by hand."""

import time

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.check.prove import prove, uncovered
from tiledsl.ops import OPS
from tiledsl.scalar import Axis, Dim, Tensor, TileSize
from tiledsl.source import NOWHERE
from tiledsl.types import DType

M, N, K = Dim("M"), Dim("N"), Dim("K")


def grid(name: str, size: sc.Scalar, tile: str = "") -> Axis:
    return Axis(name, "grid", sc.ZERO, size, TileSize(tile) if tile else None)


def tensor(name: str, *shape: sc.Scalar, role: str = "in", dtype: DType = DType.F32) -> Tensor:
    return Tensor(name, dtype, shape, "out" if role == "out" else "in")


def at(*axes: Axis, offset: sc.Scalar = sc.ZERO) -> ir.Index:
    return ir.Index(tuple((axis, sc.ONE) for axis in axes), offset)


def value(name: str, *axes: Axis, dtype: DType = DType.F32) -> ir.Value:
    return ir.Value(name, ir.TileType(dtype, axes))


def kernel(
    tensors: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    axes: tuple[Axis, ...],
    body: tuple[ir.Stmt, ...],
    *facts: sc.Scalar,
) -> ir.Kernel:
    known = tuple(ir.Fact(f, sc.show(f)) for f in facts)
    return ir.Kernel(
        "k", ir.Binding(), tensors, outputs, (), (), known, axes, body, ()
    )


def matmul() -> ir.Kernel:
    a, b, c = tensor("a", M, K), tensor("b", K, N), tensor("c", M, N, role="out")
    m, n = grid("m", M, "BM"), grid("n", N, "BN")
    k = Axis("k", "for", sc.ZERO, K, TileSize("BK"))
    x, y = value("x", m, k), value("y", k, n)
    loop = ir.For(
        NOWHERE,
        k,
        (
            ir.Load(NOWHERE, x, a, (at(m), at(k))),
            ir.Load(NOWHERE, y, b, (at(k), at(n))),
        ),
    )
    body = (loop, ir.Store(NOWHERE, c, (at(m), at(n)), sc.ZERO))
    return kernel((a, b), (c,), (m, n), body)


def test_matmul_is_proven() -> None:
    proven, found = prove(matmul())
    assert found == []
    assert [s.guards for s in ir.statements(proven.body) if isinstance(s, ir.Load | ir.Store)] == [
        (False, False)
    ] * 3
    assert uncovered(matmul()) == ()


def test_matmul_is_proven_fast() -> None:
    source = matmul()
    prove(source)
    start = time.process_time()
    for _ in range(10):
        prove(source)
    assert (time.process_time() - start) / 10 < 0.02


def copy(offset: sc.Scalar, *facts: sc.Scalar, skip: bool = False) -> ir.Kernel:
    x, y = tensor("x", N), tensor("y", N, role="out")
    i = grid("i", N, "BN")
    v = value("v", i)
    load = ir.Load(NOWHERE, v, x, (at(i, offset=offset),), sc.ZERO if skip else None)
    return kernel((x,), (y,), (i,), (load, ir.Store(NOWHERE, y, (at(i),), v)), *facts)


def test_an_index_beyond_is_reported_with_numbers() -> None:
    _, found = prove(copy(sc.ONE))
    assert [d.code for d in found] == ["B101"]
    assert "not proven: `i + 1 < N`" in found[0].render()
    assert "with N = 1, i = 0 the index is 1, of 1 element" in found[0].render()


def test_a_default_is_a_guard() -> None:
    proven, found = prove(copy(sc.ONE, skip=True))
    assert found == []
    load = proven.body[0]
    assert isinstance(load, ir.Load)
    assert load.guards == (True,)


def test_a_needless_default_is_a_warning() -> None:
    _, found = prove(copy(sc.ZERO, skip=True))
    assert [(d.code, d.severity) for d in found] == [("W501", "warning")]


def test_a_span_takes_the_least_bound() -> None:
    half = sc.apply("floordiv", Dim("D"), sc.integer(2))
    d = Axis("d", "span", sc.ZERO, half)
    x, y = tensor("x", Dim("D")), tensor("y", half, role="out")
    v = value("v", d)
    body = (ir.Load(NOWHERE, v, x, (at(d, offset=half),)), ir.Store(NOWHERE, y, (at(d),), v))
    bound = sc.apply("le", Dim("D"), sc.integer(512))
    _, found = prove(kernel((x,), (y,), (), body, bound))
    assert found == []
    assert d.limit == 256
    _, found = prove(kernel((x,), (y,), (), body))
    assert [f.code for f in found] == ["B201"]


def test_programs_that_write_one_element_collide() -> None:
    y = tensor("y", M, role="out")
    m, n = grid("m", M, "BM"), grid("n", N)
    body = (ir.Store(NOWHERE, y, (at(m),), sc.ZERO),)
    _, found = prove(kernel((), (y,), (m, n), body))
    assert [(d.code, d.message) for d in found] == [
        ("R101", "programs along `n` write the same elements of `y`")
    ]


def test_lanes_that_write_one_element_collide() -> None:
    half = sc.apply("floordiv", M, sc.integer(2))
    y = tensor("y", M, role="out")
    m = grid("m", M, "BM")
    v = value("p", m, dtype=DType.I32)
    w = value("q", m, dtype=DType.I32)
    body = (
        ir.Positions(NOWHERE, v, m),
        ir.Compute(NOWHERE, w, OPS["floordiv"], (v, sc.integer(2))),
        ir.Store(NOWHERE, y, (ir.Index((), sc.ZERO, w),), v),
    )
    _, found = prove(kernel((), (y,), (m,), body))
    assert [d.code for d in found] == ["R101", "R102"] or [d.code for d in found] == ["R101"]
    assert half != M


def test_digits_are_apart_and_cover() -> None:
    quarter = sc.apply("floordiv", N, sc.integer(4))
    y = tensor("y", N, role="out")
    g = grid("g", quarter, "BG")
    e = Axis("e", "span", sc.ZERO, sc.integer(4))
    index = ir.Index(((g, sc.integer(4)), (e, sc.ONE)), sc.ZERO)
    body = (ir.Store(NOWHERE, y, (index,), sc.ZERO),)
    whole = sc.apply("eq", sc.apply("mod", N, sc.integer(4)), sc.ZERO)
    _, found = prove(kernel((), (y,), (g,), body, whole))
    assert found == []
    assert uncovered(kernel((), (y,), (g,), body, whole)) == ()
    assert uncovered(kernel((), (y,), (g,), body)) == ("y",)
    _, found = prove(kernel((), (y,), (g,), body))
    assert found == []


def test_an_output_that_nothing_writes_is_an_error() -> None:
    y = tensor("y", M, role="out")
    _, found = prove(kernel((), (y,), (), ()))
    assert [d.code for d in found] == ["R201"]


def test_an_empty_grid_covers_nothing() -> None:
    a, b = Dim("A"), Dim("B")
    y = tensor("y", b, b, role="out")
    g = grid("g", a, "BG")
    body = (ir.Store(NOWHERE, y, (at(offset=a), ir.Index(((g, a),), a)), sc.ZERO, skip=True),)
    facts = (sc.apply("lt", a, b), sc.apply("eq", b, sc.ONE))
    assert uncovered(kernel((), (y,), (g,), body, *facts)) == ("y",)
