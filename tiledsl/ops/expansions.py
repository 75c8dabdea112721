"""How the vector unit of the NPU gets ops that it has no instruction for: out of ops that it has.

Everything is f32 unless an op is for integers. Sources: range reduction and the rational forms are
the textbook ones (Cody and Waite 1980; Abramowitz and Stegun 1964); coefficients of ``erf`` are the
minimax ratio of an odd polynomial of degree 13 and an even one of degree 8 on [-4, 4] known from
Eigen's documentation of its approximation.
"""

from tiledsl.ops.registry import Maker, Term
from tiledsl.types import DType

LN2, LOG2E = 0.6931471805599453, 1.4426950408889634
# The first 15 bits of ln 2, times which a whole number up to 200 is exact, and the rest.
LN2_HIGH = 0.693145751953125
LN2_LOW = LN2 - LN2_HIGH


def sigmoid(make: Maker, x: Term) -> Term:
    """``1 / (1 + exp(-x))``."""
    return 1.0 / (make("exp", -x) + 1.0)


def tanh(make: Maker, x: Term) -> Term:
    """``1 - 2 / (exp(2x) + 1)``; near 0, where that cancels, an odd polynomial."""
    big = 1.0 - 2.0 / (make("exp", make("min", x * 2.0, 60.0)) + 1.0)
    s = x * x
    poly = ((s * -0.0218694885 + 0.0539682540) * s - 0.1333333333) * s + 0.3333333333
    small = x * (1.0 - s * poly)
    return make("where", make("abs", x) < 0.3, small, big)


def erf(make: Maker, x: Term) -> Term:
    """Ratio of polynomials on [-4, 4], ±1 beyond."""
    t = make("max", make("min", x, 4.0), -4.0)
    s = t * t
    top = s * -2.72614225801306e-10 + 2.77068142495902e-08
    for c in (-2.10102402082508e-06, -5.69250639462346e-05, -7.34990630326855e-04,
              -2.95459980854025e-03, -1.60960333262415e-02):  # fmt: skip
        top = top * s + c
    low = s * -1.45660718464996e-05 - 2.13374055278905e-04
    for c in (-1.68282697438203e-03, -7.37332916720468e-03, -1.42647390514189e-02):
        low = low * s + c
    return t * top / low


def exp2(make: Maker, x: Term) -> Term:
    """``exp`` of the whole part times ``ln 2``, which is exact in f32, times that of what is left.

    Beyond ±200 there is nothing but 0 and infinity, and no fraction of it.
    """
    x = make("max", make("min", x, 200.0), -200.0)
    k = make("round", x)
    return make("exp", k * LN2_HIGH) * make("exp", k * LN2_LOW + (x - k) * LN2)


def expm1(make: Maker, x: Term) -> Term:
    """``exp(x) - 1``; near 0 a polynomial."""
    poly = x * (1.0 / 5040.0) + 1.0 / 720.0
    for c in (1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0):
        poly = poly * x + c
    return make("where", make("abs", x) < 0.5, poly * x, make("exp", x) - 1.0)


def log2(make: Maker, x: Term) -> Term:
    """``log(x) / ln 2``."""
    return make("log", x) * LOG2E


def log1p(make: Maker, x: Term) -> Term:
    """``log(u) x / (u - 1)`` with ``u = 1 + x`` (Kahan's form); ``x`` where ``u`` is 1."""
    u = x + 1.0
    d = u - 1.0
    exact = make("eq", d, 0.0)
    safe = make("where", exact, 1.0, d)
    far = make("gt", make("abs", x), 1e15)
    form = make("log", u) * make("where", far, 1.0, x / safe)
    return make("where", exact, x, form)


def rsqrt(make: Maker, x: Term) -> Term:
    """``1 / sqrt(x)``: the instruction ``Rsqrt`` is an estimate."""
    return 1.0 / make("sqrt", x)


def sign(make: Maker, x: Term) -> Term:
    """-1, 0 or 1; NaN passes."""
    if make.whole(x):
        return make.cast(x > 0, DType.I32) - make.cast(x < 0, DType.I32)
    one = make("where", x > 0.0, 1.0, make("where", x < 0.0, -1.0, 0.0))
    return make("where", make("ne", x, x), x, one)


def clamp(make: Maker, x: Term, low: Term, high: Term) -> Term:
    """``min(max(x, low), high)``."""
    return make("min", make("max", x, low), high)


def fma(make: Maker, a: Term, b: Term, c: Term) -> Term:
    """Return ``a * b + c``, rounded twice."""
    return a * b + c


def isnan(make: Maker, x: Term) -> Term:
    """``x != x``."""
    return make("ne", x, x)


def isinf(make: Maker, x: Term) -> Term:
    """``abs(x) == inf``."""
    return make("eq", make("abs", x), float("inf"))


def neg(make: Maker, x: Term) -> Term:
    """``x * -1``: keeps the sign of zero and of infinities right."""
    return x * -1.0


