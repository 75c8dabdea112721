"""The core that computes, with a cube: matrices in the layouts that the hardware keeps them in.

L1 holds Nz (blocks of C0 columns, each row-major), L0A Zz and L0B Zn fractals, L0C Nz of 16 x 16.
"""

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.compute import VectorCore
from tiledsl.simulator.core import Line
from tiledsl.simulator.halves import widen
from tiledsl.simulator.lanes import round_up, windows
from tiledsl.simulator.places import Place, Spot, Value, View, same
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
        blocks = -(-cols // c0)
        strides = (same(dst_rows) * c0, c0, 1)
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

    def load_a(
        self, line: Line, dst: Place, src: Place, m: Value, k: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Copy the left matrix to L0A: fractals of 16 x C0, row after row of them."""
        m, k, c0 = round_up(same(m), 16), same(k), 32 // dst.dtype.size
        if k == 0:
            self.lanes.flat(dst, m * c0)[...] = 0
            return
        blocks = -(-k // c0)
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
        k, n, c0 = same(k), round_up(same(n), 16), 32 // dst.dtype.size
        if k == 0:
            self.lanes.flat(dst, n * c0)[...] = 0
            return
        blocks, rows = -(-k // c0), same(src_rows)
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
        m, n, k = round_up(same(m), 16), round_up(same(n), 16), same(k)
        into = self.lanes.window(dst, (n // 16, m, 16), (m * 16, 16, 1)).transpose(0, 2, 1, 3)
        fresh = bool(same(first))
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
        found = self.lanes.window(src, (blocks, m, 16), (high * 16, 16, 1)).transpose(0, 2, 1, 3)
        dense = found.reshape(self.count, m, blocks * 16)[:, :, :n].astype(dtype.numpy, copy=False)
        for lanes, into in windows(dst, dtype, self.count, (m, n), (same(dst_stride), 1), False):
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


def _dense(fractals: Array, kind: type[np.floating]) -> Array:
    """Return the elements, contiguous and wide."""
    if fractals.dtype == np.float16 and kind is np.float32:
        return widen(fractals)
    return np.ascontiguousarray(fractals).astype(kind, copy=False)
