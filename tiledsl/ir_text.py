"""The tile IR as text: readable, and the same for equal kernels."""

from collections.abc import Iterator
from typing import assert_never

from tiledsl import scalar
from tiledsl.ir import (
    Assert,
    Assign,
    Compute,
    Contract,
    Declare,
    For,
    If,
    Index,
    Kernel,
    Load,
    Operand,
    OpGraph,
    Positions,
    Print,
    Random,
    Read,
    Reduce,
    Rename,
    ScalarParam,
    Scan,
    Sort,
    Statement,
    Step,
    Stmt,
    Store,
    Value,
    Var,
    results,
    statements,
)
from tiledsl.scalar import Axis, Scalar, Tensor


def show(program: Kernel | OpGraph) -> str:
    """Return a kernel, or an op and the kernels of its steps, as text."""
    match program:
        case Kernel():
            return "\n".join(_kernel(program)) + "\n"
        case OpGraph():
            return "\n".join(_graph(program)) + "\n"


class _Names:
    """Names for values and variables: their own, with a number after it where two would clash."""

    def __init__(self) -> None:
        self.names: dict[Value | Var, str] = {}
        self.taken: dict[str, int] = {}

    def of(self, thing: Value | Var) -> str:
        name = self.names.get(thing)
        if name is None:
            own = thing.name
            count = self.taken.get(own, 0)
            self.taken[own] = count + 1
            name = own if not count else f"{own}'{count}"
            self.names[thing] = name
        return name


def _kernel(kernel: Kernel) -> Iterator[str]:
    yield f"kernel {kernel.name}{_binding(kernel)}:"
    yield from _header(kernel)
    for table in kernel.tables:
        yield f"  table {table.name}: {_tensor_type(table)}"
    if kernel.grid:
        yield f"  grid {', '.join(_domain(a) for a in kernel.grid)}"
    for axis in _spans(kernel):
        yield f"  span {_domain(axis)}"
    yield from _body(kernel.body, _Names(), "  ")


def _spans(kernel: Kernel) -> dict[Axis, None]:
    """Return the spans that the kernel's values have, in order of appearance."""
    types = (v.type for s in statements(kernel.body) for v in results(s))
    return {axis: None for type_ in types for axis in type_.axes if axis.kind == "span"}


def _graph(graph: OpGraph) -> Iterator[str]:
    yield f"op {graph.name}{_binding(graph)}:"
    yield from _header(graph)
    for temp in graph.temps:
        yield f"  temp {temp.name}: {_tensor_type(temp)}{_initial(temp)}"
    shown: dict[int, Kernel] = {}
    for step in graph.steps:
        yield f"  {_step(step)}"
        shown[id(step.kernel)] = step.kernel
    for kernel in shown.values():
        yield ""
        yield from _kernel(kernel)


def _step(step: Step) -> str:
    args = [a.name if isinstance(a, Tensor) else scalar.show(a) for a in step.args]
    results = ", ".join(t.name for t in step.outputs)
    return f"{step.kernel.name}{_binding(step.kernel)}({', '.join(args)}) -> ({results})"


def _binding(program: Kernel | OpGraph) -> str:
    binding = program.binding
    parts = [f"{name}={dtype}" for name, dtype in binding.types]
    parts += [f"{name}={_number(value)}" for name, value in binding.consts]
    parts += [f"{name}={size}" for name, size in binding.pinned]
    parts += [f"no {name}" for name in sorted(binding.absent)]
    return f"[{', '.join(parts)}]" if parts else ""


def _header(program: Kernel | OpGraph) -> Iterator[str]:
    for param in program.params:
        match param:
            case Tensor(role=role):
                yield f"  {role} {param.name}: {_tensor_type(param)}"
            case ScalarParam(name=name, dtype=dtype, default=default):
                tail = "" if default is None else f" = {_number(default)}"
                yield f"  in {name}: {dtype}{tail}"
    for output in program.outputs:
        yield f"  out {output.name}: {_tensor_type(output)}{_initial(output)}"
    for fact in program.facts:
        yield f"  where {_bare(scalar.show(fact.condition))}"


def _tensor_type(tensor: Tensor) -> str:
    stars = tensor.star or (False,) * len(tensor.shape)
    sizes = zip(tensor.shape, stars, strict=True)
    dims = (("*" if star else "") + _bare(scalar.show(size)) for size, star in sizes)
    return f"{tensor.dtype}[{', '.join(dims)}]"


def _initial(tensor: Tensor) -> str:
    return "" if tensor.initial is None else f" = {scalar.show(tensor.initial)}"


def _domain(axis: Axis) -> str:
    """Return ``m in M by BM``, ``k in lo .. hi by 16``."""
    lo, hi = _bare(scalar.show(axis.lo)), _bare(scalar.show(axis.hi))
    domain = hi if axis.lo == scalar.ZERO else f"{lo} .. {hi}"
    if axis.source is not None:
        domain = axis.source.name
    tile = "" if axis.tile is None else f" by {scalar.show(axis.tile)}"
    limit = "" if axis.limit is None else f" at most {axis.limit}"
    return f"{axis.name} in {domain}{tile}{limit}"


