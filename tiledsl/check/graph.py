"""Operators of several kernels: each step a kernel for the types of its arguments."""

from collections.abc import Callable

from tiledsl import ir, scalar
from tiledsl.check import calls
from tiledsl.check.access import shape_text
from tiledsl.check.builder import Absent, Builder, Walkers
from tiledsl.check.errors import Misplaced, UnknownKernel
from tiledsl.check.header import header, number_or_param, sizes
from tiledsl.check.modules import Definition
from tiledsl.check.operators import integer_scalar
from tiledsl.check.rules import assigned
from tiledsl.check.terms import Affine, describe
from tiledsl.check.type_errors import (
    NotConstant,
    NotScalar,
    TypeChoice,
    WrongArguments,
)
from tiledsl.check.write_errors import CannotWrite, NeverWritten, StepMismatch
from tiledsl.diagnostics import Diagnostic
from tiledsl.scalar import Literal, Scalar, Tensor
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType

Elaborate = Callable[[Definition[tree.Kernel], str, ir.Binding], tuple[ir.Kernel, list[Diagnostic]]]


def elaborate_op(
    definition: Definition[tree.Op],
    name: str,
    binding: ir.Binding,
    walkers: Walkers,
    elaborate: Elaborate,
) -> tuple[ir.OpGraph, list[Diagnostic]]:
    """Return an op for ``binding``, and what is to be said about it."""
    item = definition.item
    b = Builder(definition.module, walkers)
    with b.names():
        head = header(b, item, binding)
        body = _Steps(b, elaborate)
        for tensor in (*head.params, *head.outputs):
            if isinstance(tensor, Tensor) and (tensor.role != "out" or tensor.initial is not None):
                body.written.add(tensor)
        with b.names():
            for node in head.rest:
                body.statement(node)
        for output in head.outputs:
            if output not in body.written and output not in body.failed:
                b.error(NeverWritten(output.span, output.name, "is written by no step"))
    graph = ir.OpGraph(
        name,
        binding,
        head.params,
        head.outputs,
        tuple(body.temps),
        head.dims,
        head.facts,
        tuple(body.steps),
        item.doc,
        item.span,
    )
    return graph, b.findings()


