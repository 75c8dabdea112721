"""The core that computes, with a cube: matrices in the layouts that the hardware keeps them in.

L1 holds Nz (blocks of C0 columns, each row-major), L0A Zz and L0B Zn fractals, L0C Nz of 16 x 16.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.compute import VectorCore
from tiledsl.simulator.core import Line
from tiledsl.simulator.halves import widen
from tiledsl.simulator.lanes import round_up, windows
from tiledsl.simulator.places import Place, Spot, Value, View, same
from tiledsl.simulator.tiles import Tile, keep, loaded, tile_around, tile_at
from tiledsl.types import DType

_EXACT_K = (1 << 24) // (128 * 128)  # so many products of i8 are exact in f32


class CubeCore(VectorCore):
    """A core with all units."""

    def load_nz(
        self, line: Line, dst: Place, src: Spot, rows: Value, cols: Value, src_stride: Value,
        dst_rows: Value,
    ) -> None:  # fmt: skip
        """Copy a matrix to L1; columns are filled with 0 up to a multiple of C0."""
        rows, cols, c0 = same(rows), same(cols), 32 // dst.dtype.size
        if rows == 0 or cols == 0:
            return
        high = same(dst_rows)
        parts = loaded(self.lanes, self.launch, src, dst.dtype, (rows, cols), same(src_stride))
        if parts is not None:
            size = -(-cols // c0) * high * 32
            write = partial(self._to_l1, dst, parts, high)
            self._keep(dst, Tile(("nz", high), dst.start, size, parts, write))
            return
        blocks = -(-cols // c0)
        strides = (high * c0, c0, 1)
        into = self.lanes.window(dst, (blocks, rows, c0), strides).transpose(0, 2, 1, 3)
        whole, rest = divmod(cols, c0)
        for lanes, found in windows(
            src, dst.dtype, self.count, (rows, cols), (same(src_stride), 1), False
        ):
            some = found.shape[0]
            head = found[:, :, : whole * c0]
            into[lanes, :, :whole] = head.reshape(some, rows, whole, c0)
            if rest:
                into[lanes, :, whole, :rest] = found[:, :, whole * c0 :]
        if rest:
            into[:, :, whole, rest:] = 0

    def load_window(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], rows: Value, cols: Value,
        src_stride: Value, dst_rows: Value, skip: Value, clear: Value,
    ) -> None:  # fmt: skip
        """Copy matrices into rows of one; the other rows become 0 with ``clear``."""
        sizes, rows, cols = [same(n) for n in shape], same(rows), same(cols)
        high, c0, whole = same(dst_rows), 32 // dst.dtype.size, bool(same(clear))
        if cols == 0 or (not whole and (rows == 0 or 0 in sizes)):
            return
        at = np.arange(rows) + same(skip)
        for n, stride in zip(reversed(sizes), reversed(dst_strides), strict=True):
            at = np.add.outer(np.arange(n) * same(stride), at)
        at = at.reshape(-1)
        kept = dst.dtype in (DType.F16, DType.F32) and self.lanes.keeps_tiles
        kind = np.dtype(np.float32) if kept else dst.dtype.numpy
        dense = np.zeros((self.count, high if whole else int(at.max()) + 1, cols), kind)
        full, strides = (*sizes, rows, cols), (*map(same, src_strides), same(src_stride), 1)
        if at.size:
            for lanes, found in windows(src, dst.dtype, self.count, full, strides, False):
                dense[lanes, at] = found.reshape(found.shape[0], -1, cols)
        blocks = -(-cols // c0)
        write = partial(self._to_l1, dst, list(dense), high)
        if kept:
            size = blocks * high * 32
            self._keep(dst, Tile(("nz", high), dst.start, size, list(dense), write))
        else:
            write()

    def load_a(
        self, line: Line, dst: Place, src: Place, m: Value, k: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Copy the left matrix to L0A: fractals of 16 x C0, row after row of them."""
        k, c0 = same(k), 32 // dst.dtype.size
        parts = self._part(src, same(m), k, same(src_rows), transposed)
        m = round_up(same(m), 16)
        if k == 0:
            self.lanes.flat(dst, m * c0)[...] = 0
            return
        blocks = -(-k // c0)
        if parts is not None:
            write = partial(self._to_l0, dst, parts, m, blocks, (0, 2, 1, 3))
            self._keep(dst, Tile(("left", 0), dst.start, m * blocks * 32, parts, write))
            return
        into = self.lanes.window(
            dst, (m // 16, blocks, 16, c0), (blocks * 16 * c0, 16 * c0, c0, 1)
        )
        rows = same(src_rows)
        if not transposed:
            found = self.lanes.window(
                src, (m // 16, blocks, 16, c0), (16 * c0, rows * c0, c0, 1)
            )
            into[...] = found
        else:
            dense = self._nz(src, blocks * c0, m, rows)  # k x m
            shape = (self.count, blocks, c0, m // 16, 16)
            into[...] = dense.reshape(shape).transpose(0, 3, 1, 4, 2)

    def load_b(
        self, line: Line, dst: Place, src: Place, k: Value, n: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Copy the right matrix to L0B: fractals of C0 x 16, n-major inside."""
        k, c0 = same(k), 32 // dst.dtype.size
        parts = self._part(src, same(n), k, same(src_rows), not transposed)
        n = round_up(same(n), 16)
        if k == 0:
            self.lanes.flat(dst, n * c0)[...] = 0
            return
        blocks, rows = -(-k // c0), same(src_rows)
        if parts is not None:
            write = partial(self._to_l0, dst, parts, n, blocks, (2, 0, 1, 3))
            self._keep(dst, Tile(("right", 0), dst.start, n * blocks * 32, parts, write))
            return
        into = self.lanes.window(
            dst, (blocks, n // 16, 16, c0), (n * c0, 16 * c0, c0, 1)
        )
        if transposed:
            into[...] = self.lanes.window(
                src, (blocks, n // 16, 16, c0), (rows * c0, 16 * c0, c0, 1)
            )
        else:
            dense = self._nz(src, blocks * c0, n, rows)  # k x n
            shape = (self.count, blocks, c0, n // 16, 16)
            into[...] = dense.reshape(shape).transpose(0, 1, 3, 4, 2)

    def _nz(self, src: Place, rows: int, cols: int, src_rows: int) -> Array:
        """Return the first rows and columns of a matrix in L1; both are whole fractals."""
        c0 = 32 // src.dtype.size
        blocks = -(-cols // c0)
        found = self.lanes.window(src, (blocks, rows, c0), (src_rows * c0, c0, 1))
        dense = found.transpose(0, 2, 1, 3).reshape(self.count, rows, blocks * c0)
        return dense[:, :, :cols] if blocks * c0 > cols else dense

    def mmad(
        self, line: Line, dst: Place, a: Place, b: Place, m: Value, n: Value, k: Value, first: Value
    ) -> None:
        """Multiply; f16 and bf16 are summed in f32, i8 in i32."""
        fresh = bool(same(first))
        if self._multiply(dst, a, b, (same(m), same(n), same(k)), fresh):
            return
        m, n, k = round_up(same(m), 16), round_up(same(n), 16), same(k)
        into = self.lanes.window(dst, (n // 16, m, 16), (m * 16, 16, 1)).transpose(0, 2, 1, 3)
        if k == 0:
            if fresh:
                into[...] = 0
            return
        c0 = 32 // a.dtype.size
        blocks = -(-k // c0)
        left = self.lanes.window(a, (m // 16, 16, blocks, c0), (blocks * 16 * c0, c0, 16 * c0, 1))
        right = self.lanes.window(b, (blocks, n, c0), (n * c0, c0, 1))
        exact = np.float64 if a.dtype is DType.I8 and k > _EXACT_K else np.float32
        x = _dense(left, exact).reshape(self.count, m, blocks * c0)[:, :, :k]
        y = _dense(right, exact).transpose(0, 1, 3, 2).reshape(self.count, blocks * c0, n)[:, :k]
        product = np.matmul(x, y).reshape(self.count, m, n // 16, 16)
        if dst.dtype is DType.I32:
            product = product.astype(np.int32)
        if fresh:
            into[...] = product
        else:
            np.add(into, product, out=into)

    def fixpipe(
        self, line: Line, dst: Spot, src: Place, m: Value, n: Value, dst_stride: Value, dtype: DType
    ) -> None:
        """Copy a product to global memory, row-major."""
        m, n = same(m), same(n)
        if m == 0 or n == 0:
            return
        high, blocks = round_up(m, 16), -(-n // 16)
        sums = tile_at(self.lanes, src, "sums")
        if sums is not None and sums.holds(high, m, n):
            dense = np.asarray(sums.parts[0].base)[:, :m, :n]
        else:
            found = self.lanes.window(src, (blocks, m, 16), (high * 16, 16, 1))
            dense = found.transpose(0, 2, 1, 3).reshape(self.count, m, blocks * 16)[:, :, :n]
        dense = dense.astype(dtype.numpy, copy=False)
        for lanes, into in windows(dst, dtype, self.count, (m, n), (same(dst_stride), 1), False):
            self._remember(into)
            into[...] = dense[lanes]

    def drain(
        self, line: Line, dst: View, src: Place, scratch: Place, m: Value, n: Value
    ) -> None:
        """Copy a product to UB, row-major, whole blocks of 16 columns."""
        m, blocks = same(m), -(-same(n) // 16)
        if m == 0 or blocks == 0:
            return
        high = round_up(m, 16)
        self.lanes.flat(scratch, high * blocks * 16)[...] = self.lanes.flat(src, high * blocks * 16)
        found = self.lanes.window(src, (blocks, m, 16), (high * 16, 16, 1))
        into = self.lanes.window(dst.place, (blocks, m, 16), (16, dst.stride, 1))
        into[...] = found

    def feed(
        self, line: Line, dst: Place, src: View, rows: Value, cols: Value, dst_rows: Value
    ) -> None:
        """Copy a matrix to L1, whole blocks of C0 columns."""
        c0 = 32 // dst.dtype.size
        rows, blocks = same(rows), -(-same(cols) // c0)
        if rows == 0 or blocks == 0:
            return
        found = self.lanes.window(src.place, (blocks, rows, c0), (c0, src.stride, 1))
        into = self.lanes.window(dst, (blocks, rows, c0), (same(dst_rows) * c0, c0, 1))
        into[...] = found


    # ---- matrices beside their bytes: see `tiledsl.simulator.tiles` ------------------------------

    def _keep(self, dst: Place, tile: Tile) -> None:
        if tile.start + tile.size > dst.end:
            tile.write()  # which says what is wrong
        keep(self.lanes, dst, tile)

    def _part(
        self, src: Place, outer: int, k: int, src_rows: int, transposed: bool
    ) -> list[Array] | None:
        """Return a part of the matrix that stands in L1, ``outer`` by ``k``."""
        tile = tile_around(self.lanes, src, src_rows) if k and outer else None
        if tile is None:
            return None
        rows, cols = (k, outer) if transposed else (outer, k)
        parts = tile.cut(src.start, 32 // src.dtype.size, rows, cols)
        return [part.T for part in parts] if parts is not None and transposed else parts

    def _multiply(
        self, dst: Place, a: Place, b: Place, shape: tuple[int, int, int], fresh: bool
    ) -> bool:
        """Multiply the matrices that stand in L0, if they do."""
        m, n, k = shape
        left, right = tile_at(self.lanes, a, "left"), tile_at(self.lanes, b, "right")
        if left is None or right is None or left.shape != (m, k) or right.shape != (n, k):
            return False
        sums = tile_at(self.lanes, dst, "sums")
        fits = sums is not None and sums.shape == (m, n)
        if not fits and not fresh:
            return False
        if sums is None or not fits:
            total = np.empty((self.count, m, n), np.float32)
            write = partial(self._to_l0c, dst, total)
            size = round_up(m, 16) * round_up(n, 16) * 4
            sums = Tile(("sums", round_up(m, 16)), dst.start, size, list(total), write)
            self._keep(dst, sums)
        product = np.empty((m, n), np.float32)
        for x, y, total in zip(left.parts, right.parts, sums.parts, strict=True):
            if fresh:
                np.matmul(x, y.T, out=total)
            else:
                np.matmul(x, y.T, out=product)
                np.add(total, product, out=total)
        return True

    def _to_l1(self, dst: Place, parts: list[Array], high: int) -> None:
        """Write matrices as Nz, with zeros up to whole blocks."""
        (rows, cols), c0 = parts[0].shape, 32 // dst.dtype.size
        blocks = -(-cols // c0)
        dense = np.zeros((self.count, rows, blocks * c0), dst.dtype.numpy)
        for into, part in zip(dense, parts, strict=True):
            into[:, :cols] = part
        found = dense.reshape(self.count, rows, blocks, c0).transpose(0, 2, 1, 3)
        self.lanes.window(dst, (blocks, rows, c0), (high * c0, c0, 1))[...] = found

    def _to_l0(
        self, dst: Place, parts: list[Array], outer: int, blocks: int, order: tuple[int, ...]
    ) -> None:
        """Write matrices, ``outer`` by depth, as fractals; ``order`` is that of the fractals."""
        (rows, k), c0 = parts[0].shape, 32 // dst.dtype.size
        dense = np.zeros((self.count, outer, blocks * c0), dst.dtype.numpy)
        for into, part in zip(dense, parts, strict=True):
            into[:rows, :k] = part
        grid = dense.reshape(self.count, outer // 16, 16, blocks, c0)
        axes = (0, *(1 + axis for axis in order))
        self.lanes.flat(dst, outer * blocks * c0)[...] = grid.transpose(axes).reshape(
            self.count, -1
        )

    def _to_l0c(self, dst: Place, total: Array) -> None:
        """Write sums as Nz of 16 x 16."""
        _, m, n = total.shape
        high, blocks = round_up(m, 16), -(-n // 16)
        dense = np.zeros((self.count, high, blocks * 16), np.float32)
        dense[:, :m, :n] = total
        found = dense.reshape(self.count, high, blocks, 16).transpose(0, 2, 1, 3)
        self.lanes.window(dst, (blocks, high, 16), (high * 16, 16, 1))[...] = found


def _dense(fractals: Array, kind: type[np.floating]) -> Array:
    """Return the elements, contiguous and wide."""
    if fractals.dtype == np.float16 and kind is np.float32:
        return widen(fractals)
    return np.ascontiguousarray(fractals).astype(kind, copy=False)
