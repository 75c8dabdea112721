"""From the arguments of a call to the one kernel that they ask for: types, constants, absences."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from tiledsl.ir import Binding
from tiledsl.ops import convert
from tiledsl.runtime.arrays import as_array, describe, element_type
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.evaluate import Number
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType

Header = tree.Kernel | tree.Op


@runtime_checkable
class _Single(Protocol):
    """An array, or a scalar that behaves as one without axes."""

    shape: tuple[int, ...]

    def item(self) -> object:
        """Return its only element as a number of Python."""


def arguments(
    header: Header, given: Sequence[object], named: Mapping[str, object]
) -> dict[str, object]:
    """Return the arguments by name, in the order of the header; the optional ones may lack."""
    names = [p.name.id for p in header.params]
    if len(given) > len(names):
        raise ArgumentError(
            f"{header.name.id}: takes {len(names)} arguments ({', '.join(names)}), got {len(given)}"
        )
    found = dict(zip(names, given, strict=False))
    for name, value in named.items():
        if name not in names:
            raise ArgumentError(
                f"{header.name.id}: has no parameter `{name}`{did_you_mean(name, names)}; "
                f"its parameters are {', '.join(names) or 'none'}"
            )
        if name in found:
            raise ArgumentError(f"{header.name.id}: `{name}` is given twice, by place and by name")
        found[name] = value
    for param in header.params:
        name = param.name.id
        if found.get(name) is None:
            if param.default is None:
                kind = "const " if param.kind == "const" else ""
                raise ArgumentError(f"{name}: expected {kind}{written(param)}, got nothing")
            found.pop(name, None)
    return {name: found[name] for name in names if name in found}


def specialise(
    header: Header, given: Mapping[str, object], types: Mapping[str, str | DType]
) -> Binding:
    """Return the binding that the arguments, and the ``types`` they do not show, ask for."""
    tensors = {
        p.name.id: p for p in header.params if p.type.dims is not None and p.name.id in given
    }
    solved = _solve_types(header, tensors, given, types)
    consts = tuple(
        (p.name.id, _constant(p, given.get(p.name.id))) for p in header.params if p.kind == "const"
    )
    absent = frozenset(
        p.name.id
        for p in header.params
        if p.name.id not in given and isinstance(p.default, tree.Name) and p.default.id == "none"
    )
    return Binding(tuple(solved.items()), consts, absent)


def first_binding(
    header: Header,
    types: Mapping[str, str | DType],
    constants: Mapping[str, Number],
    pinned: Mapping[str, int],
) -> Binding:
    """Return the binding of a build without arguments: the first type of each generic, if unset.

    Optional parameters are taken as given.
    """
    solved = _solve_types(header, {}, {}, types, first=True)
    consts = tuple(
        (p.name.id, _constant(p, constants.get(p.name.id)))
        for p in header.params
        if p.kind == "const"
    )
    return Binding(tuple(solved.items()), consts, frozenset(), tuple(sorted(pinned.items())))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean `x`?`` where one of ``names`` is near, else nothing."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def written(param: tree.Param) -> str:
    """Return the type of ``param`` as its author wrote it: ``T[M, N]``."""
    return " ".join(param.type.span.text.split())


def _solve_types(
    header: Header,
    tensors: Mapping[str, tree.Param],
    given: Mapping[str, object],
    types: Mapping[str, str | DType],
    *,
    first: bool = False,
) -> dict[str, DType]:
    generics = {g.name.id: tuple(DTYPES[c.id] for c in g.choices) for g in header.generics}
    solved: dict[str, tuple[DType, str]] = {}
    for name, wanted in types.items():
        if name not in generics:
            listed = f"its generics are {', '.join(generics)}" if generics else "it has no generics"
            raise ArgumentError(
                f"{header.name.id}: types: no generic `{name}`"
                f"{did_you_mean(name, generics)}; {listed}"
            )
        if str(wanted) not in DTYPES:
            raise ArgumentError(f"{header.name.id}: types: {name}: `{wanted}` is no element type")
        solved[name] = (DTYPES[str(wanted)], f"types={{'{name}': '{wanted}'}}")
    for name, param in tensors.items():
        generic = param.type.name.id
        if generic not in generics or param.type.argument is not None:
            continue
        array = as_array(name, given[name], written(param))
        came = element_type(array)
        if came is None or came not in generics[generic]:
            choices = ", ".join(map(str, generics[generic]))
            raise ArgumentError(
                f"{name}: expected {written(param)} with {generic} one of {choices}, "
                f"got {describe(array)}"
            )
        if generic in solved and solved[generic][0] is not came:
            before, where = solved[generic]
            raise ArgumentError(
                f"{name}: expected {written(param)} with {generic} = {before} (from {where}), "
                f"got {describe(array)}"
            )
        solved.setdefault(generic, (came, name))
    for name, allowed in generics.items():
        if name in solved and solved[name][0] not in allowed:
            listed = ", ".join(map(str, allowed))
            raise ArgumentError(
                f"{header.name.id}: types: {name} is one of {listed}, got {solved[name][0]}"
            )
        if name not in solved:
            if not first and len(allowed) > 1:
                raise ArgumentError(
                    f"{header.name.id}: no argument shows the element type {name}: "
                    f"give types={{'{name}': '{allowed[0]}'}}"
                )
            solved[name] = (allowed[0], "the first choice")
    return {name: solved[name][0] for name in generics}


def _constant(param: tree.Param, value: object) -> Number:
    name = param.name.id
    if value is None:
        if param.default is None:
            raise ArgumentError(f"{name}: expected const {written(param)}, got nothing")
        return literal(param.default)
    return scalar_value(name, DTYPES[param.type.name.id], value)


def literal(expr: tree.Expr) -> Number:
    """Return the number that ``expr`` spells."""
    match expr:
        case tree.Number(value=value):
            return value
        case tree.Name(id="true" | "false" as word):
            return word == "true"
        case tree.Name(id="inf" | "nan" as word):
            return float(word)
        case tree.Unary(op="-", operand=operand):
            return -literal(operand)
        case tree.Unary(op="+", operand=operand):
            return literal(operand)
        case _:
            raise ArgumentError(f"`{expr.span.text}` is no number")


def scalar_value(name: str, dtype: DType, value: object) -> Number:
    """Return ``value`` as a Python number that ``dtype`` holds; floats are rounded."""
    if isinstance(value, _Single) and tuple(value.shape) == ():
        value = value.item()  # of NumPy, PyTorch, JAX, …
    number = value if isinstance(value, bool | int | float) else None
    if number is None and hasattr(value, "__float__") and not hasattr(value, "__len__"):
        number = float(value)  # a bf16 scalar of ml_dtypes
    kind = type(value).__name__
    if dtype is DType.BOOL and isinstance(number, bool):
        return number
    if dtype.is_float and number is not None and not isinstance(number, bool):
        with np.errstate(over="ignore"):
            return float(convert(np.asarray([number], np.float64), dtype)[0])
    if dtype.is_integer and isinstance(number, int) and not isinstance(number, bool):
        low, high = dtype.limits
        if low <= number <= high:
            return number
        raise ArgumentError(f"{name}: expected {dtype} ({low} .. {high}), got {number}")
    shown = f"{kind} {value!r}" if number is not None else kind
    raise ArgumentError(f"{name}: expected one {dtype}, got {shown}")
