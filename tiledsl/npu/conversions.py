"""Casts of element types that the vector unit lacks, in ops that it has.

Such a type is carried by another (`CARRIERS`): its numbers as f16 or i32, those of u32 as the bits
of i32. In memory they have their own form (`RAW`: the integer of the same bits).
"""

from tiledsl.npu.prepare import Maker, Part
from tiledsl.types import DType

BOOL, I4, I8, I16, I32, I64 = (
    DType.BOOL, DType.I4, DType.I8, DType.I16, DType.I32, DType.I64,
)  # fmt: skip
U4, U8, U16, U32 = DType.U4, DType.U8, DType.U16, DType.U32
F16, F32, E4M3, E5M2 = DType.F16, DType.F32, DType.F8E4M3, DType.F8E5M2

CARRIERS = {E4M3: F16, E5M2: F16, I4: F16, U4: F16, U16: I32, U32: I32}
RAW = {E4M3: I8, E5M2: I8, U16: I16, U32: I32}

LEAST = -(2**31)  # of i32: only the sign bit
# Bits of the mantissa, bias of the exponent, largest finite number, codes of it and of NaN; the
# code after the largest finite one is infinity, where there is one.
_F8 = {E4M3: (3, 7, 448.0, 126, 127), E5M2: (2, 15, 57344.0, 124, 126)}


def carrier(dtype: DType) -> DType:
    """Return the type whose tiles hold numbers of ``dtype``."""
    return CARRIERS.get(dtype, dtype)


def flip(make: Maker, part: Part) -> Part:
    """Return u32 as i32 in the same order, or back: the sign bit turned."""
    return make("add", part, LEAST)


# ---- casts --------------------------------------------------------------------------------------


def cast(make: Maker, part: Part, source: DType, target: DType) -> Part:
    """Return numbers of ``source``, by their carrier, in the carrier of ``target``."""
    if source is target:
        return part
    if source is U32:
        return _from_u32(make, part, target)
    match target:
        case DType.U32:
            return _to_u32(make, part, source)
        case DType.U16 | DType.I4 | DType.U4:
            low, high = map(int, target.limits)
            whole = make.cast(part, I32)
            inside = make("min", make("max", whole, low), high)
            return make.cast(inside, carrier(target))
        case DType.F8E4M3 | DType.F8E5M2:
            return make.cast(_rounded(make, make.cast(part, F32), target), F16)
        case DType.BOOL:
            return make("ne", part, 0)
        case _:
            return make.cast(part, target)


def _from_u32(make: Maker, part: Part, target: DType) -> Part:
    if target is BOOL:
        return make("ne", part, 0)
    if target.is_float:
        high = make("bitand", make("shr", part, 16), 0xFFFF)
        low = make("bitand", part, 0xFFFF)
        number = make.cast(high, F32) * 65536.0 + make.cast(low, F32)
        return cast(make, number, F32, target)
    if target is I64:
        wide = make.cast(part, I64)
        return make("bitand", wide, 0xFFFFFFFF)
    whole = make("where", part < 0, 2**31 - 1, part)
    return cast(make, whole, I32, target)


def _to_u32(make: Maker, part: Part, source: DType) -> Part:
    """Below 2**31 as i32; floats from there on are taken off it, and the sign bit set."""
    if source is I64:
        inside = make("min", make("max", part, 0), 2**32 - 1)
        return make.wrap(inside, I32)
    if not source.is_float:
        return make("max", make.cast(part, I32), 0)
    number = make.cast(part, F32)
    low = make.cast(make("max", number, 0.0), I32)
    high = flip(make, make.cast(number - 2.0**31, I32))
    return make("where", make("ge", number, 2.0**31), high, low)


