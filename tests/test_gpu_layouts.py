"""Layouts: which thread holds which element."""

from itertools import product

import pytest

from tests.cuda.harness import SM80, kernel_of
from tiledsl import gpu, ir
from tiledsl.gpu.layouts import layout_of
from tiledsl.gpu.program import WARP, FmaLayout, Layout, MmaLayout
from tiledsl.scalar import Axis

TEXT = """
kernel gemm(a: {T}[M, K], b: {T}[K, N]) -> (c: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    c[m, n] = acc
"""
SIZES = [(1, 1), (3, 5), (16, 16), (17, 8), (64, 64), (128, 128), (48, 100), (100, 48), (16, 256)]


@pytest.mark.parametrize("kind", ["f16", "f32"])
@pytest.mark.parametrize("threads", [128, 256])
@pytest.mark.parametrize("size", SIZES)
def test_every_element_is_held_once(kind: str, threads: int, size: tuple[int, int]) -> None:
    layout = _layout(kind, threads, size)
    held = [
        layout.element(warp, lane, register)
        for warp, lane, register in product(
            range(threads // WARP), range(WARP), range(layout.registers)
        )
    ]
    rows, cols = layout.shape
    assert sorted(held) == sorted(product(range(rows), range(cols)))
    assert rows >= size[0]
    assert cols >= size[1]


def test_the_kind_of_product_follows_from_the_type() -> None:
    assert isinstance(_layout("f16", 128, (16, 16)), MmaLayout)
    assert isinstance(_layout("f32", 128, (16, 16)), FmaLayout)


def test_shared_memory_and_tile_sizes() -> None:
    kernel = kernel_of(TEXT.format(T="f16"))
    tiles = gpu.choose_tiles(kernel, SM80, {"BK": 32})
    assert tiles["BK"] == 32
    assert set(tiles) == {"BM", "BN", "BK"}
    # Two panels of 16-bit elements, 16 bytes more a row.
    needed = tiles["BM"] * (32 + 8) * 2 + 32 * (tiles["BN"] + 8) * 2
    assert gpu.shared_bytes(kernel, tiles, SM80) == needed


def _layout(kind: str, threads: int, size: tuple[int, int]) -> Layout:
    kernel = kernel_of(TEXT.format(T=kind))
    (contract,) = [s for s in ir.statements(kernel.body) if isinstance(s, ir.Contract)]
    limits = dict(zip(("m", "n"), size, strict=True))

    def limit(axis: Axis) -> int:
        return limits.get(axis.name, 16)

    layout = layout_of(contract, limit, threads)
    assert layout is not None
    return layout
