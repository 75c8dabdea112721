"""What holds at the launch of a kernel: the sizes of its arguments and its ``where`` lines.

A fact that says what a dim is (``P == (L - R) // 2 + 1``, ``K % 16 == 0``) replaces the dim
everywhere, which makes the proofs about it short. A launch whose facts divide by zero is refused,
so what a fact divides by is not zero.
"""

from collections.abc import Iterator

from tiledsl import scalar as sc
from tiledsl.check.poly import Poly
from tiledsl.check.prove_facts import Scope
from tiledsl.check.prove_terms import MOST, Frame

_DIVISIONS = ("floordiv", "mod")


def launch_scope(frame: Frame) -> Scope:
    """Return the scope of everything in the kernel, and give ``frame`` its dims."""
    return _Launch(frame).scope()


class _Launch:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.here = Scope()
        self.pending: dict[str, sc.Apply] = {}

    def scope(self) -> Scope:
        """Take in plain comparisons first: divisions then find their divisors to be positive."""
        conditions = [c for f in self.frame.kernel.facts for c in _conjuncts(f.condition)]
        later: list[sc.Scalar] = []
        for condition in conditions:
            name = _defined(condition)
            if name is not None and name not in self.pending:
                assert isinstance(condition, sc.Apply)
                self.pending[name] = condition
            else:
                later.append(condition)
        later.sort(key=lambda c: any(self._waits(s) for s in sc.walk(c)))
        plain = [c for c in later if not any(self._waits(s) for s in sc.walk(c))]
        for condition in plain:
            self._assume(condition)
        while self.pending:
            self._define(next(iter(self.pending)))
        for condition in later[len(plain) :]:
            self._assume(condition)
        for tensor in self.frame.kernel.tensors:
            if tensor.role != "out":
                sizes = [self.frame.scalar(size, self.here) for size in tensor.shape]
                self._add(*sizes)
        return self.here

    def _waits(self, scalar: sc.Scalar) -> bool:
        match scalar:
            case sc.Apply(op=op):
                return op in _DIVISIONS
            case sc.Dim(name=name):
                return name in self.pending
            case _:
                return False

    def _add(self, *facts: Poly) -> None:
        """Take in facts that do not go without saying."""
        new = [f for f in facts if not self.frame.facts.easily(f, self.here)]
        if new:
            self.here = self.here.extend(new)

    def _assume(self, condition: sc.Scalar) -> None:
        self._divisors(condition)
        self.here = self.here.assume(self.frame.condition(condition, self.here))

    def _divisors(self, scalar: sc.Scalar) -> None:
        if any(isinstance(p, sc.Apply) and p.op in ("or", "where") for p in sc.walk(scalar)):
            return  # what is not evaluated divides by nothing
        for part in sc.walk(scalar):
            match part:
                case sc.Apply(op=op, args=(_, divisor)) if op in _DIVISIONS:
                    by = self.frame.scalar(divisor, self.here)
                    if self.frame.facts.prove(by, self.here):
                        self._add(by - 1)
                case _:
                    pass

    def _define(self, name: str) -> None:
        """Give the dim ``name`` the value that its fact states, after the dims that this needs."""
        condition = self.pending.pop(name)
        for part in sc.walk(condition):
            if isinstance(part, sc.Dim) and part.name in self.pending:
                self._define(part.name)
        frame, facts = self.frame, self.frame.facts
        self._divisors(condition)
        left, right = condition.args
        if isinstance(left, sc.Apply):  # name % divisor == 0
            divisor = frame.scalar(left.args[1], self.here)
            if name in frame.dims or not facts.prove(divisor - 1, self.here):
                self._assume(condition)
                return
            times = facts.atom(("times", name), f"{name} // {facts.show(divisor)}", 0, MOST)
            value = divisor * times
        else:
            value = frame.scalar(right if isinstance(left, sc.Dim) else left, self.here)
            if name in frame.dims:
                self._assume(condition)
                return
        frame.dims[name] = value
        self._add(value)


def _conjuncts(condition: sc.Scalar) -> Iterator[sc.Scalar]:
    match condition:
        case sc.Apply(op="and", args=args):
            for each in args:
                yield from _conjuncts(each)
        case _:
            yield condition


def _defined(condition: sc.Scalar) -> str | None:
    """Return the dim that the condition gives a value."""
    match condition:
        case sc.Apply(op="eq", args=(sc.Dim(name=name), other)) if _apart(name, other):
            return name
        case sc.Apply(op="eq", args=(other, sc.Dim(name=name))) if _apart(name, other):
            return name
        case sc.Apply(
            op="eq",
            args=(sc.Apply(op="mod", args=(sc.Dim(name=name), divisor)), sc.Literal(value=0)),
        ) if _apart(name, divisor):
            return name
        case _:
            return None


def _apart(name: str, scalar: sc.Scalar) -> bool:
    return all(not isinstance(s, sc.Dim) or s.name != name for s in sc.walk(scalar))
