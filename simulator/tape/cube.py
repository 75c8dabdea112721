"""The core on a tape with a cube: matrices stay where they are, and products add up in one call."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator import arithmetic
from tiledsl.simulator.core import Line
from tiledsl.simulator.halves import narrow_into, round_into
from tiledsl.simulator.lanes import OutOfPlaceError, round_up
from tiledsl.simulator.places import Place, Spot, Value, View, same
from tiledsl.simulator.tape.board import F32, Matrix
from tiledsl.simulator.tape.storage import Operand, Ref, Step, UnplannedError
from tiledsl.simulator.tape.vector import VectorRecorder
from tiledsl.types import DType

_MOST_WIDE = 1 << 25  # elements of a tensor up to which all of it is made f32 at once


class CubeRecorder(VectorRecorder):
    """A core with all units, on a tape."""

    def load_nz(
        self, line: Line, dst: Place, src: Spot, rows: Value, cols: Value, src_stride: Value,
        dst_rows: Value,
    ) -> None:  # fmt: skip
        """Let a matrix in global memory stand in L1."""
        rows, cols, high = same(rows), same(cols), same(dst_rows)
        if rows == 0 or cols == 0:
            return
        _checked(dst.dtype)
        item = dst.dtype.size
        steps = same(src_stride), 1
        if src.place.slots:
            key, start = self._scratch(src, dst.dtype)
            dims = (rows, steps[0] * item), (cols, item)
            found = self._handed(key, start, dims, dst.dtype)
        else:
            found = self._wide(src, (rows, cols), steps, dst.dtype)
        self._lay(dst, "nz", high, found, -(-cols * item // 32) * high * 32)

    def load_window(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], rows: Value, cols: Value,
        src_stride: Value, dst_rows: Value, skip: Value, clear: Value,
    ) -> None:  # fmt: skip
        """Note rows of a matrix that lie apart, with zeros between them."""
        sizes, rows, cols = [same(n) for n in shape], same(rows), same(cols)
        high, whole, first = same(dst_rows), bool(same(clear)), same(skip)
        none = rows == 0 or 0 in sizes
        if cols == 0 or (not whole and none):
            return
        _checked(dst.dtype)
        apart = [same(s) for s in dst_strides]
        reach = first + rows + sum((n - 1) * s for n, s in zip(sizes, apart, strict=True))
        room = self.board.new((high if whole else reach, cols), F32)
        self.board.emit(Step(arithmetic.put, [np.zeros((), np.float32)], room))
        if not none:
            steps = [*(same(s) for s in src_strides), same(src_stride), 1]
            found = self._wide(src, [*sizes, rows, cols], steps, dst.dtype)
            row = cols * 4
            outer = [(n, s * row) for n, s in zip(sizes, apart, strict=True)]
            into = Ref(room.root, first * row, (*outer, (rows, row), (cols, 4)), F32)
            self.board.emit(Step(arithmetic.put, [found], into))
        self._lay(dst, "nz", high, room, -(-cols * dst.dtype.size // 32) * high * 32)

    def _wide(
        self, src: Spot, shape: Sequence[int], steps: Sequence[int], dtype: DType
    ) -> Ref:
        """Return elements of a tensor as f32, a copy where the tensor may change."""
        fixed = src.place.name in self.fixed
        small = src.place.bytes.size // dtype.size <= _MOST_WIDE
        wide = dtype is DType.F16 and fixed and small
        found = self._global(src, shape, steps, dtype, wide=wide)
        if dtype is DType.F16 and not wide:
            return self.board.widened(found)
        return found if fixed else self._copied(found)

    def feed(
        self, line: Line, dst: Place, src: View, rows: Value, cols: Value, dst_rows: Value
    ) -> None:
        """Let a matrix of UB stand in L1."""
        rows, cols, high = same(rows), same(cols), same(dst_rows)
        if rows == 0 or cols == 0:
            return
        _checked(dst.dtype)
        item = dst.dtype.size
        window = src.place, ((rows, src.stride * item), (cols, item))
        (found,), dims = self._operands([window], window[1])
        if not isinstance(found, Ref) or len(dims) != 2:
            raise UnplannedError("a matrix in pieces")
        self._lay(dst, "nz", high, found, -(-cols * item // 32) * high * 32)

    def load_a(
        self, line: Line, dst: Place, src: Place, m: Value, k: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Let a part of the left matrix stand in L0A."""
        self._load(dst, "left", src, same(m), same(k), same(src_rows), transposed)

    def load_b(
        self, line: Line, dst: Place, src: Place, k: Value, n: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Let a part of the right matrix, n by k, stand in L0B."""
        self._load(dst, "right", src, same(n), same(k), same(src_rows), not transposed)

    def mmad(
        self, line: Line, dst: Place, a: Place, b: Place, m: Value, n: Value, k: Value, first: Value
    ) -> None:
        """Add a product to those whose sum stands in L0C."""
        m, n, k, fresh = same(m), same(n), same(k), bool(same(first))
        left, right = self._matrix(a, "left"), self._matrix(b, "right")
        if not m or not n or not k or left.shape != (m, k) or right.shape != (n, k):
            raise UnplannedError("a product of nothing")
        assert left.ref is not None
        assert right.ref is not None
        if dst.dtype is not DType.F32:
            raise UnplannedError("a product of integers")
        high = round_up(m, 16)
        if fresh:
            size = high * round_up(n, 16) * 4
            sums = self._lay(dst, "sums", high, None, size, (m, n))
        else:
            sums = self._matrix(dst, "sums")
            if sums.shape != (m, n):
                raise UnplannedError("a sum of other sizes")
        sums.terms.append((left.ref, right.ref))

    def fixpipe(
        self, line: Line, dst: Spot, src: Place, m: Value, n: Value, dst_stride: Value, dtype: DType
    ) -> None:
        """Note a product that goes to global memory."""
        m, n, stride = same(m), same(n), same(dst_stride)
        if m == 0 or n == 0:
            return
        found = self._sums(src, m, n)
        if dtype is DType.F16 and dst.place.slots:
            near = self.board.new((m, n), F32)
            self.board.emit(Step(round_into, [found], near, inplace=True))
            found = near
        elif dtype is not DType.F16 and dtype is not DType.F32:
            near = self.board.new((m, n), dtype.numpy)
            self.board.emit(Step(arithmetic.put, [found], near))
            found = near
        if dst.place.slots:
            self._hand(dst, found, (stride, 1), dtype)
            return
        into = self._global(dst, (m, n), (stride, 1), dtype)
        write = narrow_into if dtype is DType.F16 else arithmetic.put
        self.board.emit(Step(write, [found], into))

    def drain(
        self, line: Line, dst: View, src: Place, scratch: Place, m: Value, n: Value
    ) -> None:
        """Let a product stand in UB."""
        m, n = same(m), same(n)
        if m == 0 or n == 0:
            return
        if dst.place.dtype is not DType.F32:
            raise UnplannedError("a product of integers")
        found = self._sums(src, m, n)
        self._stand((dst.place, ((m, dst.stride * 4), (n, 4))), found)

    # ---- matrices -------------------------------------------------------------------------------

    def _lay(
        self, dst: Place, layout: str, high: int, ref: Ref | None, size: int,
        shape: tuple[int, int] | None = None,
    ) -> Matrix:  # fmt: skip
        end = dst.start + size
        if end > dst.end or dst.start < dst.area.offset:
            raise OutOfPlaceError(
                f"bytes {dst.start} to {end} of {dst.area.memory} are not all of "
                f"`{dst.area.name}`, whose slot ends at {dst.end}"
            )
        if ref is not None:
            shape = ref.dims[0][0], ref.dims[1][0]
        assert shape is not None
        matrix = Matrix(dst.start, end, layout, high, ref, shape)
        self.board.put(self._key(dst), matrix)
        return matrix

    def _matrix(self, place: Place, layout: str) -> Matrix:
        """Return the matrix that stands at a place."""
        thing = self.board.top(self._key(place), place.start, place.start + 1)
        if not isinstance(thing, Matrix) or (thing.layout, thing.start) != (layout, place.start):
            raise UnplannedError("bytes as a matrix")
        return thing

    def _load(
        self, dst: Place, layout: str, src: Place, outer: int, k: int, high: int, transposed: bool
    ) -> None:
        """Let a part of a matrix in L1, ``outer`` by ``k``, stand in L0."""
        thing = self.board.top(self._key(src), src.start, src.start + 1)
        if not isinstance(thing, Matrix) or (thing.layout, thing.high) != ("nz", high) or not k:
            raise UnplannedError("bytes as a matrix")
        assert thing.ref is not None
        rows, cols = (k, outer) if transposed else (outer, k)
        block, rest = divmod(src.start - thing.start, high * 32)
        row, inside = divmod(rest, 32)
        col = block * (32 // src.dtype.size)
        if inside or row + rows > thing.shape[0] or col + cols > thing.shape[1]:
            raise UnplannedError("a part that is not in one matrix")
        root, offset, ((_, down), (_, across)), dtype = thing.ref
        dims = (rows, down), (cols, across)
        part = Ref(root, offset + row * down + col * across, dims, dtype)
        if transposed:
            part = part._replace(dims=dims[::-1])
        deep = -(-k * src.dtype.size // 32) * 32
        self._lay(dst, layout, 0, part, round_up(outer, 16) * deep)

    def _sums(self, src: Place, m: int, n: int) -> Ref:
        """Return the sum of products that stands in L0C, its first rows and columns."""
        sums = self._matrix(src, "sums")
        if round_up(m, 16) != sums.high or m > sums.shape[0] or n > sums.shape[1]:
            raise UnplannedError("a part of a sum")
        if sums.terms:
            terms = _merged(sums.terms)
            sources: list[Operand] = [] if sums.ref is None else [sums.ref]
            sources += [ref for pair in terms for ref in pair]
            out = self.board.new(sums.shape, F32)
            self.board.emit(Step(partial(_multiply, sums.ref is not None), sources, out))
            sums.ref, sums.terms = out, []
        if sums.ref is None:
            raise UnplannedError("a sum of nothing")
        down, across = sums.ref.dims
        return sums.ref._replace(dims=((m, down[1]), (n, across[1])))


def _checked(dtype: DType) -> None:
    if dtype not in (DType.F16, DType.F32):
        raise UnplannedError(f"a matrix of {dtype}")


def _merged(terms: Sequence[tuple[Ref, Ref]]) -> list[tuple[Ref, Ref]]:
    """Return products with those whose depths follow each other taken as one."""
    found = [terms[0]]
    for left, right in terms[1:]:
        one, other = _joined(found[-1][0], left), _joined(found[-1][1], right)
        if one is not None and other is not None:
            found[-1] = one, other
        else:
            found.append((left, right))
    return found


def _joined(one: Ref, other: Ref) -> Ref | None:
    """Return both as one matrix, rows by depth, if ``other`` begins where ``one`` ends."""
    (rows, down), (k, across) = one.dims
    (more_rows, more_down), (more, more_across) = other.dims
    alike = one.root is other.root and (rows, down, across) == (more_rows, more_down, more_across)
    if not alike or other.offset != one.offset + k * across:
        return None
    return one._replace(dims=((rows, down), (k + more, across)))


def _multiply(begun: bool, *sources: Array, out: Array) -> None:
    """Add products of left and right matrices, rows by depth both, to the first operand."""
    first = 1 if begun else 0
    for at in range(first, len(sources), 2):
        left, right = sources[at], sources[at + 1].transpose(0, 2, 1)
        if at == 0:
            np.matmul(left, right, out=out)
        else:
            np.add(sources[0] if at == 1 else out, np.matmul(left, right), out=out)
