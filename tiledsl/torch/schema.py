"""The header of a kernel as a schema of PyTorch."""

import math
from collections.abc import Mapping
from itertools import count

from tiledsl.runtime.binding import Header, literal
from tiledsl.runtime.kernel import Kernel
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType


def schema_of(kernel: Kernel) -> str:
    """Return ``(Tensor x, float scale=1.0) -> Tensor``; tensors that are updated have a name.

    A kernel without tensors among its parameters has ``Device device`` behind those that must be
    given: PyTorch chooses by it where to run.
    """
    header = kernel.header
    letters = (chr(ord("a") + number) for number in count())
    words: list[str] = []
    for number, param in enumerate(header.params):
        later = header.params[number + 1 :]
        optional = param.default is not None and all(p.default is not None for p in later)
        alias = f"({next(letters)}!)" if param.kind == "inout" else ""
        kind, default = _kind(param, kernel.generics, alias)
        if param.default is not None and default is None:
            kind, default = f"{kind}?", "None"
        words.append(f"{kind} {param.name.id}" + (f"={default}" if optional else ""))
    if (place := device_place(header)) is not None:
        words.insert(place, "Device device")
    return f"({', '.join(words)}) -> {_outputs(header)}"


def device_place(header: Header) -> int | None:
    """Return where ``device`` stands among the arguments, if no tensor tells the device."""
    if any(param.type.dims is not None for param in header.params):
        return None
    return max((n + 1 for n, p in enumerate(header.params) if p.default is None), default=0)


def _kind(
    param: tree.Param, generics: Mapping[str, tuple[str, ...]], alias: str
) -> tuple[str, str | None]:
    """Return the type of a parameter, and its default if PyTorch can spell it."""
    if param.type.dims is not None:
        return f"Tensor{alias}", None
    name = param.type.name.id
    choices = [DTYPES[choice] for choice in generics.get(name, (name,))]
    default = None
    if param.default is not None and not _is_none(param.default):
        number = literal(param.default)
        default = repr(number) if math.isfinite(number) else None
    if all(dtype.is_float for dtype in choices):
        return "float", default
    if all(dtype.is_integer for dtype in choices):
        return "int" if param.kind == "const" else "SymInt", default
    return ("bool" if choices == [DType.BOOL] else "Scalar"), default


def _is_none(expr: tree.Expr) -> bool:
    return isinstance(expr, tree.Name) and expr.id == "none"


def _outputs(header: Header) -> str:
    count = len(header.outputs)
    return "Tensor" if count == 1 else f"({', '.join(['Tensor'] * count)})"
