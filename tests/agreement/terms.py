"""What is known of the values of an expression: its interval, its grain, its rounding error."""

import math
from dataclasses import dataclass, replace

F8 = ("f8e4m3", "f8e5m2")
PLAIN = ("f32", "f16", "bf16")
FLOATS = (*PLAIN, *F8)
# Integers whose arithmetic is that of i32.
NARROW = ("i8", "u8", "i16", "u16", "i4", "u4")

# Half a unit in the last place, relative; the number of bits of a mantissa.
EPS = {"f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8, "f8e4m3": 2.0**-4, "f8e5m2": 2.0**-3}
BITS = {"f32": 24, "f16": 11, "bf16": 8, "f8e4m3": 4, "f8e5m2": 3}
# The step between the smallest numbers.
TINY = {"f8e4m3": 2.0**-9, "f8e5m2": 2.0**-16}
LIMITS = {
    "i8": (-128.0, 127.0),
    "u8": (0.0, 255.0),
    "i16": (-(2.0**15), 2.0**15 - 1),
    "u16": (0.0, 65535.0),
    "i4": (-8.0, 7.0),
    "u4": (0.0, 15.0),
    "i32": (-(2.0**31), 2.0**31 - 1),
    "u32": (0.0, 2.0**32 - 1),
}
SMALLEST = {
    "f32": 2.0**-100, "f16": 2.0**-14, "bf16": 2.0**-100, "f8e4m3": 2.0**-6, "f8e5m2": 2.0**-14,
}  # fmt: skip

# What a device's function may be off, relative to its result, and absolutely.
FUNCTION_ERROR = 1e-5
ZERO_ERROR = 1e-30
# The least argument of a logarithm or a root, ideal or rounded.
LEAST = 0.25


@dataclass(frozen=True)
class Term:
    """An expression.

    Its values are in ``lo .. hi`` and multiples of ``step``, with no rounding ever; or ``step`` is
    0, and they are off by at most ``err``. ``spelled``: it has an outer product, so the statement
    lists all ranges. ``places``: it is a sum of positions and numbers.
    """

    text: str
    dtype: str
    axes: frozenset[str]
    lo: float
    hi: float
    step: float
    err: float
    spelled: bool = False
    places: bool = False

    @property
    def most(self) -> float:
        """The largest magnitude."""
        return max(abs(self.lo), abs(self.hi))


def literal(text: str, beside: str, value: float, step: float) -> Term:
    """Return a literal beside something of a type."""
    shown = f"({text})" if value < 0 else text
    return Term(shown, beside, frozenset(), value, value, step, 0.0)


def wide(dtype: str) -> str:
    """Return the type of sums of ``dtype``."""
    return "f32" if dtype in FLOATS else "i32"


def meet(a: str, b: str) -> str:
    """Return the type at which two meet."""
    return a if a == b else wide(a)


def exact_in(term: Term, dtype: str) -> bool:
    """Return whether ``dtype`` holds all values exactly."""
    if not term.step:
        return False
    return term.most / term.step <= 2 ** BITS[dtype] and term.step >= SMALLEST[dtype]


def add(a: Term, b: Term, op: str = "+") -> Term:
    """Return a sum or a difference."""
    low, high = (a.lo + b.lo, a.hi + b.hi) if op == "+" else (a.lo - b.hi, a.hi - b.lo)
    step = min(a.step, b.step)
    return _made(f"({a.text} {op} {b.text})", a, b, low, high, step, a.err + b.err)


def mul(a: Term, b: Term) -> Term:
    """Return a product."""
    corners = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi]
    err = a.most * b.err + b.most * a.err + a.err * b.err
    step = a.step * b.step
    return _made(f"({a.text} * {b.text})", a, b, min(corners), max(corners), step, err)


def sums(a: Term, b: Term, count: int) -> tuple[float, float, float]:
    """Return the most, the grain and the error of sums of so many products of two terms."""
    product = mul(a, b)
    total, step = product.most * count, a.step * b.step
    step = step if step and total / step <= 2**24 else 0.0
    return total, step, product.err * count + (0 if step else total * EPS["f32"] * 8)


def divide(a: Term, b: Term) -> Term:
    """Return a quotient; ``b`` is 1 or more, also where it is rounded."""
    least = max(1.0, b.lo - b.err)
    err = a.err / least + a.most * b.err / (b.lo * least) + FUNCTION_ERROR * a.most / b.lo
    return _made(f"({a.text} / {b.text})", a, b, -a.most / b.lo, a.most / b.lo, 0.0, err)


