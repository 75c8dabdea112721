"""Scalars in C++: the value that the language gives them, in as few words as C++ allows."""

from collections.abc import Iterator
from typing import assert_never

import numpy as np

from tiledsl import scalar as sc
from tiledsl.backends.ascend.names import Names
from tiledsl.scalar import Scalar, Tensor
from tiledsl.types import DType

# Elements in memory; bool is a byte, and what no unit computes on is moved as bytes.
STORED = {
    DType.BOOL: "uint8_t", DType.I8: "int8_t", DType.I16: "int16_t", DType.I32: "int32_t",
    DType.I64: "int64_t", DType.U8: "uint8_t", DType.U16: "uint16_t", DType.U32: "uint32_t",
    DType.F16: "half", DType.BF16: "bfloat16_t", DType.F32: "float", DType.F64: "double",
    DType.F8E4M3: "uint8_t", DType.F8E5M2: "uint8_t", DType.I4: "uint8_t", DType.U4: "uint8_t",
}  # fmt: skip
# Variables: narrow floats are computed in f32.
HELD = STORED | {
    DType.BOOL: "bool", DType.F16: "float", DType.BF16: "float", DType.F8E4M3: "float",
    DType.F8E5M2: "float", DType.I4: "int32_t", DType.U4: "int32_t",
}  # fmt: skip
# Bits of the mantissa, and bias of the exponent.
_F8 = {DType.F8E4M3: "3, 7", DType.F8E5M2: "2, 15"}

# Functions that only the host's library has; of parameters and dims they are computed there.
HOST_FUNCTIONS = {
    "exp": "std::exp({})", "exp2": "std::exp2({})", "expm1": "std::expm1({})",
    "log": "std::log({})", "log2": "std::log2({})", "log1p": "std::log1p({})",
    "sqrt": "std::sqrt({})", "rsqrt": "1.0f / std::sqrt({})", "tanh": "std::tanh({})",
    "erf": "std::erf({})", "sin": "std::sin({})", "cos": "std::cos({})",
    "sigmoid": "1.0f / (1.0f + std::exp(-({})))", "pow": "std::pow({})",
}  # fmt: skip

_INFIX = {
    "mul": ("*", 80), "div": ("/", 80), "add": ("+", 70), "sub": ("-", 70),
    "lt": ("<", 50), "le": ("<=", 50), "gt": (">", 50), "ge": (">=", 50),
    "eq": ("==", 45), "ne": ("!=", 45), "bitand": ("&", 40), "bitxor": ("^", 39),
    "bitor": ("|", 38), "and": ("&&", 30), "or": ("||", 20),
}  # fmt: skip
_CALLS = {
    "floordiv": "FloorDiv", "mod": "FloorMod", "min": "Min", "max": "Max", "abs": "Abs",
    "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "trunc": "Trunc", "round": "Rint",
    "shl": "Shl", "shr": "Shr", "popcount": "Popcount", "isnan": "IsNan", "isinf": "IsInf",
}  # fmt: skip
_ATOM, _UNARY, _CHOICE = 100, 90, 10

# Text, how tightly it binds, and whether it is of 64 bits.
Word = tuple[str, int, bool]


class Unspeakable(Exception):  # noqa: N818  turned into a diagnostic by the caller
    """The scalar unit has no way to compute this scalar."""


