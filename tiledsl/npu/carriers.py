"""Rewrite a kernel so that its tiles have element types, and ops, that the vector unit has.

A tile of u16 becomes one of i32, of u32 one of its bits, of f8 and of 4 bits one of f16: each
holds them all. A load reads the raw integers and decodes them; a store encodes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tiledsl import ir
from tiledsl.diagnostics import CompileError
from tiledsl.npu.conversions import (
    CARRIERS,
    F16,
    F32,
    I8,
    I32,
    I64,
    RAW,
    U8,
    U16,
    U32,
    carrier,
    cast,
    decode,
    encode,
    flip,
    recast,
    wrapped,
)
from tiledsl.npu.errors import NotOnTarget
from tiledsl.npu.packed import in_bytes, is_even, pairs
from tiledsl.npu.prepare import Maker, Part
from tiledsl.ops import OPS, bitcast, convert
from tiledsl.scalar import ONE, ZERO, Axis, Element, Literal, Scalar, apply, rewrite
from tiledsl.types import DType

FLIPPED = frozenset({"min", "max", "clamp", "lt", "le", "gt", "ge"})
WHOLE = frozenset({"floor", "ceil", "round", "trunc"})
# Ops whose result differs between u32 and the same bits as i32.
UNSIGNED = FLIPPED | WHOLE | {"floordiv", "mod", "shr", "abs", "sign", "pow"}


def carry(body: tuple[ir.Stmt, ...], target: str) -> tuple[ir.Stmt, ...]:
    """Return ``body`` without tiles of types that are carried by others."""
    return _Carrying(target).block(body)


class _Carrying:
    """The walk: what each value and variable has become."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.values: dict[ir.Value, ir.Operand] = {}
        self.vars: dict[ir.Var, ir.Var] = {}
        self.pairs: dict[Axis, Axis] = {}
        self.out: list[ir.Stmt] = []

    def block(self, body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        """Return the statements of a block, rewritten."""
        outer, self.out = self.out, []
        for statement in body:
            self.statement(statement)
        done, self.out = tuple(self.out), outer
        return done

    def cannot(self, statement: ir.Stmt, what: str, way_out: str = "") -> CompileError:
        """Return the error that there is no way on this target."""
        return CompileError([NotOnTarget(statement.span, self.target, what, way_out)])

    # ---- operands --------------------------------------------------------------------------------

    def value(self, value: ir.Value) -> ir.Value:
        """Return what a value has become, as a value."""
        new = self.values.get(value, value)
        assert isinstance(new, ir.Value)
        return new

    def operand(self, operand: ir.Operand) -> ir.Operand:
        """Return an operand in its carrier."""
        if isinstance(operand, ir.Value):
            return self.values.get(operand, operand)
        whole = rewrite(operand, single)
        return carried(whole, operand.dtype) if operand.dtype in CARRIERS else whole

    def index(self, index: tuple[ir.Index, ...]) -> tuple[ir.Index, ...]:
        """Return an index with what its lookups have become."""
        return tuple(
            replace(
                i, offset=rewrite(i.offset, single),
                gather=None if i.gather is None else self.value(i.gather),
            )
            for i in index
        )  # fmt: skip

    def result(self, value: ir.Value) -> ir.Value:
        """Return the value that stands for ``value`` from here on."""
        dtype = value.type.dtype
        if dtype not in CARRIERS:
            return value
        new = ir.Value(value.name, ir.TileType(carrier(dtype), value.type.axes))
        self.values[value] = new
        return new

    def variable(self, var: ir.Var) -> ir.Var:
        """Return what a variable has become."""
        dtype = var.type.dtype
        if dtype not in CARRIERS:
            return var
        if var not in self.vars:
            kind = ir.TileType(carrier(dtype), var.type.axes)
            self.vars[var] = ir.Var(var.name, kind, var.span)
        return self.vars[var]

    def named(self, make: Maker, result: ir.Value, part: Part) -> None:
        """Let ``part`` be what ``result`` is from here on."""
        term = part.operand
        whole = isinstance(term, ir.Value) and set(term.type.axes) == set(result.type.axes)
        if whole and result.type.dtype in CARRIERS:
            self.values[result] = term
        elif not make.count:  # it is one that there was
            copy = ir.Compute(make.span, self.result(result), OPS["cast"], (term,))
            self.out.append(copy)
        else:
            make.name(self.result(result), part)

    # ---- statements ------------------------------------------------------------------------------

    def statement(self, s: ir.Stmt) -> None:
        """Emit a statement, rewritten."""
        match s:
            case ir.For():
                self.out.append(replace(s, body=self.block(s.body)))
            case ir.If():
                condition = self.operand(s.condition)
                then, orelse = self.block(s.then), self.block(s.orelse)
                self.out.append(ir.If(s.span, condition, then, orelse))
            case ir.Compute():
                self.compute(s)
            case ir.Load():
                self.load(s)
            case ir.Store():
                self.store(s)
            case ir.Reduce() | ir.Scan():
                self.fold(s)
            case ir.Sort():
                self.sort(s)
            case ir.Contract(a=a, b=b):
                sides = [self.factor(s, x) for x in (a, b)]
                self.out.append(replace(s, result=self.result(s.result), a=sides[0], b=sides[1]))
            case ir.Rename():
                operand = self.value(s.operand)
                self.out.append(replace(s, result=self.result(s.result), operand=operand))
            case ir.Declare() | ir.Assign():
                var, value = self.variable(s.var), self.operand(s.value)
                self.out.append(replace(s, var=var, value=value))
            case ir.Read():
                self.out.append(replace(s, result=self.result(s.result), var=self.variable(s.var)))
            case ir.Print() | ir.Assert() | ir.Positions() | ir.Random():
                self.plain(s)

    def plain(self, s: ir.Print | ir.Assert | ir.Positions | ir.Random) -> None:
        """Emit a statement of which only operands are rewritten."""
        match s:
            case ir.Print(operands=operands):
                make = Maker(self.out, s.span)
                words = tuple(self.word(make, x) for x in operands)
                self.out.append(replace(s, operands=words))
            case ir.Assert(condition=condition):
                self.out.append(replace(s, condition=self.operand(condition)))
            case ir.Positions():
                self.out.append(s)
            case ir.Random():
                make = Maker(self.out, s.span)
                seed, offset = (self.word(make, x) for x in (s.seed, s.offset))
                self.out.append(replace(s, seed=seed, offset=offset))
                if s.result.type.dtype is U32:
                    self.values[s.result] = make.bitcast(Part(make, s.result), I32).operand

    def word(self, make: Maker, operand: ir.Operand) -> ir.Operand:
        """Return an operand of which, where it is of u32, it matters that it has no sign."""
        if not isinstance(operand, ir.Value) or operand.type.dtype is not U32:
            return operand if not isinstance(operand, ir.Value) else self.value(operand)
        return make.bitcast(Part(make, self.value(operand)), U32).operand

    def factor(self, s: ir.Contract, value: ir.Value) -> ir.Value:
        """Return a side of a product; integers of 4 bits as i8."""
        new = self.value(value)
        if value.type.dtype.bits >= 8:
            return new
        make = Maker(self.out, s.span)
        whole = make.cast(Part(make, new), I8).operand
        assert isinstance(whole, ir.Value)
        return whole

    def compute(self, s: ir.Compute) -> None:
        """Emit an op, in other ops where its types or the op itself are lacking."""
        make = Maker(self.out, s.span)
        kinds = [x.type.dtype if isinstance(x, ir.Value) else x.dtype for x in s.operands]
        parts = [Part(make, self.operand(x)) for x in s.operands]
        source, target, name = kinds[0], s.result.type.dtype, s.op.name
        if name == "cast" and (source in CARRIERS or target in CARRIERS):
            self.named(make, s.result, cast(make, parts[0], source, target))
        elif name == "bitcast" and (source in CARRIERS or target in CARRIERS):
            self.named(make, s.result, recast(make, parts[0], source, target))
        elif name == "wrap" and self.lacking(source, target):
            self.named(make, s.result, wrapped(make, parts[0], source, target))
        elif name == "pow" and source is U32:
            self.named(make, s.result, self.power(s, make, parts))
        elif U32 in kinds and name in UNSIGNED:
            self.named(make, s.result, _unsigned(make, name, parts))
        elif name in WHOLE and source in CARRIERS and source.is_integer:
            self.named(make, s.result, parts[0])
        else:
            operands = tuple(p.operand for p in parts)
            self.out.append(replace(s, result=self.result(s.result), operands=operands))

    def lacking(self, source: DType, target: DType) -> bool:
        """Whether a cast that drops bits is none of those between types that are there."""
        wide = I64 in (source, target) and target is not I32
        return wide or source in CARRIERS or target in CARRIERS

    def power(self, s: ir.Compute, make: Maker, parts: Sequence[Part]) -> Part:
        """Multiply the squares of the base whose bits the exponent has, bit by bit."""
        axes = s.result.type.axes

        def variable(name: str, start: ir.Operand) -> ir.Var:
            var = ir.Var(name, ir.TileType(I32, axes), s.span)
            self.out.append(ir.Declare(s.span, var, start))
            return var

        def read(var: ir.Var, inner: Maker) -> Part:
            value = ir.Value(var.name, var.type)
            inner.out.append(ir.Read(s.span, value, var))
            return Part(inner, value)

        base, exponent = parts[0].operand, parts[1].operand
        power, square, rest = (
            variable("power", ONE), variable("square", base), variable("exponent", exponent)
        )  # fmt: skip
        body: list[ir.Stmt] = []
        inner = Maker(body, s.span)
        bit = inner("ne", inner("bitand", read(rest, inner), 1), 0)
        now, twice = read(power, inner), read(square, inner)
        for var, new in (
            (power, inner("where", bit, now * twice, now)), (square, twice * twice),
            (rest, inner("shr", read(rest, inner), 1)),
        ):  # fmt: skip
            body.append(ir.Assign(s.span, var, new.operand))
        axis = Axis("bit", "for", ZERO, Literal(32), span=s.span)
        self.out.append(ir.For(s.span, axis, tuple(body)))
        return read(power, make)

    def load(self, s: ir.Load) -> None:
        """Emit a load of the raw elements, and their decoding."""
        dtype, index = s.result.type.dtype, self.index(s.index)
        if dtype.bits < 8:
            self.load_packed(replace(s, index=index))
            return
        if dtype not in RAW:
            default = None if s.default is None else self.operand(s.default)
            new = self.result(s.result)
            self.out.append(replace(s, result=new, index=index, default=default))
            return
        make, raw = Maker(self.out, s.span), RAW[dtype]
        value = ir.Value(s.result.name, ir.TileType(raw, s.result.type.axes))
        default = None if s.default is None else self.raw(s, s.default, dtype)
        self.out.append(replace(s, result=value, index=index, default=default))
        self.named(make, s.result, decode(make, Part(make, value), dtype))

    def store(self, s: ir.Store) -> None:
        """Emit a store of the raw elements."""
        dtype, index = s.tensor.dtype, self.index(s.index)
        if dtype in CARRIERS and s.atomic:
            raise self.cannot(s, f"an `atomic` store of {dtype}")
        if dtype.bits < 8:
            self.store_packed(replace(s, index=index))
            return
        if dtype not in RAW:
            self.out.append(replace(s, index=index, value=self.operand(s.value)))
        elif isinstance(s.value, ir.Value):
            make = Maker(self.out, s.span)
            raw = encode(make, Part(make, self.value(s.value)), dtype)
            self.out.append(replace(s, index=index, value=raw.operand))
        else:
            self.out.append(replace(s, index=index, value=self.raw(s, s.value, dtype)))

    # ---- two elements to a byte ------------------------------------------------------------------

    def byte_index(self, s: ir.Load | ir.Store) -> tuple[tuple[ir.Index, ...], Axis, Axis]:
        """Return the index of the bytes, the range along the last dim, and that of its pairs."""
        last = s.index[-1]
        what = f"of `{s.tensor.name}`, which has two elements to a byte"
        if any(s.guards[-1:]) or last.gather is not None:
            raise self.cannot(s, f"a lookup or a default along the last dim {what}")
        others = [axis for i in s.index[:-1] for axis, _ in i.terms]
        if len(last.terms) != 1 or last.terms[0][1] != ONE or last.terms[0][0] in others:
            raise self.cannot(s, f"an index along the last dim {what} that is not one plain range")
        if not is_even(last.offset):
            way_out = "let it begin at an even element"
            raise self.cannot(s, f"a tile {what} that may begin at an odd element", way_out)
        axis = last.terms[0][0]
        pair = self.pairs.setdefault(axis, pairs(axis))
        half = apply("floordiv", last.offset, Literal(2))
        return (*s.index[:-1], ir.Index(((pair, ONE),), half)), axis, pair

    def load_packed(self, s: ir.Load) -> None:
        """Emit a load of bytes along pairs, and the elements by another name of that range."""
        kind = I8 if s.tensor.dtype.is_signed else U8
        default = None
        if s.default is not None:
            if not isinstance(s.default, Literal):
                raise self.cannot(s, "a default of 4 bits that is no plain number")
            default = Literal(_twice(int(s.default.value), kind), kind)
        if not s.index[-1].terms:
            self.load_single(s, kind, default)
            return
        index, axis, pair = self.byte_index(s)
        axes = tuple(pair if a is axis else a for a in s.result.type.axes)
        raw = ir.Value(s.result.name, ir.TileType(kind, axes))
        tensor = in_bytes(s.tensor)
        self.out.append(replace(s, result=raw, tensor=tensor, index=index, default=default))
        self.out.append(ir.Rename(s.span, self.result(s.result), raw, pair, axis))

    def load_single(self, s: ir.Load, kind: DType, default: Literal | None) -> None:
        """Emit a load of one element of each row: a byte, of which one half is kept."""
        last = s.index[-1]
        if last.gather is not None or any(s.guards[-1:]):
            what = f"`{s.tensor.name}`, which has two elements to a byte"
            raise self.cannot(s, f"a lookup or a default along the last dim of {what}")
        byte = ir.Index((), apply("floordiv", last.offset, Literal(2)))
        raw = ir.Value(s.result.name, ir.TileType(kind, s.result.type.axes))
        index, tensor = (*s.index[:-1], byte), in_bytes(s.tensor)
        self.out.append(replace(s, result=raw, tensor=tensor, index=index, default=default))
        make = Maker(self.out, s.span)
        odd = apply("mod", last.offset, Literal(2))
        up = apply("sub", Literal(28), apply("mul", odd, Literal(4)))
        moved = make("shl", make.cast(Part(make, raw), I32), Part(make, up))
        half = make("shr", moved, 28)
        half = half if kind is I8 else make("bitand", half, 15)
        self.values[s.result] = make.cast(half, F16).operand

    def store_packed(self, s: ir.Store) -> None:
        """Emit a store of bytes along pairs."""
        index, axis, pair = self.byte_index(s)
        end, last = apply("add", axis.hi, s.index[-1].offset), s.tensor.shape[-1]
        if end != last and not is_even(end):
            what = f"a store in `{s.tensor.name}` that may end in the middle of a byte"
            raise self.cannot(s, what, "store whole rows, or up to an even element")
        tensor, make = in_bytes(s.tensor), Maker(self.out, s.span)
        value = self.operand(s.value)
        if isinstance(value, ir.Value) and axis in value.type.axes:
            axes = tuple(pair if a is axis else a for a in value.type.axes)
            raw = ir.Value(s.tensor.name, ir.TileType(U8, axes))
            self.out.append(ir.Rename(s.span, raw, value, axis, pair))
            self.out.append(replace(s, tensor=tensor, index=index, value=raw))
            return
        low = make("bitand", make.cast(Part(make, value), I32), 15)
        both = make.cast(low * 17, U8).operand
        self.out.append(replace(s, tensor=tensor, index=index, value=both))

    def raw(self, s: ir.Stmt, operand: ir.Operand, dtype: DType) -> Scalar:
        """Return a number in the form that it has in memory."""
        if isinstance(operand, ir.Value):
            raise self.cannot(s, "a default that is a tile")
        operand = rewrite(operand, single)
        if isinstance(operand, Literal):
            element = convert(np.asarray([operand.value]), dtype)
            return Literal(bitcast(element, RAW[dtype])[0].item(), RAW[dtype])
        if dtype in (U16, U32):
            return apply("wrap", operand, dtype=RAW[dtype])
        make = Maker([], s.span)
        found = encode(make, Part(make, carried(operand, dtype)), dtype).operand
        assert not isinstance(found, ir.Value)
        return found

    def fold(self, s: ir.Reduce | ir.Scan) -> None:
        """Emit a reduction or scan; over nothing it is what it is of the carried type."""
        dtype, name = s.operand.type.dtype, s.reduction.name
        if dtype not in CARRIERS:
            self.out.append(s)
            return
        make, source = Maker(self.out, s.span), self.value(s.operand)
        ordered = name in ("max", "min", "argmax", "argmin")
        if dtype is U32 and ordered:
            flipped = flip(make, Part(make, source)).operand
            assert isinstance(flipped, ir.Value)
            source = flipped
        kind = carrier(s.result.type.dtype)
        value = ir.Value(s.result.name, ir.TileType(kind, s.result.type.axes))
        self.out.append(replace(s, result=value, operand=source))
        part = Part(make, value)
        if name in ("max", "min") and dtype is U32:
            part = flip(make, part)
        elif name in ("max", "min") and isinstance(s, ir.Reduce):
            part = make(name, part, s.reduction.identity(dtype))
        self.values[s.result] = part.operand

    def sort(self, s: ir.Sort) -> None:
        """Emit a sort; u16 as f32, which holds them."""
        dtype = s.operand.type.dtype
        operand = self.value(s.operand)
        if dtype is U32:
            raise self.cannot(s, "sorting u32")
        if dtype is not U16:
            self.out.append(replace(s, values=self.result(s.values), operand=operand))
            return
        make = Maker(self.out, s.span)
        wide = make.cast(Part(make, operand), F32).operand
        assert isinstance(wide, ir.Value)
        values = ir.Value(s.values.name, ir.TileType(F32, s.values.type.axes))
        self.out.append(replace(s, values=values, operand=wide))
        self.values[s.values] = make.cast(Part(make, values), I32).operand


def single(scalar: Scalar) -> Scalar | None:
    """Return an element of 4 bits as the half of a byte."""
    if not isinstance(scalar, Element) or scalar.tensor.dtype.bits >= 8:
        return None
    *outer, last = (rewrite(i, single) for i in scalar.index)
    tensor, two = in_bytes(scalar.tensor), Literal(2)
    index = (*outer, apply("floordiv", last, two))
    byte = apply("cast", Element(tensor, index, U8, span=scalar.span), dtype=I32)
    moved = apply("shr", byte, apply("mul", apply("mod", last, two), Literal(4)))
    half = apply("bitand", moved, Literal(15))
    if scalar.dtype.is_signed:
        half = apply("sub", half, apply("mul", apply("bitand", half, Literal(8)), two))
    if scalar.default is None:
        return half
    default = apply("cast", rewrite(scalar.default, single), dtype=I32)
    for at, size, guarded in zip((*outer, last), scalar.tensor.shape, scalar.guards, strict=False):
        if guarded:
            inside = apply("and", apply("ge", at, ZERO), apply("lt", at, size))
            half = apply("where", inside, half, default, dtype=I32)
    return half


def carried(scalar: Scalar, dtype: DType) -> Scalar:
    """Return a number of a carried type in its carrier."""
    kind = carrier(dtype)
    if isinstance(scalar, Literal):
        number = convert(np.asarray([scalar.value]), dtype)
        if dtype is U32:
            return Literal(int(number.astype(np.int64).astype(np.int32)[0]), I32)
        return Literal(float(number[0]) if kind.is_float else int(number[0]), kind)
    return apply("wrap" if dtype is U32 else "cast", scalar, dtype=kind)


def _twice(value: int, kind: DType) -> int:
    """Return the byte that has the same element of 4 bits twice."""
    byte = (value & 15) * 17
    return byte - 256 if kind.is_signed and byte > 127 else byte


# ---- ops ----------------------------------------------------------------------------------------


def _unsigned(make: Maker, name: str, parts: Sequence[Part]) -> Part:
    """Return an op of u32, on its bits as i32."""
    a, b = parts[0], parts[-1]
    match name:
        case "min" | "max" | "clamp":
            return flip(make, make(name, *(flip(make, x) for x in parts)))
        case "lt" | "le" | "gt" | "ge":
            return make(name, flip(make, a), flip(make, b))
        case "sign":
            return make.cast(make("ne", a, 0), I32)
        case "floordiv":
            return _divided(make, a, b)
        case "mod":
            return a - b * _divided(make, a, b)
        case "shr":
            return _moved_down(make, a, b)
        case _:
            return a


def _divided(make: Maker, a: Part, b: Part) -> Part:
    """Return the quotient of u32; 0 where the divisor is 0.

    Half of the dividend is an i32; twice its quotient is the whole's, or 1 less. By a divisor with
    the sign bit set it is 0 or 1.
    """
    half = make("bitand", make("shr", a, 1), 2**31 - 1)
    twice = make("floordiv", half, make("max", b, 0)) * 2
    rest = a - twice * b
    more = make.cast(make("ge", flip(make, rest), flip(make, b)), I32)
    once = make.cast(make("ge", flip(make, a), flip(make, b)), I32)
    found = make("where", b < 0, once, twice + more)
    return found * make.cast(make("ne", b, 0), I32)


def _moved_down(make: Maker, a: Part, b: Part) -> Part:
    """Return u32 shifted right, by 31 at most."""
    if isinstance(b.operand, Literal):
        by = min(int(b.operand.value) % 2**32, 31)
        return make("bitand", make("shr", a, by), 2 ** (32 - by) - 1) if by else a
    by_tile = make("where", b < 0, 31, make("min", b, 31))
    half = make("bitand", make("shr", a, 1), 2**31 - 1)
    rest = make("shr", half, make("max", by_tile - 1, 0))
    return make("where", make("eq", by_tile, 0), a, rest)