def wrapped(make: Maker, part: Part, source: DType, target: DType) -> Part:
    """Return the low bits of integers, or of floats without their fractions, in a carrier."""
    if target is I64:
        return cast(make, part, source, I64)
    if source is I64:
        bits = make.wrap(part, I32)
    elif source.is_float:
        bits = _low_bits(make, make.cast(part, F32))
    else:
        bits = make.cast(part, I32)
    if target.bits == 32:
        return bits
    if not target.is_signed:
        kept = make("bitand", bits, (1 << target.bits) - 1)
    else:
        kept = make("shr", make("shl", bits, 32 - target.bits), 32 - target.bits)
    return make.cast(kept, carrier(target))


def _low_bits(make: Maker, number: Part) -> Part:
    """Return the low 32 bits of the i64 to which f32 truncates and saturates."""
    size = make("abs", make("trunc", number))
    high = make("floor", size * 2.0**-32)
    low = _to_u32(make, size - high * 2.0**32, F32)
    low = make("where", number < 0.0, make("mul", low, -1), low)
    return make("where", make("ge", number, 2.0**63), -1, low)


def recast(make: Maker, part: Part, source: DType, target: DType) -> Part:
    """Return the same bits as another type of the same width, by the carriers."""
    if source.bits < 8:
        if target is U4:
            return make("where", part < 0.0, part + 16.0, part)
        return make("where", make("gt", part, 7.0), part - 16.0, part)
    raw = encode(make, part, source)
    return decode(make, make.bitcast(raw, RAW.get(target, target)), target)


# ---- the form in memory -------------------------------------------------------------------------


def decode(make: Maker, raw: Part, dtype: DType) -> Part:
    """Return what raw elements stand for, in the carrier of ``dtype``."""
    match dtype:
        case DType.U16:
            return make("bitand", make.cast(raw, I32), 0xFFFF)
        case DType.F8E5M2:  # the upper byte of f16
            return make.bitcast(make.cast(make("shl", make.cast(raw, I32), 8), I16), F16)
        case DType.F8E4M3:  # f16 has 8 more in the bias of its exponent
            whole = make.cast(raw, I32)
            odd = make.cast(make("eq", make("bitand", whole, 127), 127), I32)
            moved = make("bitand", make("shl", whole, 7), ~0x4000) + odd * 0x4000
            return make.bitcast(make.cast(moved, I16), F16) * 256.0
        case _:
            return raw


def encode(make: Maker, part: Part, dtype: DType) -> Part:
    """Return the raw elements of numbers in the carrier of ``dtype``."""
    if dtype is U16:
        return make.cast(make("shr", make("shl", part, 16), 16), I16)
    if dtype not in _F8:
        return part
    mantissa, bias, _, top, nan = _F8[dtype]
    number = make.cast(part, F32)
    bits = make.bitcast(number, I32)
    size = make("abs", number)
    exponent = make("bitand", bits, 2**31 - 1) - ((127 - bias) << 23)
    small = make.cast(size * 2.0 ** (bias - 1 + mantissa), I32)
    code = make("where", size < 2.0 ** (1 - bias), small, make("shr", exponent, 23 - mantissa))
    code = make("where", make("ne", number, number), nan, make("min", code, top))
    return make.cast(make("where", bits < 0, code - 128, code), I8)


def _rounded(make: Maker, number: Part, dtype: DType) -> Part:
    """Return f32 rounded to the nearest of ``dtype``, ties to even; what is beyond saturates.

    To a number with the same exponent, times 2**23 / 2**mantissa, f32 adds only what is to stay.
    """
    mantissa, bias, top, _, _ = _F8[dtype]
    number = make("min", make("max", number, -top), top)
    bits = make.bitcast(number, I32)
    power = make.bitcast(make("bitand", bits, 0x7F800000), F32)
    large = make("max", power, 2.0 ** (1 - bias)) * (1.5 * 2.0 ** (23 - mantissa))
    near = make.bitcast((number + large) - large, I32)
    return make.bitcast(make("bitor", near, make("bitand", bits, LEAST)), F32)
