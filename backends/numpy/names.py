"""Names of a program as Python identifiers, and scalars as Python expressions."""

import keyword
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tiledsl.scalar import (
    Apply,
    Dim,
    Element,
    End,
    Literal,
    Local,
    ParamValue,
    Position,
    Scalar,
    Start,
    Tensor,
    TileSize,
)  # fmt: skip
from tiledsl.types import DType

VOCABULARY = frozenset(
    {
        "apply", "bits_of", "both", "cast", "chosen", "col", "either", "full", "greatest", "inf",
        "least", "nan", "negated", "one", "quotient", "remainder", "rounded", "row",
    }
    | {dtype.name for dtype in DType}
)  # fmt: skip
_TAKEN = VOCABULARY | {"core", "divmod", "range", "True", "False"} | set(keyword.kwlist)

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "bitand": "&", "bitor": "|", "bitxor": "^",
}  # fmt: skip
_CALLS = {
    "floordiv": "quotient", "mod": "remainder", "min": "least", "max": "greatest", "and": "both",
    "or": "either", "not": "negated", "where": "chosen",
}  # fmt: skip


@dataclass
class Names:
    """The identifier of each thing of a core program, and what of the vocabulary is used."""

    given: dict[tuple[str, str], str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def of(self, kind: str, name: str) -> str:
        """Return the identifier of the ``kind`` of thing called ``name``: always the same."""
        key = kind, name
        if key not in self.given:
            self.given[key] = self._fresh(kind, name)
        return self.given[key]

    def _fresh(self, kind: str, name: str) -> str:
        clean = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
        base = clean.strip("_") or kind
        base = f"{kind}_{base}" if base[0].isdigit() else base
        base = f"{base}_gm" if kind == "global" else base
        taken = _TAKEN | set(self.given.values())
        number, candidate = 1, base
        while candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        return candidate

    def use(self, word: str) -> str:
        """Return a word of the vocabulary, noting that it must be imported."""
        self.used.add(word)
        return word

    def global_of(self, tensor: Tensor) -> str:
        """Return the identifier of a tensor in global memory."""
        return self.of("global", tensor.name)

    def expression(self, scalar: Scalar) -> str:
        """Return ``scalar`` as a Python expression on numbers, or vectors over programs."""
        match scalar:
            case Literal(value=bool() as value):
                return str(value)
            case Literal(value=float() as value) if math.isinf(value):
                return f"{'-' if value < 0 else ''}{self.use('inf')}"
            case Literal(value=float() as value) if math.isnan(value):
                return self.use("nan")
            case Literal(value=value):
                return repr(value)
            case Local(name=name):
                return self.of("local", name)
            case Dim(name=name):
                return self.of("dim", name)
            case ParamValue(name=name):
                return self.of("param", name)
            case Element(tensor=tensor, index=index, default=default):
                inside = default is None or not any(scalar.guards)
                what = "None" if inside or default is None else self.expression(default)
                words = [self.global_of(tensor), self.tuple_of(index), self.tuple_of(tensor.shape)]
                if scalar.dtype is not tensor.dtype and tensor.dtype is not DType.BOOL:
                    return f"core.element({', '.join((*words, what, self.use(scalar.dtype.name)))})"
                return f"core.element({', '.join((*words, what))})"
            case Apply():
                return self._apply(scalar)
            case TileSize() | Position() | Start() | End():
                raise AssertionError(f"{scalar} in a lowered program")

    def tuple_of(self, scalars: Sequence[Scalar]) -> str:
        """Return scalars as a Python tuple."""
        inner = ", ".join(self.expression(s) for s in scalars)
        return f"({inner},)" if len(scalars) == 1 else f"({inner})"

    def _apply(self, scalar: Apply) -> str:
        op, dtype = scalar.op, scalar.dtype
        args = [self.expression(a) for a in scalar.args]
        if op == "cast":
            return f"{self.use('cast')}({args[0]}, {self.use(dtype.name)})"
        if op in ("popcount", "bitcast"):
            args = [f"{self.use('bits_of')}({args[0]}, {self.use(scalar.args[0].dtype.name)})"]
        divides = isinstance(scalar.args[-1], Literal) and scalar.args[-1].value > 0
        if op in ("floordiv", "mod") and divides and dtype.is_integer:
            return f"({args[0]} {'//' if op == 'floordiv' else '%'} {args[1]})"
        if op in _INFIX:
            text = f"({f' {_INFIX[op]} '.join(args)})"
        elif op == "neg":
            text = f"(-{args[0]})"
        elif op in _CALLS and (dtype.is_integer or op not in ("floordiv", "mod")):
            text = f"{self.use(_CALLS[op])}({', '.join(args)})"
        else:
            return f"{self.use('apply')}({op!r}, {self.use(dtype.name)}, {', '.join(args)})"
        if dtype.is_float:
            return f"{self.use('rounded')}({text}, {self.use(dtype.name)})"
        if dtype is DType.U32 and op in ("add", "sub", "mul", "neg"):
            return f"({text} & 0xFFFFFFFF)"
        return text