def _sine(make: Maker, r: Term) -> Term:
    """Return the sine on [-pi/2, pi/2], within which what was left of huge numbers is forced.

    The polynomial is the least relative error's, found by weighted least squares: 7e-9.
    """
    r = make("max", make("min", r, 1.5708), -1.5708)
    s = r * r
    poly = s * 2.60277625e-06 - 1.98083055e-04
    for c in (8.33304952e-03, -1.66666589e-01):
        poly = poly * s + c
    return r + r * s * poly


def sin(make: Maker, x: Term) -> Term:
    """Subtract the nearest multiple of pi in four parts, then an odd polynomial."""
    k = make("round", x * 0.3183098861837907)
    r = x
    for part in (3.140625, 9.670257568359375e-04, 6.27711415290832e-07, 1.2154201256553e-10):
        r = r - k * part
    half = k * 0.5
    odd = make("ne", half, make("floor", half))
    value = _sine(make, r)
    return make("where", odd, -value, value)


def cos(make: Maker, x: Term) -> Term:
    """``sin`` a quarter turn on: subtract the nearest odd multiple of pi / 2."""
    k = make("floor", x * 0.3183098861837907)
    h = k + 0.5
    r = x
    for part in (3.140625, 9.670257568359375e-04, 6.27711415290832e-07, 1.2154201256553e-10):
        r = r - h * part
    half = k * 0.5
    odd = make("ne", half, make("floor", half))
    value = _sine(make, r)
    return make("where", odd, value, -value)


def power(make: Maker, a: Term, b: Term) -> Term:
    """``exp(b log |a|)`` with the sign of an odd whole ``b``; NaN for a fraction of a negative.

    A base of ±1 has the power ±1 also where the exponent is infinite or NaN. -0 and -inf have no
    sign under a fraction, and are no error; 1 / -0 is what tells -0 from 0.
    """
    distance = make("abs", a)
    size = make("where", make("eq", distance, 1.0), 1.0, make("exp", b * make("log", distance)))
    whole = make("eq", b, make("floor", b))
    half = b * 0.5
    odd = make("ne", half, make("floor", half))
    edge = make("or", make("eq", a, 0.0), make("eq", distance, float("inf")))
    fraction = make("where", edge, size, float("nan"))
    negative = make("where", whole, make("where", odd, -size, size), fraction)
    signed = make("where", make("or", a < 0.0, 1.0 / a < 0.0), negative, size)
    return make("where", make("eq", b, 0.0), 1.0, signed)


def floordiv(make: Maker, a: Term, b: Term) -> Term:
    """``floor(a / b)`` of floats; of integers by two estimates in f32, then one up or down.

    The first is off by at most ``q / 2**22``, what it leaves divided again by 1. By 0 it is 0. What
    is left is compared with ``-|b|``, which there is of every ``b``.
    """
    if not make.whole(a, b):
        return make("floor", a / b)
    divisor = make.cast(b, DType.F32)
    q = make.cast(make("floor", make.cast(a, DType.F32) / divisor), DType.I32)
    rest = a - q * b
    q = q + make.cast(make("floor", make.cast(rest, DType.F32) / divisor), DType.I32)
    rest = a - q * b
    sign = make.cast(b < 0, DType.I32) * 2 - 1
    rest, size = rest * sign, b * sign
    q = q - make.cast(rest > 0, DType.I32) + make.cast(rest <= size, DType.I32)
    return q * make.cast(make("ne", b, 0), DType.I32)


def mod(make: Maker, a: Term, b: Term) -> Term:
    """Return ``a - b * floor(a / b)``."""
    return a - b * make("floordiv", a, b)


def popcount(make: Maker, x: Term) -> Term:
    """Add up neighbouring bits, then pairs and fours; a product sums the four bytes."""
    pairs = x - make("bitand", make("shr", x, 1), 0x55555555)
    upper = make("bitand", make("shr", pairs, 2), 0x33333333)
    fours = make("bitand", pairs, 0x33333333) + upper
    bytes_ = make("bitand", fours + make("shr", fours, 4), 0x0F0F0F0F)
    return make.cast(make("shr", bytes_ * 0x01010101, 24), DType.I32)


def wrap(make: Maker, x: Term, dtype: DType) -> Term:
    """Cut off high bits by shifts, or by a mask; a float is first taken modulo ``2**32``.

    Every step of that is exact. From ``2**63`` on a float is ``2**63 - 1``, whose low bits are 1.
    """
    if not make.whole(x):
        wide = make.cast(x, DType.F32)
        if dtype.bits > 32:
            return make.cast(wide, dtype)
        whole = make("trunc", wide)
        rest = whole - make("trunc", whole * 2.0**-32) * 2.0**32
        rest = make("where", rest >= 2.0**31, rest - 2.0**32, rest)
        rest = make("where", rest < -(2.0**31), rest + 2.0**32, rest)
        x = make("where", wide >= 2.0**63, -1.0, rest)
    if dtype.bits > 32:
        return make.cast(x, dtype)
    x = make.cast(x, DType.I32)
    if dtype is DType.U32:
        return make.bitcast(x, dtype)
    if dtype.is_signed:
        gone = 32 - dtype.bits
        x = make("shr", make("shl", x, gone), gone) if gone else x
    else:
        x = make("bitand", x, (1 << dtype.bits) - 1)
    return make.cast(x, dtype)