def _body(body: tuple[Stmt, ...], names: _Names, indent: str) -> Iterator[str]:
    for statement in body:
        match statement:
            case For(axis=axis, body=inner):
                yield f"{indent}for {_domain(axis)}:"
                yield from _body(inner, names, indent + "  ")
            case If(condition=condition, then=then, orelse=orelse):
                yield f"{indent}if {_operand(condition, names)}:"
                yield from _body(then, names, indent + "  ")
                if orelse:
                    yield f"{indent}else:"
                    yield from _body(orelse, names, indent + "  ")
            case _:
                yield indent + _line(statement, names)


def _line(statement: Statement, names: _Names) -> str:
    """Return a statement that holds no others."""
    simple = _simple(statement, names)
    if simple is not None:
        result, text = simple
        return f"{_typed(result, names)} = {text}"
    match statement:
        case Sort(values=values, positions=positions, operand=operand, axis=axis, into=into):
            tail = "" if into is None else f" into {into.name}"
            word = "sort" if into is None else "topk"
            results = f"{_typed(values, names)}, {_typed(positions, names)}"
            return f"{results} = {word}({_operand(operand, names)} over {axis.name}{tail})"
        case Store():
            return _store(statement, names)
        case Declare(var=var, value=value):
            return f"var {names.of(var)}: {var.type} = {_operand(value, names)}"
        case Assign(var=var, value=value):
            return f"{names.of(var)} = {_operand(value, names)}"
        case Print(text=text, operands=operands):
            return f"print({', '.join([repr(text), *(_operand(o, names) for o in operands)])})"
        case Assert(condition=condition, text=text):
            return f"assert {_operand(condition, names)}, {text!r}"
        case _:
            raise AssertionError(statement)


def _simple(statement: Statement, names: _Names) -> tuple[Value, str] | None:
    """Return the result and the right side of a statement with one result."""
    match statement:
        case Compute(result=result, op=op, operands=operands):
            parts = [_operand(o, names) for o in operands]
            if op.name == "cast":
                return result, f"{result.type.dtype}({parts[0]})"
            if op.name in ("wrap", "bitcast"):
                return result, f"{op.name}({result.type.dtype}, {parts[0]})"
            if op.infix and len(parts) == 2:
                return result, f"{parts[0]} {op.infix} {parts[1]}"
            return result, f"{op.name}({', '.join(parts)})"
        case Positions(result=result, axis=axis):
            return result, f"positions({axis.name})"
        case Rename(result=result, operand=operand, old=old, new=new):
            return result, f"rename({_operand(operand, names)}, {old.name} -> {new.name})"
        case Reduce(result=result, reduction=row, operand=operand, axes=axes):
            over = ", ".join(a.name for a in axes)
            return result, f"{row.name}({_operand(operand, names)} over {over})"
        case Scan(result=result, reduction=row, operand=operand, axis=axis):
            return result, f"{row.scan}({_operand(operand, names)} over {axis.name})"
        case Contract(result=result, a=a, b=b, axes=axes):
            over = ", ".join(axis.name for axis in axes)
            return result, f"dot({_operand(a, names)}, {_operand(b, names)} over {over})"
        case Random(result=result, function=function, seed=seed, offset=offset):
            return result, f"{function}({_operand(seed, names)}, {_operand(offset, names)})"
        case Load(result=result, tensor=tensor, index=index, default=default, guards=guards):
            tail = "" if default is None else f" else {_operand(default, names)}"
            return result, f"{tensor.name}[{_indices(index, guards, names)}{tail}]"
        case Read(result=result, var=var):
            return result, names.of(var)
        case _:
            return None


def _store(store: Store, names: _Names) -> str:
    tail = " else skip" if store.skip else ""
    target = f"{store.tensor.name}[{_indices(store.index, store.guards, names)}{tail}]"
    value = _operand(store.value, names)
    match store.mode:
        case "store":
            return f"{target} = {value}"
        case "disjoint":
            return f"disjoint {target} = {value}"
        case "atomic":
            return f"atomic {target} {'+' if store.atomic == 'add' else store.atomic}= {value}"
        case mode:
            assert_never(mode)


def _indices(index: tuple[Index, ...], guards: tuple[bool, ...], names: _Names) -> str:
    """Return the positions; a guarded one carries a question mark."""
    marks = guards or (False,) * len(index)
    pairs = zip(index, marks, strict=True)
    return ", ".join(_index(i, names) + ("?" if guard else "") for i, guard in pairs)


def _index(index: Index, names: _Names) -> str:
    parts = [
        axis.name if mult == scalar.ONE else f"{axis.name} * {scalar.show(mult)}"
        for axis, mult in index.terms
    ]
    if index.gather is not None:
        parts.append(_operand(index.gather, names))
    if index.offset != scalar.ZERO or not parts:
        offset = scalar.show(index.offset)
        parts.append(offset if parts else _bare(offset))
    return " + ".join(parts).replace("+ -", "- ")


def _typed(value: Value, names: _Names) -> str:
    return f"%{names.of(value)}: {value.type}"


def _operand(operand: Operand, names: _Names) -> str:
    return f"%{names.of(operand)}" if isinstance(operand, Value) else _scalar(operand)


def _scalar(number: Scalar) -> str:
    text = scalar.show(number)
    return text if not isinstance(number, scalar.Literal) else _number(number.value)


def _number(value: int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _bare(text: str) -> str:
    """Return ``text`` without parentheses around the whole of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for at, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1]