class Scalars:
    """Renders scalars; remembers which names they used."""

    def __init__(
        self, names: Names, natural: frozenset[str], derived: dict[Scalar, str], host: bool = False
    ) -> None:
        self.names = names
        self.natural = natural
        self.derived = derived
        self.host = host
        self.used: set[tuple[str, str]] = set()
        self.read: dict[Tensor, None] = {}

    def text(self, scalar: Scalar) -> str:
        """Return ``scalar`` in its own type, as an argument or the right side of an assignment."""
        return self._word(scalar, wide=False)[0]

    def wide(self, scalar: Scalar) -> str:
        """Return an integer computed in 64 bits: an offset in global memory."""
        return self._word(scalar, wide=True)[0]

    def name(self, kind: str, name: str) -> str:
        """Return the identifier, and note that it is used."""
        self.used.add((kind, name))
        return self.names.of(kind, name)

    def _word(self, scalar: Scalar, wide: bool) -> Word:
        match scalar:
            case sc.Literal(value=value, dtype=dtype):
                text = literal(value, dtype)
                return text, _UNARY if text.startswith("-") else _ATOM, dtype is DType.I64
            case sc.Dim(name=name):
                return self.name("dim", name), _ATOM, False
            case sc.ParamValue(name=name, dtype=dtype):
                return self.name("param", name), _ATOM, dtype is DType.I64
            case sc.Local(name=name, dtype=dtype):
                return self.name("local", name), _ATOM, dtype is DType.I64
            case sc.Element():
                return self._element(scalar)
            case sc.Apply():
                return self._apply(scalar, wide)
            case sc.TileSize() | sc.Position() | sc.Start() | sc.End():
                raise AssertionError(f"not lowered: {sc.show(scalar)}")
            case _:
                assert_never(scalar)

    def _element(self, scalar: sc.Element) -> Word:
        tensor = scalar.tensor
        self.read[tensor] = None
        text = f"tdsl::Get({self.names.of('tensor', tensor.name)}, {self.wide(position(scalar))})"
        if scalar.dtype is DType.BOOL:
            text += " != 0"
        if scalar.dtype in _F8:
            text = f"tdsl::FromF8<{_F8[scalar.dtype]}>({text})"
        checks = [
            self._inside(index, size)
            for index, size, guarded in zip(scalar.index, tensor.shape, scalar.guards, strict=False)
            if guarded
        ]
        narrow = scalar.dtype is not DType.I64
        if not checks or scalar.default is None:
            return text, _ATOM if scalar.dtype is not DType.BOOL else 45, not narrow
        default = self._at(scalar.default, _CHOICE, False)
        return f"{' && '.join(checks)} ? {text} : {default}", _CHOICE, not narrow

    def _inside(self, index: Scalar, size: Scalar) -> str:
        at = self._at(index, 51, False)
        return f"0 <= {at} && {at} < {self._at(size, 51, False)}"

    def _at(self, scalar: Scalar, least: int, wide: bool) -> str:
        """Return ``scalar`` in parentheses if it binds less tightly than ``least``."""
        text, binding, _ = self._word(scalar, wide)
        return text if binding >= least else f"({text})"

    def _apply(self, scalar: sc.Apply, wide: bool) -> Word:
        if scalar in self.derived:
            return self.name("derived", self.derived[scalar]), _ATOM, False
        op, args, dtype = scalar.op, scalar.args, scalar.dtype
        wide = wide and dtype.is_integer  # the operands of a comparison are no offsets
        if op == "where":
            test, then, other = args
            words = [self._word(then, wide), self._word(other, wide)]
            sides = [t if b > _CHOICE else f"({t})" for t, b, _ in words]
            condition = self._at(test, _CHOICE + 1, False)
            return f"{condition} ? {sides[0]} : {sides[1]}", _CHOICE, words[0][2] and words[1][2]
        if op in _INFIX:
            return self._infix(scalar, wide)
        if op in ("floordiv", "mod") and self._plain_division(args):
            sign = "/" if op == "floordiv" else "%"
            words = [self._word(a, wide) for a in args]
            left = words[0][0] if words[0][1] >= 80 else f"({words[0][0]})"
            right = words[1][0] if words[1][1] > 80 else f"({words[1][0]})"
            return f"{left} {sign} {right}", 80, words[0][2] or words[1][2]
        words = [self._word(a, wide) for a in args]
        inner = ", ".join(w[0] for w in words)
        match op:
            case "neg" | "not" | "bitnot":
                sign = {"neg": "-", "not": "!", "bitnot": "~"}[op]
                return f"{sign}{self._at(args[0], _ATOM, wide)}", _UNARY, words[0][2]
            case "cast":
                return self._cast(args[0], dtype, wide)
            case "wrap" | "bitcast" if dtype.bits < 8:
                whole = f"tdsl::Saturate<int64_t>({inner})" if args[0].dtype.is_float else inner
                low = f"(int32_t({whole}) & 15)"
                return f"(({low} ^ 8) - 8)" if dtype.is_signed else low, _ATOM, False
            case "bitcast" if any(HELD[d] != STORED[d] for d in (dtype, args[0].dtype)):
                raise Unspeakable(f"`bitcast` of a number from {args[0].dtype} to {dtype}")
            case "wrap":
                return f"tdsl::Wrap<{HELD[dtype]}>({inner})", _ATOM, dtype is DType.I64
            case "bitcast":
                return f"tdsl::Bitcast<{HELD[dtype]}>({inner})", _ATOM, False
            case "clamp":
                x, low, high = (w[0] for w in words)
                return f"tdsl::Min(tdsl::Max({x}, {low}), {high})", _ATOM, False
            case "fma":
                a, b, c = (self._at(x, 80, False) for x in args)
                return f"{a} * {b} + {c}", 70, False
            case _ if self.host and op in HOST_FUNCTIONS:
                return f"({HOST_FUNCTIONS[op].format(inner)})", _ATOM, False
            case "pow" if dtype.is_integer:
                return f"{HELD[dtype]}(tdsl::Pow({inner}))", _ATOM, False
            case "floor" | "ceil" | "trunc" | "round" if not args[0].dtype.is_float:
                return words[0]
            case _ if op in _CALLS:
                long = any(w[2] for w in words)
                return f"tdsl::{_CALLS[op]}({inner})", _ATOM, long
            case _:
                raise Unspeakable(f"`{op}` of a scalar that the host does not know")

    def _infix(self, scalar: sc.Apply, wide: bool) -> Word:
        sign, binding = _INFIX[scalar.op]
        left, right = scalar.args
        a, b = self._word(left, wide), self._word(right, wide)
        first = a[0] if a[1] >= binding else f"({a[0]})"
        second = b[0] if b[1] > binding else f"({b[0]})"
        long = a[2] or b[2]
        # A sum with a number stays in range; a product, or a sum of two variables, may not.
        if wide and not long and (scalar.op == "mul" or not isinstance(right, sc.Literal)):
            if isinstance(left, sc.Literal):
                second, long = f"int64_t({b[0]})", True
            else:
                first, long = f"int64_t({a[0]})", True
        if scalar.dtype is DType.BOOL:
            long = False
        return f"{first} {sign} {second}", binding, long

    def _cast(self, value: Scalar, dtype: DType, wide: bool) -> Word:
        source = value.dtype
        text, binding, long = self._word(value, wide)
        if source is dtype:
            return text, binding, long
        if dtype is DType.BOOL:
            return f"{self._at(value, 46, False)} != 0", 45, False
        if dtype.is_float and dtype.size < 4:
            return rounded(text, dtype), _ATOM, False
        if dtype.bits < 8:
            low, high = dtype.limits
            whole = f"tdsl::Saturate<int32_t>({text})"
            return f"tdsl::Min(tdsl::Max({whole}, {low}), {high})", _ATOM, False
        if dtype.is_float:
            same = source.is_float and dtype is DType.F32 and source is not DType.F64
            return (text, binding, False) if same else (f"{HELD[dtype]}({text})", _ATOM, False)
        if source is DType.BOOL or (dtype is DType.I64 and source.is_integer):
            return f"{HELD[dtype]}({text})", _ATOM, dtype is DType.I64
        return f"tdsl::Saturate<{HELD[dtype]}>({text})", _ATOM, dtype is DType.I64

    def _plain_division(self, args: tuple[Scalar, ...]) -> bool:
        """Whether `/` and `%` of C++ do: no negative operand and a divisor that is never 0."""
        a, b = args
        known = isinstance(b, sc.Literal) and isinstance(b.value, int) and b.value > 0
        return known and a.dtype.is_integer and is_natural(a, self.natural)