def choose(name: str, a: Term, b: Term) -> Term:
    """Return the larger, the smaller, or one of two: the type stays."""
    dtype = _kept(a, b)
    low, high = min(a.lo, b.lo), max(a.hi, b.hi)
    err = max(a.err, b.err)
    spelled = a.spelled or b.spelled or (dtype in FLOATS and _outer(a, b))
    step = min(a.step, b.step)
    text = f"{name}({a.text}, {b.text})"
    return Term(text, dtype, a.axes | b.axes, low, high, step, err, spelled)


def _kept(a: Term, b: Term) -> str:
    """Return the type of a selection: the position of a scalar range takes that of a tile."""
    for one, other in ((a, b), (b, a)):
        if one.places and not one.axes and other.axes:
            return other.dtype
    return meet(a.dtype, b.dtype)


# The largest numbers of narrow floats that are drawn.
MOST = {"f8e4m3": 256.0, "f8e5m2": 256.0, "f16": 60000.0}


def cast(a: Term, dtype: str) -> Term:
    """Return a cast: floats round, integers saturate; of f8 and f16 only what cannot overflow."""
    most = MOST.get(dtype, math.inf)
    if a.most > most:
        top = f"{most:.1f}" if a.dtype in FLOATS else f"{most:.0f}"
        ends = max(a.lo, -most), min(a.hi, most)
        a = replace(a, text=f"clamp({a.text}, -{top}, {top})", lo=ends[0], hi=ends[1])
    text = f"{dtype}({a.text})"
    if dtype in FLOATS:
        exact = exact_in(a, dtype)
        err = a.err if exact else a.err + (a.most + a.err) * EPS[dtype] + TINY.get(dtype, 6e-8)
        return replace(a, text=text, dtype=dtype, step=a.step if exact else 0.0, err=err)
    low, high = LIMITS[dtype]
    ends = min(max(a.lo, low), high), min(max(a.hi, low), high)
    return replace(a, text=text, dtype=dtype, lo=ends[0], hi=ends[1])


def function(name: str, a: Term) -> Term:
    """Return a smooth function of ``a``, whose values suit it.

    Its slope is the steepest between ideal and rounded values.
    """
    low, high = a.lo, a.hi
    least, most = max(low - a.err, LEAST), high + min(a.err, 8.0)
    match name:
        case "exp":
            ends, slope = (math.exp(low), math.exp(high)), math.exp(most)
        case "exp2":
            ends, slope = (2**low, 2**high), 2**most
        case "expm1":
            ends, slope = (math.expm1(low), math.expm1(high)), math.exp(most)
        case "log":
            ends, slope = (math.log(low), math.log(high)), 1 / least
        case "log2":
            ends, slope = (math.log2(low), math.log2(high)), 2 / least
        case "log1p":
            ends, slope = (math.log1p(low), math.log1p(high)), 1
        case "sqrt":
            ends, slope = (math.sqrt(low), math.sqrt(high)), 1 / math.sqrt(least)
        case "rsqrt":
            ends, slope = (1 / math.sqrt(high), 1 / math.sqrt(low)), least**-1.5
        case _:
            ends, slope = (-1.0, 1.0), 1
    err = slope * a.err + FUNCTION_ERROR * max(map(abs, ends)) + 1e-7
    if name in ("sin", "cos"):
        err += 1e-6 * a.most
    return Term(f"{name}({a.text})", "f32", a.axes, *ends, 0.0, err, a.spelled)


def _outer(a: Term, b: Term) -> bool:
    return not (a.axes <= b.axes or b.axes <= a.axes)


def _made(text: str, a: Term, b: Term, low: float, high: float, step: float, err: float) -> Term:
    dtype = meet(wide(a.dtype), wide(b.dtype))
    spelled = a.spelled or b.spelled or (dtype in FLOATS and _outer(a, b))
    most = max(abs(low), abs(high))
    if dtype == "f32":
        exact = a.step and b.step and step and most / step <= 2**24
        step = step if exact else 0.0
        err = err if exact else err + most * EPS["f32"] * 2
    return Term(text, dtype, a.axes | b.axes, low, high, step, err, spelled)
