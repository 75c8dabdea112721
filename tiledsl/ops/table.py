"""THE OP TABLE: one row an op. Everything else reads these rows."""

import numpy as np

from tiledsl.ops import expansions as ex
from tiledsl.ops import meanings as me
from tiledsl.ops.registry import Op, Reduction
from tiledsl.types import DType

_ROWS: tuple[Op, ...] = (
    # ---- arithmetic
    Op("add", 2, "arithmetic", "Sum.", np.add, "({0} + {1})", npu="add", infix="+"),
    Op("sub", 2, "arithmetic", "Difference.", np.subtract, "({0} - {1})", npu="sub", infix="-"),
    Op("mul", 2, "arithmetic", "Product.", np.multiply, "({0} * {1})", npu="mul", infix="*"),
    Op("div", 2, "float", "Quotient; not for integers.", np.divide, "({0} / {1})", npu="div", infix="/"),
    Op("floordiv", 2, "arithmetic", "Quotient rounded down.", me.floordiv,
       "floorf({0} / {1})", "tdsl::floordiv({0}, {1})", expand=ex.floordiv, infix="//"),
    Op("mod", 2, "arithmetic", "Remainder of the division that rounds down.", me.mod,
       "tdsl::fmod_floor({0}, {1})", "tdsl::mod({0}, {1})", expand=ex.mod, infix="%"),
    Op("pow", 2, "arithmetic", "Power.", me.power, "powf({0}, {1})", "tdsl::ipow({0}, {1})",
       expand=ex.power, infix="**"),
    Op("neg", 1, "arithmetic", "Negation.", np.negative, "(-{0})", expand=ex.neg),
    Op("abs", 1, "arithmetic", "Absolute value.", np.abs, "fabsf({0})", "tdsl::iabs({0})", npu="abs"),
    Op("sign", 1, "arithmetic", "-1, 0 or 1.", np.sign, "tdsl::sign({0})", "tdsl::isign({0})",
       expand=ex.sign),
    Op("fma", 3, "arithmetic", "a * b + c.", lambda a, b, c: a * b + c, "({0} * {1} + {2})",
       expand=ex.fma),
    # ---- functions of floats
    Op("exp", 1, "float", "e to the power x.", np.exp, "expf({0})", npu="exp"),
    Op("exp2", 1, "float", "2 to the power x.", np.exp2, "exp2f({0})", expand=ex.exp2),
    Op("expm1", 1, "float", "exp(x) - 1, exact near 0.", np.expm1, "expm1f({0})", expand=ex.expm1),
    Op("log", 1, "float", "Natural logarithm.", np.log, "logf({0})", npu="ln"),
    Op("log2", 1, "float", "Logarithm to base 2.", np.log2, "log2f({0})", expand=ex.log2),
    Op("log1p", 1, "float", "log(1 + x), exact near 0.", np.log1p, "log1pf({0})", expand=ex.log1p),
    Op("sqrt", 1, "float", "Square root.", np.sqrt, "sqrtf({0})", npu="sqrt"),
    Op("rsqrt", 1, "float", "1 / sqrt(x).", lambda x: 1 / np.sqrt(x), "(1.0f / sqrtf({0}))",
       expand=ex.rsqrt),
    Op("tanh", 1, "float", "Hyperbolic tangent.", np.tanh, "tanhf({0})", expand=ex.tanh),
    Op("erf", 1, "float", "Error function.", me.erf, "erff({0})", expand=ex.erf),
    Op("sin", 1, "float", "Sine.", np.sin, "sinf({0})", expand=ex.sin),
    Op("cos", 1, "float", "Cosine.", np.cos, "cosf({0})", expand=ex.cos),
    Op("sigmoid", 1, "float", "1 / (1 + exp(-x)).", me.sigmoid, "(1.0f / (1.0f + expf(-{0})))",
       expand=ex.sigmoid),
    # ---- selections: they keep their type
    Op("floor", 1, "select", "Round down.", me.rounding(np.floor), "floorf({0})", "{0}", npu="floor"),
    Op("ceil", 1, "select", "Round up.", me.rounding(np.ceil), "ceilf({0})", "{0}", npu="ceil"),
    Op("round", 1, "select", "Round to nearest, ties to even.", me.rounding(np.rint), "rintf({0})", "{0}", npu="rint"),
    Op("trunc", 1, "select", "Round towards 0.", me.rounding(np.trunc), "truncf({0})", "{0}", npu="trunc"),
    Op("min", 2, "select", "The smaller; passes NaN.", np.minimum, "tdsl::minimum({0}, {1})", npu="min"),
    Op("max", 2, "select", "The larger; passes NaN.", np.maximum, "tdsl::maximum({0}, {1})", npu="max"),
    Op("clamp", 3, "select", "min(max(x, low), high).", me.clamp,
       "tdsl::minimum(tdsl::maximum({0}, {1}), {2})", expand=ex.clamp),
    Op("where", 3, "where", "The second where the first holds, else the third.", np.where,
       "({0} ? {1} : {2})", npu="select"),
    # ---- comparisons
    Op("eq", 2, "compare", "Equal.", np.equal, "({0} == {1})", npu="compare", infix="=="),
    Op("ne", 2, "compare", "Not equal.", np.not_equal, "({0} != {1})", npu="compare", infix="!="),
    Op("lt", 2, "compare", "Less.", np.less, "({0} < {1})", npu="compare", infix="<"),
    Op("le", 2, "compare", "Less or equal.", np.less_equal, "({0} <= {1})", npu="compare", infix="<="),
    Op("gt", 2, "compare", "Greater.", np.greater, "({0} > {1})", npu="compare", infix=">"),
    Op("ge", 2, "compare", "Greater or equal.", np.greater_equal, "({0} >= {1})", npu="compare", infix=">="),
    Op("isnan", 1, "float", "Whether it is NaN.", np.isnan, "({0} != {0})", expand=ex.isnan),
    Op("isinf", 1, "float", "Whether it is infinite.", np.isinf, "(fabsf({0}) == INFINITY)",
       expand=ex.isinf),
    # ---- logic and bits
    Op("and", 2, "logic", "Both.", np.logical_and, "({0} && {1})", npu="and", infix="and"),
    Op("or", 2, "logic", "Either.", np.logical_or, "({0} || {1})", npu="or", infix="or"),
    Op("not", 1, "logic", "Negation.", np.logical_not, "(!{0})", npu="not", infix="not"),
    Op("bitand", 2, "bits", "Bitwise and.", np.bitwise_and, "({0} & {1})", npu="and", infix="&"),
    Op("bitor", 2, "bits", "Bitwise or.", np.bitwise_or, "({0} | {1})", npu="or", infix="|"),
    Op("bitxor", 2, "bits", "Bitwise exclusive or.", np.bitwise_xor, "({0} ^ {1})", infix="^"),
    Op("bitnot", 1, "bits", "Bitwise complement.", np.invert, "(~{0})", npu="not", infix="~"),
    Op("shl", 2, "bits", "Shift left.", me.shift_left, "tdsl::shl({0}, {1})", npu="shl", infix="<<"),
    Op("shr", 2, "bits", "Shift right, with the sign.", me.shift_right, "tdsl::shr({0}, {1})", npu="shr",
       infix=">>"),
    Op("popcount", 1, "bits", "Number of set bits.", me.popcount, "tdsl::popcount({0})",
       expand=ex.popcount),
    # ---- casts: their meanings need the result's type, see `meanings.convert`
    Op("cast", 1, "cast", "Cast, saturating to integers.", np.asarray, "tdsl::cast<{T}>({0})", npu="cast"),
    Op("wrap", 1, "cast", "Cast to an integer, dropping high bits.", np.asarray, "tdsl::wrap<{T}>({0})",
       expand=ex.wrap),
    Op("bitcast", 1, "cast", "The same bits as another type.", np.asarray, "tdsl::bitcast<{T}>({0})",
       npu="bitcast"),
)  # fmt: skip

