"""What the ``where`` lines of schedules may say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tiledsl.check.errors import Finding
from tiledsl.check.item_errors import NotInKernel
from tiledsl.check.limit_errors import BadLimit, UnknownFact
from tiledsl.check.limits import ARITHMETIC, COMPARISONS, LARGEST, serving
from tiledsl.chips.facts import facts, targets
from tiledsl.source import Span
from tiledsl.syntax import tree


def check_limit(
    limit: tree.Expr, sizes: Sequence[str], kernel: str, target: str, served: Sequence[str]
) -> Iterator[Finding]:
    """Yield what is wrong with a ``where`` of a schedule for ``target``.

    ``served`` are the targets that it is asked for: what it asks of them all of them have.
    """
    yield from _Terms(tuple(sizes), kernel, target, tuple(served)).truth(limit)


def served(schedule: tree.Schedule, others: Sequence[tree.Schedule]) -> tuple[str, ...]:
    """Return the targets that ``schedule`` is for, beside ``others`` of its kernel."""
    return tuple(t for t in targets() if serving(others, t) is schedule)


@dataclass(frozen=True, slots=True)
class _Terms:
    sizes: tuple[str, ...]
    kernel: str
    target: str
    served: tuple[str, ...]

    def truth(self, node: tree.Expr) -> Iterator[Finding]:
        match node:
            case tree.Logical(operands=operands):
                for operand in operands:
                    yield from self.truth(operand)
            case tree.Unary(op="not", operand=operand):
                yield from self.truth(operand)
            case tree.Compare(first=first, rest=rest):
                yield from self.number(first)
                for op, operand in rest:
                    if op not in COMPARISONS:
                        yield BadLimit(node.span, f"`{op}` is more than that")
                    yield from self.number(operand)
            case _:
                found = list(self.number(node))
                yield from found or [BadLimit(node.span, "this is no comparison")]

    def number(self, node: tree.Expr | tree.Becomes) -> Iterator[Finding]:
        match node:
            case tree.Number(value=value):
                if not isinstance(value, int):
                    yield BadLimit(node.span, f"`{node.span.text[:30]}` is no whole number")
                elif value >= LARGEST:
                    yield BadLimit(node.span, "this number has more than 63 bits")
            case tree.Name(id=name):
                if name not in self.sizes:
                    yield NotInKernel(node.span, name, "tile size", self.kernel, self.sizes)
            case tree.Attribute(base=tree.Name(id="target"), name=name):
                yield from self.fact(node.span, name)
            case tree.Unary(op="-" | "+", operand=operand):
                yield from self.number(operand)
            case tree.Binary(op=op, left=left, right=right) if op in ARITHMETIC:
                yield from self.number(left)
                yield from self.number(right)
            case tree.Call(function=tree.Name(id="min" | "max"), args=args, over=(), into=None) if (
                len(args) > 1
            ):
                for arg in args:
                    yield from self.number(arg)
            case _:
                text = " ".join(node.span.text.split())
                yield BadLimit(node.span, f"`{text[:40]}` is more than that")

    def fact(self, span: Span, name: str) -> Iterator[Finding]:
        """Report what a target has not; a schedule that serves none may ask what any has."""
        known = [facts(target) for target in self.served or targets()]
        without = tuple(t for t in self.served if name not in facts(t))
        nowhere = not any(name in each for each in known)
        if nowhere or without:
            without = () if nowhere and len(known) > 1 else without
            common = tuple(fact for fact in known[0] if all(fact in each for each in known))
            yield UnknownFact(span, name, without, common, self.target)