def rounded(text: str, dtype: DType) -> str:
    """Return the words that round a float to a narrower type."""
    if dtype in _F8:
        return f"tdsl::RoundToF8<{_F8[dtype]}>({text})"
    return f"tdsl::RoundTo{'Half' if dtype is DType.F16 else 'Bfloat16'}({text})"


def position(element: sc.Element) -> Scalar:
    """Return the number of an element of a row-major tensor."""
    total: Scalar = sc.ZERO
    for index, size in zip(element.index, element.tensor.shape, strict=True):
        total = sc.add(sc.mul(total, size), index)
    return total


def product(sizes: tuple[Scalar, ...]) -> Scalar:
    """Return the number of elements of a shape."""
    total: Scalar = sc.ONE
    for size in sizes:
        total = sc.mul(total, size)
    return total


def is_natural(scalar: Scalar, natural: frozenset[str]) -> bool:
    """Whether an integer is never negative; ``natural`` are the variables that are not."""
    if not scalar.dtype.is_integer:
        return False
    match scalar:
        case sc.Literal(value=value):
            return value >= 0
        case sc.Dim():
            return True
        case sc.Local(name=name):
            return name in natural
        case sc.Apply(op="add" | "mul" | "floordiv" | "max" | "bitor" | "shr", args=args):
            return all(is_natural(a, natural) for a in args)
        case sc.Apply(op="min", args=args):
            return all(is_natural(a, natural) for a in args)
        case sc.Apply(op="mod", args=(_, by)):
            return isinstance(by, sc.Literal) and by.value > 0
        case sc.Apply(op="where", args=(_, a, b)):
            return is_natural(a, natural) and is_natural(b, natural)
        case _:
            return False


