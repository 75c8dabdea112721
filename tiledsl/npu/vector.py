"""The vector unit's share of a kernel: element-wise ops, casts, masks, broadcasts."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tiledsl import ir
from tiledsl.npu import i64
from tiledsl.npu import program as npu
from tiledsl.npu.casts import COMPUTED_IN, hops
from tiledsl.npu.frame import Frame, Tile
from tiledsl.scalar import (
    ONE,
    ZERO,
    Axis,
    Literal,
    Local,
    Scalar,
    add,
    apply,
    ceil_div,
    integer,
    mul,
)
from tiledsl.types import DType

Source = Tile | Scalar
F16, F32, I16, I32, I64, U16, BOOL = (
    DType.F16, DType.F32, DType.I16, DType.I32, DType.I64, DType.U16, DType.BOOL,
)  # fmt: skip


class Vectors:
    """Emits vector instructions into a `Frame`. Tiles with equal axes have equal layouts."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    # ---- the ops of the table --------------------------------------------------------------------

    def compute(self, statement: ir.Compute, operands: list[Source], dst: Tile) -> None:
        """Emit one op of the table; ``dst`` has the result's axes and type."""
        name = statement.op.name
        wide_types = I64 in (dst.dtype, *(x.dtype for x in operands))
        match name:
            case _ if wide_types and name not in ("cast", "bitcast"):
                i64.compute(self, name, operands, dst)
            case "cast":
                self.cast(self.tile(operands[0], dst.axes, statement), dst)
            case "bitcast":
                source = self.tile(operands[0], dst.axes, statement)
                self.copy(replace_dtype(source, dst.dtype), dst)
            case "where":
                self.where(
                    self.tile(operands[0], dst.axes, statement), operands[1], operands[2], dst
                )
            case "eq" | "ne" | "lt" | "le" | "gt" | "ge":
                self.compare(name, operands[0], operands[1], dst)
            case "and" | "or" | "not" if dst.dtype is BOOL:
                self.logic(name, [self.tile(x, dst.axes, statement) for x in operands], dst)
            case "bitand" | "bitor" | "bitxor" | "bitnot":
                self.bits(name, [self.spread_out(x, dst) for x in operands], dst)
            case "shl" | "shr":
                self.shift(statement, operands, dst)
            case "add" | "sub" | "mul" | "div" | "min" | "max":
                self.in_type(dst, operands, lambda out, xs: self.binary(name, xs[0], xs[1], out))
            case "floor" | "ceil" | "round" | "trunc" if dst.dtype.is_integer:
                self.copy(self.tile(operands[0], dst.axes, statement), dst)
            case "floor" | "ceil" | "round" | "trunc" | "exp" | "log" | "sqrt" | "abs":
                self.in_type(dst, operands, lambda out, xs: self.unary(statement, xs[0], out))
            case _:
                raise self.frame.cannot(statement.span, f"`{name}` of {dst.dtype}")

    def tile(self, source: Source, axes: tuple[Axis, ...], statement: ir.Statement) -> Tile:
        """Return ``source`` as a tile; a bare number becomes a tile that holds it."""
        if isinstance(source, Tile):
            return source
        filled = self.frame.tile("filled", axes, source.dtype)
        self.fill(filled, source)
        return filled

    def in_type(
        self, dst: Tile, operands: Sequence[Source], emit: Callable[[Tile, list[Source]], None]
    ) -> None:
        """Emit an op in the type in which the vector unit has it, with casts around it."""
        kind = COMPUTED_IN.get(dst.dtype)
        if kind is None:
            raise self.frame.cannot(self.frame.span, f"arithmetic on {dst.dtype}")
        if kind is dst.dtype:
            emit(dst, list(operands))
            return
        wide: list[Source] = []
        for operand in operands:
            if isinstance(operand, Tile):
                tile = self.frame.tile("wide", operand.axes, kind)
                self.cast(operand, tile)
                wide.append(tile)
            else:
                wide.append(as_type(operand, kind))
        out = self.frame.tile("wide", dst.axes, kind)
        emit(out, wide)
        self.cast(out, dst)

    # ---- flat instructions -----------------------------------------------------------------------

    def count(self, dst: Tile, *sources: Tile) -> Scalar:
        """Return how many elements a flat instruction takes; settles whether ``dst`` is padded."""
        if len(dst.axes) == 1:
            dst.padded = all(s.padded for s in sources)
            return self.frame.extent(dst.axes, exact=not dst.padded)
        return self.frame.extent(dst.axes)

    def fill(self, dst: Tile, value: Scalar) -> None:
        """Write ``value`` everywhere, padding included."""
        if dst.dtype is BOOL:
            ones = as_type(apply("where", value, integer(-1), ZERO, dtype=I32), I16)
            size = -(-self.frame.elements(dst.axes) // 16)
            self.emit(npu.Fill(replace(dst.ref, dtype=I16), ones, integer(size)))
            return
        value = as_type(value, dst.dtype)
        if dst.dtype.size == 1:
            wide = self.frame.tile("filled", dst.axes, F16)
            self.fill(wide, as_type(value, F16))
            self.hop(wide, dst, "trunc")
            return
        if dst.dtype is I64:
            i64.fill(self, dst, value)
            return
        if dst.dtype.size == 8:
            raise self.frame.cannot(self.frame.span, f"a number as {dst.dtype}")
        self.emit(npu.Fill(dst.ref, value, self.count(dst)))

    def copy(self, src: Source, dst: Tile) -> None:
        """Write ``src``, of the type of ``dst``, into ``dst``, along axes that it lacks too."""
        if not isinstance(src, Tile):
            self.fill(dst, src)
        elif src.axes != dst.axes:
            self.expand(src, dst)
        elif dst.dtype is BOOL:
            self.mask_op("or", src, src, dst)
        else:
            kind = I16 if dst.dtype.size <= 2 else I32
            count = self.count(dst, src)
            count = ceil_div(count, 2) if dst.dtype.size == 1 else count
            count = mul(count, 2) if dst.dtype.size == 8 else count
            to, source = replace(dst.ref, dtype=kind), replace(src.ref, dtype=kind)
            self.emit(npu.WithScalar("add", to, source, Literal(0, kind), count))

    def hop(self, src: Tile, dst: Tile, mode: str) -> None:
        """Emit one hardware cast."""
        self.emit(npu.Convert(dst.ref, src.ref, mode, self.count(dst, src)))  # type: ignore[arg-type]

    def unary(self, statement: ir.Compute, source: Source, dst: Tile) -> None:
        """Emit a function of one operand, in a type in which the unit computes."""
        src = self.tile(source, dst.axes, statement)
        op = statement.op.name
        if op == "abs" and dst.dtype is I32:
            negative = self.frame.tile("negative", dst.axes, I32)
            self.binary("mul", src, Literal(-1), negative)
            self.binary("max", src, negative, dst)
            return
        if op in ("floor", "ceil", "round", "trunc") and dst.dtype is not F32:
            wide, out = (self.frame.tile("wide", dst.axes, F32) for _ in range(2))
            self.cast(src, wide)
            self.unary(statement, wide, out)
            self.cast(out, dst)
            return
        if op in ("floor", "ceil", "round", "trunc") and self.frame.unified:
            self._round(statement.op.npu, src, dst)
            return
        self.emit(npu.Unary(statement.op.npu, dst.ref, src.ref, self.count(dst, src)))

    def _round(self, mode: str, src: Tile, dst: Tile) -> None:
        """Round f32 through i32, where no cast from f32 to f32 does: from 2^23 on all are whole.

        The result has the sign of ``src``, also where it is 0.
        """
        near, rest = (self.frame.tile("near", dst.axes, F32) for _ in range(2))
        whole, sign = (self.frame.tile("whole", dst.axes, I32) for _ in range(2))
        self.bits("bitand", [replace_dtype(src, I32), self.filled(Literal(-(2**31)), sign)], sign)
        self.binary("min", src, Literal(2.0**23, F32), near)
        self.binary("max", near, Literal(-(2.0**23), F32), near)
        self.binary("sub", src, near, rest)
        self.hop(near, whole, mode)
        self.hop(whole, near, "rint")
        self.binary("add", near, rest, dst)
        self.bits("bitor", [replace_dtype(dst, I32), sign], replace_dtype(dst, I32))

    # ---- arithmetic with broadcasting ------------------------------------------------------------

    def binary(self, op: str, a: Source, b: Source, dst: Tile) -> None:
        """Emit ``dst = a op b``: add sub mul div min max, in a type in which the unit computes."""
        if isinstance(a, Tile) and not isinstance(b, Tile) and a.axes == dst.axes and op != "div":
            if op == "sub":
                op, b = "add", apply("neg", b)
            src, count = a, self.count(dst, a)
            self.emit(npu.WithScalar(op, dst.ref, src.ref, as_type(b, dst.dtype), count))
            return
        if not isinstance(a, Tile) and isinstance(b, Tile) and b.axes == dst.axes and op != "div":
            if op == "sub":  # a - b = b * -1 + a
                self.binary("mul", b, as_type(Literal(-1), dst.dtype), dst)
                self.binary("add", dst, a, dst)
            else:
                self.binary(op, b, a, dst)
            return
        sources = [self.block(x, dst.dtype) if not isinstance(x, Tile) else x for x in (a, b)]
        if all(s.axes == dst.axes for s in sources):
            count = self.count(dst, *sources)
            views = [npu.View(s.ref, "full", count) for s in sources]
            self.emit(
                npu.Binary(op, npu.View(dst.ref, "full", count), views[0], views[1], ONE, count)
            )
            return
        self.broadcast(op, sources, dst)

    def block(self, value: Scalar, dtype: DType) -> Tile:
        """Return a tile without axes whose first 32 bytes hold ``value``."""
        tile = self.frame.tile("number", (), dtype)
        self.emit(npu.Fill(tile.ref, as_type(value, dtype), integer(32 // dtype.size)))
        return Tile(tile.ref, (), dtype, spread=True)

    def expand(self, src: Tile, dst: Tile) -> None:
        """Write ``src`` into ``dst`` along the axes that it lacks."""
        if dst.dtype is BOOL:
            zeros, ones = (
                self.frame.tile("number", src.axes, F32),
                self.frame.tile("number", dst.axes, F32),
            )
            self.select(src, Literal(1.0, F32), Literal(0.0, F32), zeros)
            self.expand(zeros, ones)
            self.compare("ne", ones, Literal(0.0, F32), dst)
            return
        if dst.dtype.size == 1:
            wide, out = (
                self.frame.tile("wide", src.axes, F16),
                self.frame.tile("wide", dst.axes, F16),
            )
            self.cast(src, wide)
            self.expand(wide, out)
            self.cast(out, dst)
            return
        if dst.dtype is I64:
            i64.expand(self, src, dst)
            return
        self.broadcast("", [src], dst)

    def broadcast(self, op: str, sources: list[Tile], dst: Tile) -> None:
        """Emit a two-dimensional instruction inside loops over the axes further out."""
        frame = self.frame
        groups = _groups(dst.axes, [s.axes for s in sources])
        if any(not self._rows_reach(s, groups) for s in sources):
            if len(dst.axes) == 1:
                dst.padded = False
            elif all(s.ref.buffer is not dst.ref.buffer for s in sources):  # else it is written
                self.emit(npu.Fill(dst.ref, as_type(ZERO, dst.dtype), frame.extent(dst.axes)))
        spread = {id(s): self._spread(s, groups) for s in sources}

        def nest(level: int, offset: Scalar, at: dict[int, Scalar]) -> None:
            if len(groups) - level <= 2:
                self._rectangle(op, sources, spread, dst, groups[level:], offset, at)
                return
            group = groups[level]
            name = frame.fresh(f"{group[0].name}_row")
            inner = frame.extent(tuple(a for g in groups[level + 1 :] for a in g))
            with frame.block() as body:
                here = {
                    id(s): add(at[id(s)], mul(Local(name), self._step(s, group))) for s in sources
                }
                nest(level + 1, add(offset, mul(Local(name), inner)), here)
            rows = self._rows(group, dst.axes)
            frame.emit(npu.For(name, ZERO, rows, ONE, tuple(body), span=frame.span))

        nest(0, ZERO, {id(s): ZERO for s in sources})

    def _rows(self, group: tuple[Axis, ...], axes: tuple[Axis, ...]) -> Scalar:
        rows: Scalar = ONE
        for axis in group:
            rows = mul(rows, self.frame.pitch(axis) if axis is axes[-1] else self.frame.size(axis))
        return rows

    def _step(self, source: Tile, group: tuple[Axis, ...]) -> Scalar:
        """Elements by which ``source`` moves on when the outer group moves by one."""
        if not set(group) <= set(source.axes):
            return ZERO
        return self.frame.extent(source.axes[source.axes.index(group[-1]) + 1 :])

    def _rows_reach(self, source: Tile, groups: list[tuple[Axis, ...]]) -> bool:
        """Whether ``source`` can be read as far as the padding of the result."""
        return groups[-1][-1] not in source.axes or source.padded

    def _spread(self, source: Tile, groups: list[tuple[Axis, ...]]) -> Tile | None:
        """Return ``source`` with each element spread over a 32-byte block, where it needs that."""
        if groups[-1][-1] in source.axes:
            return None
        if source.spread:
            return source  # made by `block`
        frame = self.frame
        if source.dtype.size not in (2, 4):
            raise frame.cannot(frame.span, f"broadcasting {source.dtype}")
        count = max(8, -(-frame.elements(source.axes) // 8) * 8)
        base = frame.buffer("spread", npu.Memory.UB, count * 32, "one block an element")
        out = Tile(npu.Ref(base.buffer, source.dtype), source.axes, source.dtype)
        exact = len(source.axes) == 1
        self.emit(npu.Spread(out.ref, source.ref, frame.extent(source.axes, exact=exact)))
        return out

    def _rectangle(
        self, op: str, sources: list[Tile], spread: dict[int, Tile | None], dst: Tile,
        groups: list[tuple[Axis, ...]], offset: Scalar, at: dict[int, Scalar],
    ) -> None:  # fmt: skip
        frame = self.frame
        inner, outer = groups[-1], groups[-2] if len(groups) > 1 else ()
        rows, cols = self._rows(outer, dst.axes), self._rows(inner, dst.axes)
        if any(not self._rows_reach(s, groups) for s in sources):
            cols = frame.size(dst.axes[-1])
        stride = frame.extent(inner)
        views = []
        for source in sources:
            blocks = spread[id(source)]
            if blocks is not None:
                per = 32 // source.dtype.size
                kind = "col" if outer and outer[-1] in source.axes else "one"
                ref = replace(blocks.ref, offset=mul(at[id(source)], per))
                views.append(npu.View(ref, kind))  # type: ignore[arg-type]
                continue
            ref = replace(source.ref, offset=add(source.ref.offset, at[id(source)]))
            full = bool(outer) and outer[-1] in source.axes
            views.append(npu.View(ref, "full" if full or not outer else "row", stride))
        out = npu.View(replace(dst.ref, offset=add(dst.ref.offset, offset)), "full", stride)
        if op:
            self.emit(npu.Binary(op, out, views[0], views[1], rows, cols))
        else:
            self.emit(npu.Expand(out, views[0], rows, cols))

    # ---- masks -----------------------------------------------------------------------------------

    def spread_out(self, source: Source, dst: Tile) -> Tile:
        """Return ``source`` with all the axes of ``dst``, in its own type."""
        if isinstance(source, Tile) and source.axes == dst.axes:
            return source
        full = self.frame.tile("full", dst.axes, source.dtype)
        self.copy(source, full)
        return full

    def compare(self, op: str, a: Source, b: Source, dst: Tile) -> None:
        """Write the mask of ``a op b``."""
        if not isinstance(a, Tile):
            assert isinstance(b, Tile)
            mirrored = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}.get(op, op)
            self.compare(mirrored, b, a, dst)
            return
        if a.dtype is BOOL:
            self._compare_masks(op, a, b, dst)
            return
        kind = COMPUTED_IN.get(a.dtype)
        if kind is None:
            raise self.frame.cannot(self.frame.span, f"comparing {a.dtype}")
        a, b = self._widened(a, kind), self._widened(b, kind)
        if kind is I32:
            self._compare_integers(op, a, b, dst)
            return
        full = self.spread_out(a, dst)
        other: npu.Ref | Scalar
        other = self.spread_out(b, dst).ref if isinstance(b, Tile) else as_type(b, kind)
        self.emit(npu.Compare(op, dst.ref, full.ref, other, self._mask_count(dst)))  # type: ignore[arg-type]

    def _widened(self, source: Source, kind: DType) -> Source:
        if not isinstance(source, Tile):
            return as_type(source, kind)
        if source.dtype is kind:
            return source
        wide = self.frame.tile("wide", source.axes, kind)
        self.cast(source, wide)
        return wide

    def _compare_integers(self, op: str, a: Source, b: Source, dst: Tile) -> None:
        """Compare i32 with the one comparison there is: ``a <= b`` is ``min(a, b) == a``."""
        less = {
            "le": ("min", False),
            "ge": ("max", False),
            "gt": ("min", True),
            "lt": ("max", True),
        }
        if op in less:
            pick, inverted = less[op]
            chosen = self.frame.tile("chosen", dst.axes, I32)
            self.binary(pick, a, b, chosen)
            left, right = chosen, self.spread_out(a, dst)
        else:
            inverted = op == "ne"
            left, right = self.spread_out(a, dst), self.spread_out(b, dst)
        count = self._mask_count(dst)
        if self.frame.unified:  # no comparison of i32: are they apart, as f32, which loses no sign?
            apart, number = (self.frame.tile("apart", dst.axes, t) for t in (I32, F32))
            self.binary("sub", left, right, apart)
            self.hop(apart, number, "rint")
            self.emit(npu.Compare("eq", dst.ref, number.ref, Literal(0.0, F32), count))
        else:
            self.emit(npu.Compare("eq", dst.ref, left.ref, right.ref, count))
        if inverted:
            self.logic("not", [dst], dst)

    def _compare_masks(self, op: str, a: Tile, b: Source, dst: Tile) -> None:
        ones = []
        for side in (a, b):
            number = self.frame.tile(
                "number", side.axes if isinstance(side, Tile) else dst.axes, F32
            )
            self.select(self.tile_of(side, dst), Literal(1.0, F32), Literal(0.0, F32), number)
            ones.append(number)
        self.compare(op, ones[0], ones[1], dst)

    def tile_of(self, source: Source, like: Tile) -> Tile:
        """Return ``source`` as a tile with the axes of ``like`` where it is a number."""
        if isinstance(source, Tile):
            return source
        filled = self.frame.tile("filled", like.axes, source.dtype)
        self.fill(filled, source)
        return filled

    def _mask_count(self, dst: Tile) -> Scalar:
        return self.frame.extent(dst.axes)

    def mask_op(self, op: str, a: Tile, b: Tile, dst: Tile) -> None:
        """Emit ``and`` or ``or`` of two masks over the same elements."""
        words = ceil_div(self.frame.extent(dst.axes), 16)
        views = [npu.View(replace(t.ref, dtype=U16), "full", words) for t in (dst, a, b)]
        self.emit(npu.Binary(op, views[0], views[1], views[2], ONE, words))

    def logic(self, op: str, sources: list[Tile], dst: Tile) -> None:
        """Emit and, or, not of masks."""
        full = [self.spread_out(s, dst) for s in sources]
        if op == "not":
            words = ceil_div(self.frame.extent(dst.axes), 16)
            to, source = replace(dst.ref, dtype=U16), replace(full[0].ref, dtype=U16)
            self.emit(npu.Unary("not", to, source, words))
        else:
            self.mask_op(op, full[0], full[1], dst)

    def where(self, mask: Tile, then: Source, other: Source, dst: Tile) -> None:
        """Write ``then`` where the mask holds, else ``other``."""
        self.select(self.spread_out(mask, dst), then, other, dst)

    def select(self, mask: Tile, then: Source, other: Source, dst: Tile) -> None:
        """Write a selection; ``mask`` has the axes of ``dst``."""
        frame = self.frame
        if dst.dtype is BOOL:  # (mask and then) or (not mask and other)
            yes, no, inverse = (frame.tile("mask", dst.axes, BOOL) for _ in range(3))
            self.logic("not", [mask], inverse)
            self.mask_op("and", mask, self.spread_out(self.tile_of(then, dst), dst), yes)
            self.mask_op("and", inverse, self.spread_out(self.tile_of(other, dst), dst), no)
            self.mask_op("or", yes, no, dst)
            return
        if dst.dtype.size == 1:
            self.in_type(dst, [then, other], lambda out, xs: self.select(mask, xs[0], xs[1], out))
            return
        kind = F16 if dst.dtype.size == 2 else F32
        left = self.spread_out(as_operand(then, dst.dtype), dst)
        right: npu.Ref | Scalar
        if isinstance(other, Tile) or dst.dtype is not kind:
            right = replace(self.spread_out(as_operand(other, dst.dtype), dst).ref, dtype=kind)
        else:
            right = as_type(other, dst.dtype)
        to, source = replace(dst.ref, dtype=kind), replace(left.ref, dtype=kind)
        exact = len(dst.axes) == 1 and not left.padded
        dst.padded = not exact
        self.emit(npu.Select(to, mask.ref, source, right, frame.extent(dst.axes, exact=exact)))

    # ---- integers --------------------------------------------------------------------------------

    def bits(self, op: str, sources: list[Tile], dst: Tile) -> None:
        """Emit bitwise ops: in 16-bit words, whatever the width."""
        frame = self.frame
        if op == "bitxor":  # (a or b) - (a and b)
            either, both = (frame.tile("bits", dst.axes, dst.dtype) for _ in range(2))
            self.bits("bitor", sources, either)
            self.bits("bitand", sources, both)
            if dst.dtype in (I16, I32):
                self.binary("sub", either, both, dst)
            else:  # no instruction subtracts these: either and not both
                self.bits("bitnot", [both], both)
                self.bits("bitand", [either, both], dst)
            return
        words = mul(self.count(dst, *sources), dst.dtype.size // 2)
        views = [npu.View(replace(t.ref, dtype=U16), "full", words) for t in (dst, *sources)]
        if op == "bitnot":
            self.emit(npu.Unary("not", views[0].ref, views[1].ref, words))
        else:
            self.emit(npu.Binary(op.removeprefix("bit"), views[0], views[1], views[2], ONE, words))

    def shift(self, statement: ir.Compute, operands: list[Source], dst: Tile) -> None:
        """Emit a shift by a number."""
        by = operands[1]
        if isinstance(by, Tile):
            self._shift_by_tile(statement.op.name, operands[0], by, dst)
            return
        src = self.spread_out(operands[0], dst)
        name = statement.op.name
        self.emit(
            npu.WithScalar(name, dst.ref, src.ref, as_type(by, dst.dtype), self.count(dst, src))
        )

    def _shift_by_tile(self, op: str, source: Source, by: Tile, dst: Tile) -> None:
        """Shift by 16, 8, 4, 2 and 1 where the bits of ``by`` say so.

        A left shift by any other number gives 0, a right shift by more than 31 the sign.
        """
        frame, amount = self.frame, self.spread_out(by, dst)
        mask = frame.tile("mask", dst.axes, BOOL)
        self.copy(source, dst)
        if op == "shr":
            by, amount = amount, frame.tile("shifted", dst.axes, dst.dtype)
            count = self.count(amount, by)
            self.emit(npu.WithScalar("max", amount.ref, by.ref, Literal(0, dst.dtype), count))
            self.emit(npu.WithScalar("min", amount.ref, amount.ref, Literal(31, dst.dtype), count))
        for step in (16, 8, 4, 2, 1):
            bit, shifted = (frame.tile("shifted", dst.axes, dst.dtype) for _ in range(2))
            self.bits("bitand", [amount, self.filled(Literal(step, dst.dtype), dst)], bit)
            self.compare("ne", bit, Literal(0, dst.dtype), mask)
            count = self.count(shifted, dst)
            number = Literal(step, dst.dtype)
            self.emit(npu.WithScalar(op, shifted.ref, dst.ref, number, count))
            self.select(mask, shifted, dst, dst)
        if op == "shl":
            beyond = frame.tile("shifted", dst.axes, dst.dtype)
            self.bits("bitand", [amount, self.filled(Literal(-32, dst.dtype), dst)], beyond)
            self.compare("ne", beyond, Literal(0, dst.dtype), mask)
            self.select(mask, self.filled(Literal(0, dst.dtype), dst), dst, dst)

    def filled(self, value: Scalar, like: Tile) -> Tile:
        """Return a tile like another, full of one number."""
        tile = self.frame.tile("filled", like.axes, like.dtype)
        self.fill(tile, value)
        return tile

    # ---- casts -----------------------------------------------------------------------------------

    def cast(self, src: Tile, dst: Tile) -> None:
        """Cast as the language says: to integers by truncation, saturating."""
        frame = self.frame
        if src.axes != dst.axes:
            narrow = frame.tile("cast", src.axes, dst.dtype)
            self.cast(src, narrow)
            self.expand(narrow, dst)
            return
        if src.dtype is dst.dtype:
            self.copy(src, dst)
            return
        if I64 in (src.dtype, dst.dtype):
            i64.cast(self, src, dst)
            return
        if src.dtype is BOOL:
            kind = dst.dtype if dst.dtype in (F16, F32) else F32
            number = dst if kind is dst.dtype else frame.tile("number", dst.axes, kind)
            self.select(src, Literal(1.0, kind), Literal(0.0, kind), number)
            if number is not dst:
                self.cast(number, dst)
            return
        if dst.dtype is BOOL:
            self.compare("ne", src, Literal(0), dst)
            return
        path = hops(src.dtype, dst.dtype)
        if path is None and src.dtype.size <= 2 and hops(src.dtype, F32) and hops(F32, dst.dtype):
            wide = frame.tile("wide", src.axes, F32)  # which holds them all
            self.cast(src, wide)
            self.cast(wide, dst)
            return
        if path is None:
            raise frame.cannot(frame.span, f"a cast from {src.dtype} to {dst.dtype}")
        src = self._within(src, dst.dtype)
        for hop, (kind, mode) in enumerate(path):
            last = hop == len(path) - 1
            out = dst if last else frame.tile("cast", dst.axes, kind)
            self.hop(src, out, mode)
            src = out

    def _within(self, src: Tile, target: DType) -> Tile:
        """Return ``src`` whole and within the limits of an 8-bit ``target``."""
        if target.size != 1 or src.dtype is F16:
            return src
        low, high = target.limits
        tile = self.frame.tile("clamped", src.axes, src.dtype)
        self.binary("max", src, as_type(Literal(low), src.dtype), tile)
        self.binary("min", tile, as_type(Literal(high), src.dtype), tile)
        if src.dtype is F32 and self.frame.unified:
            whole = self.frame.tile("whole", src.axes, I32)
            self.hop(tile, whole, "trunc")
            self.hop(whole, tile, "rint")
        elif src.dtype is F32:
            self.emit(npu.Unary("trunc", tile.ref, tile.ref, self.count(tile, tile)))
        return tile

    def emit(self, step: npu.Step) -> None:
        """Append ``step`` with the span of the statement at hand."""
        self.frame.emit(replace(step, span=self.frame.span))


def as_type(value: Scalar, dtype: DType) -> Scalar:
    """Return a number in another type."""
    if value.dtype is dtype:
        return value
    if isinstance(value, Literal):
        number = float(value.value) if dtype.is_float else int(value.value)
        return Literal(number, dtype)
    return apply("cast", value, dtype=dtype)


def as_operand(source: Source, dtype: DType) -> Source:
    """Return ``source``; a bare number in ``dtype``."""
    return source if isinstance(source, Tile) else as_type(source, dtype)


def replace_dtype(tile: Tile, dtype: DType) -> Tile:
    """Return the same bytes as elements of another type of the same width."""
    return Tile(replace(tile.ref, dtype=dtype), tile.axes, dtype, tile.padded, tile.ring)


def _groups(axes: tuple[Axis, ...], operands: list[tuple[Axis, ...]]) -> list[tuple[Axis, ...]]:
    """Join neighbouring axes along which all operands do the same.

    An operand without the innermost axis has padding after its own innermost one, so its axes do
    not join.
    """
    presence = [tuple(axis in o for o in operands) for axis in axes]
    joined: list[list[Axis]] = [[axes[0]]] if axes else [[]]
    for i in range(1, len(axes)):
        padded = any(axes[i] in o and axes[-1] not in o for o in operands)
        if presence[i] == presence[i - 1] and not padded:
            joined[-1].append(axes[i])
        else:
            joined.append([axes[i]])
    return [tuple(g) for g in joined]