class _Steps:
    """The steps found so far, and which tensors they have written."""

    def __init__(self, b: Builder, elaborate: Elaborate) -> None:
        self.b = b
        self.elaborate = elaborate
        self.temps: list[Tensor] = []
        self.steps: list[ir.Step] = []
        self.written: set[Tensor] = set()
        self.failed: set[Tensor] = set()
        self.kernels: dict[tuple[Definition[tree.Kernel], ir.Binding], ir.Kernel] = {}

    def statement(self, node: tree.Stmt) -> None:
        match node:
            case tree.Temp():
                self.temp(node)
            case tree.Step():
                self.step(node)
            case tree.Bind(names=(name,), type=None, value=value):
                size = integer_scalar(self.b, value, "a value of an op")
                self.b.bind(name, size, "a value", watched=True)
            case _:
                why = "an op has temporaries, sizes and steps"
                word = type(node).__name__.lower()
                hint = "computing is done by kernels"
                self.b.error(Misplaced(node.span, f"`{word}`", why, hint))

    def temp(self, node: tree.Temp) -> None:
        b = self.b
        dtype = calls.dtype_named(b, node.type)
        shape = sizes(b, node.type)
        if dtype is None or shape is None:
            b.bind(node.name, None, "a tensor")
            return
        stars = tuple(isinstance(d, tree.Star) for d in node.type.dims or ())
        tensor = Tensor(node.name.id, dtype, shape, "temp", stars, span=node.name.span)
        if node.value is not None:
            tensor.initial = number_or_param(b, node.value, dtype)
            self.written.add(tensor)
        self.temps.append(tensor)
        b.bind(node.name, tensor, "a tensor")

    def step(self, node: tree.Step) -> None:
        b = self.b
        definition = b.module.kernels.get(node.kernel.id)
        if definition is None:
            known = tuple(b.module.kernels)
            b.error(UnknownKernel(node.kernel.span, "a step", node.kernel.id, known))
        args = [self.argument(a) for a in node.args]
        outputs = [self.output(o) for o in node.outputs]
        good = definition is not None and None not in args and None not in outputs
        tensors = [o for o in outputs if o is not None]
        if definition is None or not good or not self.counts(node, definition.item):
            self.failed.update(tensors)
            return
        given = [a for a in args if a is not None]
        types = self.types(node, definition.item, given, tensors)
        consts, absent = self.consts(node, definition.item, given)
        self.failed.update(tensors)
        if types is None or consts is None:
            return
        binding = ir.Binding(types, consts, absent)
        kernel = self.kernel(definition, node, binding)
        passed = self.passed(node, definition.item, kernel, given)
        if passed is None or not self.outputs_fit(node, definition.item, kernel, tensors):
            return
        for tensor in tensors:
            self.failed.discard(tensor)
        self.steps.append(ir.Step(kernel, passed, tuple(tensors), node.span))
        self.written.update(tensors)
        for param, argument in zip(definition.item.params, given, strict=False):
            if param.kind == "inout" and isinstance(argument, Tensor):
                self.written.add(argument)

    def argument(self, node: tree.Expr) -> Tensor | Scalar | Absent | None:
        b = self.b
        if isinstance(node, tree.Name):
            if node.id == "none":
                return Absent("none")
            bound = b.scope.find(node.id)
            if bound is not None and isinstance(bound.meaning, Tensor | Absent):
                bound.used = True
                return bound.meaning
        term = b.expression(node)
        if isinstance(term, ir.Value | Affine):
            b.error(NotScalar(node.span, "an argument of a step", describe(term)))
            return None
        return term

    def output(self, node: tree.Name) -> Tensor | None:
        meaning = self.b.look(node)
        if meaning is None or isinstance(meaning, Tensor):
            if isinstance(meaning, Tensor) and meaning.role == "in":
                self.b.error(CannotWrite(node.span, meaning.name, meaning.span))
                return None
            return meaning
        self.b.error(NeverWritten(node.span, node.id, "is no tensor"))
        return None

    def counts(self, node: tree.Step, kernel: tree.Kernel) -> bool:
        needed = sum(p.default is None for p in kernel.params)
        names = ", ".join(p.name.id for p in kernel.params)
        if not needed <= len(node.args) <= len(kernel.params):
            got = f"here are {len(node.args)}"
            wanted = f"{len(kernel.params)} arguments: ({names})"
            self.b.error(WrongArguments(node.span, kernel.name.id, wanted, got))
            return False
        if len(node.outputs) != len(kernel.outputs):
            names = ", ".join(p.name.id for p in kernel.outputs)
            got = f"here are {len(node.outputs)}"
            wanted = f"{len(kernel.outputs)} results: ({names})"
            self.b.error(WrongArguments(node.span, kernel.name.id, wanted, got))
            return False
        return True

    def types(
        self,
        node: tree.Step,
        kernel: tree.Kernel,
        args: list[Tensor | Scalar | Absent],
        outputs: list[Tensor],
    ) -> tuple[tuple[str, DType], ...] | None:
        """Choose the kernel's element types by those of the tensors it is given."""
        found: dict[str, DType] = {}
        pairs = [
            *zip(kernel.params, args, strict=False),
            *zip(kernel.outputs, outputs, strict=True),
        ]
        names = {g.name.id: g for g in kernel.generics}
        good = True
        for param, argument in pairs:
            if not isinstance(argument, Tensor):
                continue
            wanted = param.type.name.id
            if wanted in names and param.type.argument is None:
                dtype = found.setdefault(wanted, argument.dtype)
                choices = tuple(c.id for c in names[wanted].choices)
                if str(dtype) not in choices:
                    self.b.error(TypeChoice(node.span, wanted, str(dtype), choices))
                    good = False
            else:
                dtype = DTYPES.get(wanted, argument.dtype)
            if good and dtype is not argument.dtype:
                self.mismatch(node.span, kernel, param, str(dtype), str(argument.dtype))
                good = False
        for name, generic in names.items():
            if name not in found and good:
                choices = tuple(c.id for c in generic.choices)
                self.b.error(TypeChoice(node.span, name, "", choices))
                good = False
        return tuple((n, found[n]) for n in names) if good else None

    def consts(
        self, node: tree.Step, kernel: tree.Kernel, args: list[Tensor | Scalar | Absent]
    ) -> tuple[tuple[tuple[str, int | float | bool], ...] | None, frozenset[str]]:
        consts: list[tuple[str, int | float | bool]] = []
        absent: set[str] = set()
        for at, param in enumerate(kernel.params):
            argument = args[at] if at < len(args) else None
            optional = isinstance(param.default, tree.Name) and param.default.id == "none"
            if isinstance(argument, Absent) or (argument is None and optional):
                if not optional:
                    self.mismatch(node.span, kernel, param, "always given", "none")
                    return None, frozenset()
                absent.add(param.name.id)
            if param.kind == "const" and argument is not None:
                if isinstance(argument, Literal):
                    consts.append((param.name.id, argument.value))
                elif isinstance(argument, scalar.ParamValue) and argument.name in self.b.symbols:
                    pass  # a `const` of the op that the build has not fixed yet
                else:
                    what = f"`{param.name.id}` of `{kernel.name.id}`"
                    self.b.error(
                        NotConstant(node.args[at].span, what, "pass a number or a `const`")
                    )
                    return None, frozenset()
        return tuple(consts), frozenset(absent)

    def kernel(
        self, definition: Definition[tree.Kernel], node: tree.Step, binding: ir.Binding
    ) -> ir.Kernel:
        key = (definition, binding)
        if key not in self.kernels:
            kernel, found = self.elaborate(definition, definition.item.name.id, binding)
            for diagnostic in found:
                if diagnostic.severity == "error":
                    self.b.report.add(diagnostic)
            self.kernels[key] = kernel
        return self.kernels[key]

    def passed(
        self,
        node: tree.Step,
        item: tree.Kernel,
        kernel: ir.Kernel,
        args: list[Tensor | Scalar | Absent],
    ) -> tuple[Tensor | Scalar, ...] | None:
        """Return what each parameter of the kernel is given."""
        found: list[Tensor | Scalar] = []
        by_name = {p.name: p for p in kernel.params}
        good = True
        for at, param in enumerate(item.params):
            entry = by_name.get(param.name.id)
            if entry is None:
                continue
            argument = args[at] if at < len(args) else None
            place = node.args[at].span if at < len(args) else node.span
            match entry:
                case Tensor():
                    good = self.tensor_fits(place, item, param, entry, argument) and good
                    if isinstance(argument, Tensor):
                        found.append(argument)
                case ir.ScalarParam(dtype=dtype, default=default):
                    value = self.scalar_for(place, item, param, dtype, default, argument)
                    good = good and value is not None
                    if value is not None:
                        found.append(value)
        return tuple(found) if good else None

    def scalar_for(
        self,
        place: Span,
        kernel: tree.Kernel,
        param: tree.Param,
        dtype: DType,
        default: int | float | bool | None,
        argument: Tensor | Scalar | Absent | None,
    ) -> Scalar | None:
        if argument is None and default is not None:
            return Literal(default, dtype)
        if argument is None or isinstance(argument, Tensor | Absent):
            have = shape_text(argument) if isinstance(argument, Tensor) else "none"
            self.mismatch(place, kernel, param, str(dtype), have)
            return None
        value = assigned(self.b, argument, dtype, place, f"`{param.name.id}`")
        assert value is None or not isinstance(value, ir.Value | Affine)
        return value

    def tensor_fits(
        self,
        place: Span,
        kernel: tree.Kernel,
        param: tree.Param,
        want: Tensor,
        have: Tensor | Scalar | Absent | None,
    ) -> bool:
        if not isinstance(have, Tensor):
            text = "none" if have is None or isinstance(have, Absent) else scalar.show(have)
            self.mismatch(place, kernel, param, shape_text(want), text)
            return False
        if want.role != "out" and have not in self.written:
            if have not in self.failed:
                why = "is read before a step has written it"
                self.b.error(NeverWritten(place, have.name, why))
            return False
        if want.role == "inout" and have.role == "in":
            self.b.error(CannotWrite(place, have.name, have.span))
            return False
        fits = any(want.star) or any(have.star) or len(want.shape) == len(have.shape)
        fits = fits and (any(want.star) or any(have.star) or _may_agree(want.shape, have.shape))
        if not fits:
            self.mismatch(place, kernel, param, shape_text(want), shape_text(have))
        return fits

    def outputs_fit(
        self, node: tree.Step, item: tree.Kernel, kernel: ir.Kernel, outputs: list[Tensor]
    ) -> bool:
        good = len(kernel.outputs) == len(outputs)
        for param, want, have, name in zip(
            item.outputs, kernel.outputs, outputs, node.outputs, strict=False
        ):
            good = self.tensor_fits(name.span, item, param, want, have) and good
        return good

    def mismatch(
        self, place: Span, kernel: tree.Kernel, param: tree.Param, want: str, have: str
    ) -> None:
        name = kernel.name.id
        self.b.error(StepMismatch(place, name, param.name.id, want, have, param.name.span))


def _may_agree(want: tuple[Scalar, ...], have: tuple[Scalar, ...]) -> bool:
    """Return whether no two sizes are different numbers."""
    pairs = zip(want, have, strict=True)
    return all(
        not (isinstance(a, Literal) and isinstance(b, Literal)) or a.value == b.value
        for a, b in pairs
    )