def literal(value: int | float | bool, dtype: DType) -> str:
    """Return a number of the type that ``dtype`` has in a variable."""
    if dtype is DType.BOOL:
        return "true" if value else "false"
    if dtype.is_float:
        return _float(float(value), dtype)
    suffix = {DType.I64: "LL", DType.U32: "u"}.get(dtype, "")
    whole = int(value)
    if whole in (-(2**31), -(2**63)):  # C++ has no negative literals: the digits would not fit
        return f"({whole + 1}{suffix} - 1)"
    if not suffix and abs(whole) >= 2**31:
        suffix = "LL"
    return f"{whole}{suffix}"


def _float(value: float, dtype: DType) -> str:
    if dtype is DType.F64:
        shown, suffix = repr(value), ""
    else:
        with np.errstate(over="ignore"):
            exact = np.asarray(value, np.float64).astype(dtype.numpy).astype(np.float32)
        shown, suffix, value = str(np.float32(exact)), "f", float(exact)
    if value != value:
        return "tdsl::kNan"
    if value in (float("inf"), float("-inf")):
        return "tdsl::kInf" if value > 0 else "-tdsl::kInf"
    return (shown if "." in shown or "e" in shown else f"{shown}.0") + suffix


def host_known(scalar: Scalar) -> bool:
    """Whether the host can compute ``scalar`` before the launch."""
    known = (sc.Literal, sc.Dim, sc.ParamValue, sc.Apply)
    return all(isinstance(part, known) for part in sc.walk(scalar))


def host_parts(scalar: Scalar) -> Iterator[sc.Apply]:
    """Yield the parts, outermost first, that need the host's functions."""
    match scalar:
        case sc.Apply(op=op) if op in HOST_FUNCTIONS and scalar.dtype.is_float:
            yield scalar
        case _:
            for child in sc.children(scalar):
                yield from host_parts(child)
