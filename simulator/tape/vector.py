"""A vector core that notes what its instructions compute."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator import arithmetic
from tiledsl.simulator.core import Line
from tiledsl.simulator.halves import round_into
from tiledsl.simulator.lanes import round_up, typed
from tiledsl.simulator.places import Place, Value, View, same
from tiledsl.simulator.tape.board import F32, Bits, Number
from tiledsl.simulator.tape.recorder import Recorder, Window, inside, wider
from tiledsl.simulator.tape.storage import (
    Dims,
    Each,
    Operand,
    Piece,
    Ref,
    Root,
    Split,
    Step,
    UnplannedError,
    packed,
)  # fmt: skip
from tiledsl.types import DType

_BOOL = np.dtype(np.bool_)
# Ops whose result is an f16 wherever their operands are.
_EXACT = frozenset({"abs", "max", "min", "relu", "floor", "ceil", "rint", "trunc"})
_WHOLE = frozenset({"floor", "ceil", "rint", "trunc"})


class VectorRecorder(Recorder):
    """A vector core on a tape."""

    def _each(
        self, function: Callable[..., Any], out: Window, sources: Sequence[Window | Operand],
    ) -> Root:  # fmt: skip
        """Note a call element by element; return the root of its result."""
        place, dims = out
        operands, dims = self._operands(sources, dims)
        kind = F32 if place.dtype is DType.F16 else place.dtype.numpy
        ref = self.board.new([n for n, _ in dims], kind)
        self.board.emit(Step(function, operands, ref, inplace=True))
        self._write((place, dims), ref)
        return ref.root

    # ---- element by element ---------------------------------------------------------------------

    def fill(self, line: Line, dst: Place, value: Value, count: Value) -> None:
        """Let a number stand in the buffer."""
        count, item = same(count), dst.dtype.size
        if count == 0:
            return
        inside(dst, ((count, item),))
        number = np.asarray(typed(value, dst.dtype, 0))
        operand = Each(number.reshape(-1)) if number.ndim else number
        end = dst.start + count * item
        self.board.put(self._key(dst), Number(dst.start, end, operand, item))

    def write_scalar(self, line: Line, dst: Place, value: Value) -> None:
        """Let a number stand in one element."""
        self.fill(line, dst, value, 1)

    def iota(self, line: Line, dst: Place, first: Value, count: Value) -> None:
        """Note consecutive numbers."""
        count = same(count)
        if count == 0:
            return
        numbers = np.asarray(first)
        start: Operand = Each(numbers.reshape(-1)) if numbers.ndim else numbers
        self._each(arithmetic.iota, (dst, ((count, dst.dtype.size),)), [start])

    def unary(self, line: Line, op: str, dst: Place, src: Place, count: Value) -> None:
        """Note an op."""
        count = same(count)
        if count == 0:
            return
        dims = ((count, dst.dtype.size),)
        if op == "not" and self._logic(np.logical_not, dst, [src], count):
            return
        if op in _WHOLE and self._is_whole((src, dims), (dst, dims)):
            return
        function = arithmetic.UNARY[op]
        if dst.dtype is DType.F16 and op not in _EXACT:
            function = partial(_rounded, function)
        root = self._each(function, (dst, dims), [(src, dims)])
        root.whole = op in _WHOLE

    def _is_whole(self, src: Window, dst: Window) -> bool:
        """Whether the source has whole numbers only; then they also stand in ``dst``."""
        found = self._read(src)
        if not isinstance(found, Ref) or not found.root.whole:
            return False
        self._write(dst, found)
        return True

    def binary(
        self, line: Line, op: str, dst: View, a: View, b: View, rows: Value, cols: Value
    ) -> None:
        """Note an op on two views."""
        rows, cols = same(rows), same(cols)
        if rows == 0 or cols == 0:
            return
        if op in ("and", "or") and rows == 1:
            function = np.logical_and if op == "and" else np.logical_or
            if self._logic(function, dst.place, [a.place, b.place], cols):
                return
        self._op(op, _grid(dst, rows, cols), [_grid(a, rows, cols), _grid(b, rows, cols)])

    def with_scalar(
        self, line: Line, op: str, dst: Place, src: Place, value: Value, count: Value
    ) -> None:
        """Note an op with a number."""
        count = same(count)
        if count == 0:
            return
        number = np.asarray(typed(value, src.dtype, 0))
        operand: Operand = Each(number.reshape(-1)) if number.ndim else number
        window = dst, ((count, dst.dtype.size),)
        if op in ("shl", "shr"):
            self._each(partial(arithmetic.shift, op), window, [(src, window[1]), operand])
            return
        sources: list[Window | Operand] = [
            (src, ((count, src.dtype.size),)), wider(operand, src.dtype is DType.F16)
        ]  # fmt: skip
        root = self._op(op, window, sources)
        if op in ("max", "min") and not number.ndim and dst.dtype.is_float:
            self._bound(root, op, float(number))

    def _op(self, op: str, out: Window, sources: Sequence[Window | Operand]) -> Root:
        function = arithmetic.BINARY[op]
        if out[0].dtype is DType.F16 and op not in _EXACT:
            function = partial(_rounded, function)
        return self._each(function, out, sources)

    def _bound(self, root: Root, op: str, number: float) -> None:
        """Note what a comparison with a number says of the values of ``root``, its result."""
        source = self.board.steps[-1].sources[0]
        if not isinstance(source, Ref):
            return
        root.low, root.high = source.root.low, source.root.high
        root.whole = source.root.whole and number.is_integer()
        if op == "max":
            root.low = max(root.low, number)
        else:
            root.high = min(root.high, number)

    def convert(self, line: Line, dst: Place, src: Place, mode: str, count: Value) -> None:
        """Note a conversion; what has no more bits than the type has stays as it is."""
        count = same(count)
        if count == 0:
            return
        into, source = (dst, ((count, dst.dtype.size),)), (src, ((count, src.dtype.size),))
        near = mode in ("none", "rint")
        if dst.dtype is DType.F16 and src.dtype is DType.F32 and near:
            (found,), dims = self._operands([source], into[1])
            if isinstance(found, Ref):
                root = found.root
                if root.whole and root.low >= -2048 and root.high <= 2048:
                    self._write((dst, dims), found)
                else:
                    self._each(round_into, (dst, dims), [found])
                return
        if dst.dtype is DType.F32 and src.dtype is DType.F16 and near:
            (found,), dims = self._operands([source], into[1])
            if isinstance(found, Ref):
                self._write((dst, dims), found)
                return
        function: Callable[..., Any] = partial(
            arithmetic.converted_into, src.dtype, dst.dtype, mode
        )
        (found,), dims = self._operands([source], into[1])
        low, high = dst.dtype.limits if dst.dtype.is_integer else (np.inf, -np.inf)
        fits = isinstance(found, Ref) and low <= found.root.low and found.root.high <= high
        if isinstance(found, Ref) and fits and (found.root.whole or mode == "trunc"):
            function = partial(arithmetic.cut_into, src.dtype, dst.dtype)
        root = self._each(function, (dst, dims), [found])
        root.whole = not src.dtype.is_float and dst.dtype is DType.F32

    def _logic(
        self, function: Callable[..., Any], dst: Place, sources: Sequence[Place], count: int
    ) -> bool:
        """Note an op on whole masks, if its operands are masks."""
        found: list[Bits] = []
        size = count * dst.dtype.size
        for place in sources:
            inside(place, ((count, place.dtype.size),))
            thing = self.board.top(self._key(place), place.start, place.start + size)
            if not isinstance(thing, Bits) or thing.start != place.start:
                return False
            found.append(thing)
        bits = min(size * 8, *(mask.count for mask in found))
        refs: list[Operand] = [Ref(m.root, 0, ((bits, 1),), _BOOL) for m in found]
        inside(dst, ((count, dst.dtype.size),))
        self._mask(dst, self._bits(function, refs, ((bits, 1),)), bits, size)
        return True

    def _bits(self, function: Callable[..., Any], sources: list[Operand], dims: Dims) -> Root:
        ref = self.board.new([n for n, _ in dims], _BOOL)
        self.board.emit(Step(function, sources, ref, inplace=True))
        return ref.root

    def _mask(self, dst: Place, root: Root, count: int, size: int) -> None:
        self.board.put(self._key(dst), Bits(dst.start, dst.start + size, root, count))

    def compare(
        self, line: Line, op: str, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Note a comparison."""
        count = same(count)
        if count == 0:
            return
        dims: Dims = ((count, a.dtype.size),)
        right: Window | Operand
        if isinstance(b, Place):
            right = b, dims
        else:
            number = np.asarray(typed(b, a.dtype, 0))
            each = Each(number.reshape(-1)) if number.ndim else number
            right = wider(each, a.dtype is DType.F16)
        whole = round_up(count, 256 // a.dtype.size)
        inside(a, ((whole, a.dtype.size),))
        inside(mask, ((whole // 8, 1),))
        operands, found = self._operands([(a, dims), right], dims)
        root = self._bits(arithmetic.COMPARE[op], operands, found)
        self._mask(mask, root, count, whole // 8)

    def select(
        self, line: Line, dst: Place, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Note a choice."""
        count = same(count)
        if count == 0:
            return
        dims: Dims
        size = -(-count // 8)
        inside(mask, ((size, 1),))
        if dst.dtype is DType.F16 and self._raw(a, b):
            dst, a = dst._replace(dtype=DType.I16), a._replace(dtype=DType.I16)
            if isinstance(b, Place):
                b = b._replace(dtype=DType.I16)
            else:
                b = np.asarray(typed(b, DType.F16, 0)).view(np.int16)
        dims = ((count, dst.dtype.size),)
        other: Window | Operand
        if isinstance(b, Place):
            other = b, dims
        else:
            number = np.asarray(typed(b, dst.dtype, 0))
            each = Each(number.reshape(-1)) if number.ndim else number
            other = wider(each, dst.dtype is DType.F16)
        sources, dims = self._operands([(a, dims), other], dims)
        bits = self._chosen(mask, count, size)
        shaped = Ref(bits.root, bits.offset, packed([n for n, _ in dims], 1), _BOOL)
        self._each(arithmetic.select, (dst, dims), [shaped, *sources])

    def _raw(self, *operands: Any) -> bool:
        """Whether what is said to be f16 is no f16 at all: bits that are only moved."""
        for place in operands:
            if isinstance(place, Place) and place.dtype is DType.F16:
                top = self.board.top(self._key(place), place.start, place.start + 2)
                if isinstance(top, Piece) and not top.half:
                    return True
                if isinstance(top, Number) and not top.is_half:
                    return True
        return False

    def _chosen(self, mask: Place, count: int, size: int) -> Ref:
        """Return a mask as bools."""
        thing = self.board.top(self._key(mask), mask.start, mask.start + size)
        if isinstance(thing, Bits) and thing.start == mask.start and thing.count >= count:
            return Ref(thing.root, 0, ((count, 1),), _BOOL)
        byte = np.dtype(np.uint8)
        packed_bits = self.board.read(self._key(mask), mask.start, ((size, 1),), byte)
        if not isinstance(packed_bits, Ref):
            raise UnplannedError("a mask that is one number")
        ref = self.board.new([count], _BOOL)
        self.board.emit(Step(arithmetic.unpack, [packed_bits], ref))
        return ref

    def gather(self, line: Line, dst: Place, src: Place, offsets: Place, count: Value) -> None:
        """Note a look-up."""
        count = same(count)
        if count == 0:
            return
        if self._raw(src):
            dst, src = dst._replace(dtype=DType.I16), src._replace(dtype=DType.I16)
        size = src.dtype.size
        reach = (src.end - src.start) // size
        table = self._read((src, ((reach, size),)))
        if isinstance(table, Split):
            raise UnplannedError("a table in rows")
        if not isinstance(table, Ref):
            table = self._filled(table, [reach], src.dtype)
        places = offsets, ((count, offsets.dtype.size),)
        out = dst, ((count, dst.dtype.size),)
        (at,), _ = self._operands([places], out[1])
        if not isinstance(at, Ref) or len(at.dims) != 1:
            raise UnplannedError("one place for all")
        ref = self.board.new([count], F32 if dst.dtype is DType.F16 else dst.dtype.numpy)
        self.board.emit(Step(partial(arithmetic.gather, size), [table, at], ref))
        self._write(out, ref)

    def read_scalar(self, line: Line, src: Place) -> Value:
        """Give up: what comes next depends on data."""
        raise UnplannedError("a number out of a tile")

    # ---- rows and columns -----------------------------------------------------------------------

    def spread(self, line: Line, dst: Place, src: Place, count: Value) -> None:
        """Let each element stand all over a block of 32 bytes."""
        count, item = same(count), src.dtype.size
        if count == 0:
            return
        if self._raw(src):
            dst, src = dst._replace(dtype=DType.I16), src._replace(dtype=DType.I16)
        whole = round_up(count, 8)
        inside(src, ((whole, item),))
        inside(dst, ((whole, 32), (32 // item, item)))
        dims = (count, 32), (32 // item, item)
        (found,), _ = self._operands([(src, ((count, item), (32 // item, 0)))], dims)
        self._stand((dst, dims), found)

    def expand(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Let a view stand written out."""
        rows, cols = same(rows), same(cols)
        if rows and cols:
            dst, src = self._moved(dst, src)
            into = _grid(dst, rows, cols)
            (found,), dims = self._operands([_grid(src, rows, cols)], into[1])
            self._stand((dst.place, dims), found)

    def _moved(self, dst: View, src: View) -> tuple[View, View]:
        """Return views of what is moved: of bits, where it is no f16."""
        if not self._raw(src.place):
            return dst, src
        views = (v._replace(place=v.place._replace(dtype=DType.I16)) for v in (dst, src))
        return next(views), next(views)

    def _stand(self, into: Window, found: Operand) -> None:
        """Let a value stand somewhere else."""
        place, dims = into
        if not isinstance(found, Ref):
            found = self._filled(found, [n for n, _ in dims], place.dtype)
        self._write(into, found)

    def row_reduce(
        self, line: Line, op: str, dst: Place, src: View, scratch: Place, rows: Value, cols: Value,
        identity: Value, blocks: bool = False,
    ) -> None:  # fmt: skip
        """Note rows folded into one element each."""
        rows, cols = same(rows), same(cols)
        if rows == 0 or cols == 0:
            if rows:
                self.fill(line, dst, identity, rows)
            return
        self._fold(op, dst, src, rows, cols, 2)

    def col_reduce(
        self, line: Line, op: str, dst: Place, src: View, rows: Value, cols: Value, identity: Value
    ) -> None:
        """Note rows folded into one, row after row."""
        rows, cols = same(rows), same(cols)
        if rows == 0 or cols == 0:
            if cols:
                self.fill(line, dst, identity, cols)
            return
        self._fold(op, dst, src, rows, cols, 1)

    def _fold(self, op: str, dst: Place, src: View, rows: int, cols: int, axis: int) -> None:
        window = _grid(src, rows, cols)
        (found,), _ = self._operands([window], window[1])
        if not isinstance(found, Ref) or len(found.dims) != 2:
            raise UnplannedError("a number folded")
        half = dst.dtype is DType.F16
        count = rows if axis == 2 else cols
        ref = self.board.new([count], found.dtype)
        fold: Callable[..., Any] = partial(arithmetic.fold, op, axis)
        if half and op in ("sum", "add", "mul"):
            fold = partial(arithmetic.fold_halves, op, axis)
        self.board.emit(Step(fold, [found], ref))
        self._write((dst, ((count, dst.dtype.size),)), ref)

    def transpose(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Note rows and columns exchanged, in blocks of 16 x 16."""
        rows, cols = round_up(same(rows), 16), round_up(same(cols), 16)
        if rows == 0 or cols == 0:
            return
        dst, src = self._moved(dst, src)
        place, dims = _grid(src, rows, cols)
        into = _grid(dst, cols, rows)
        (found,), _ = self._operands([(place, dims[::-1])], into[1])
        if isinstance(found, Ref):
            found = self._copied(found)
        self._stand(into, found)


def _grid(view: View, rows: int, cols: int) -> Window:
    """Return a view's elements, rows by columns."""
    item = view.place.dtype.size
    strides = {"full": (view.stride * item, item), "row": (0, item), "col": (32, 0), "one": (0, 0)}
    outer, inner = strides[view.kind]
    return view.place, ((rows, outer), (cols, inner))


def _rounded(function: Callable[..., Any], *operands: Array, out: Array) -> None:
    """Call a function on f16 kept as f32."""
    function(*operands, out=out)
    round_into(out, out)