OPS: dict[str, Op] = {row.name: row for row in _ROWS}


def _same(dtype: DType) -> DType:
    return dtype


def _wide(dtype: DType) -> DType:
    return DType.I32 if dtype is DType.BOOL else dtype.arithmetic


def _bool(dtype: DType) -> DType:
    return DType.BOOL


def _i32(dtype: DType) -> DType:
    return DType.I32


_REDUCTIONS: tuple[Reduction, ...] = (
    Reduction("sum", "add", "Sum; 0 over nothing.", lambda x, axis: np.sum(x, axis, dtype=x.dtype),
              lambda t: 0, _wide, _wide, "cumsum", lambda x, a: np.cumsum(x, a, dtype=x.dtype)),
    Reduction("prod", "mul", "Product; 1 over nothing.", lambda x, axis: np.prod(x, axis, dtype=x.dtype),
              lambda t: 1, _wide, _wide, "cumprod", lambda x, a: np.cumprod(x, a, dtype=x.dtype)),
    Reduction("max", "max", "Maximum; the lowest value over nothing.",
              lambda x, axis: np.max(x, axis),
              me.lowest, _same, _same, "cummax", lambda x, a: np.maximum.accumulate(x, a)),
    Reduction("min", "min", "Minimum; the highest value over nothing.", lambda x, axis: np.min(x, axis),
              me.highest, _same, _same, "cummin", lambda x, a: np.minimum.accumulate(x, a)),
    Reduction("any", "or", "Whether one holds; false over nothing.", lambda x, axis: np.any(x, axis),
              lambda t: 0, _bool, _bool),
    Reduction("all", "and", "Whether all hold; true over nothing.", lambda x, axis: np.all(x, axis),
              lambda t: 1, _bool, _bool),
    Reduction("argmax", "", "Position of the maximum, the lowest among equals.",
              lambda x, axis: np.argmax(x, axis[0]), lambda t: 0, _same, _i32),
    Reduction("argmin", "", "Position of the minimum, the lowest among equals.",
              lambda x, axis: np.argmin(x, axis[0]), lambda t: 0, _same, _i32),
)  # fmt: skip

REDUCTIONS: dict[str, Reduction] = {row.name: row for row in _REDUCTIONS}
SCANS: dict[str, Reduction] = {row.scan: row for row in _REDUCTIONS if row.scan}
