"""Exact linear feasibility: a rational point at which every row is at least zero, or none.

The simplex method for bounded variables with Bland's rule, as SMT solvers run it (Dutertre and
de Moura, 2006): rows become variables of their own, a point is repaired until nothing is violated
or a violated row shows that nothing can be repaired. Monomials count as independent variables.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from tiledsl.check.poly import Monomial, Poly

Number = int | Fraction
Point = dict[Monomial, Number]


class ExhaustedError(Exception):
    """The budget is used up; nothing is known."""


@dataclass(slots=True)
class Budget:
    """How much work one claim may cost."""

    pivots: int
    searches: int


def find_point(
    rows: Iterable[Poly],
    lower: Mapping[Monomial, int],
    upper: Mapping[Monomial, int],
    budget: Budget,
) -> Point | None:
    """Return a point with ``row >= 0`` for all rows and within the bounds; None if there is none.

    Raises `ExhaustedError` when it would take too long to tell.
    """
    budget.searches -= 1
    if budget.searches < 0:
        raise ExhaustedError
    problem = _Problem()
    for row in rows:
        if not problem.add(row, lower, upper):
            return None
    return problem.repair(budget)


class _Problem:
    """A tableau: each basic variable as a sum over the nonbasic ones."""

    def __init__(self) -> None:
        self.columns: dict[Monomial, int] = {}
        self.low: list[int | None] = []
        self.high: list[int | None] = []
        self.value: list[Number] = []
        self.rows: list[tuple[dict[int, int], int]] = []

    def add(
        self, poly: Poly, lower: Mapping[Monomial, int], upper: Mapping[Monomial, int]
    ) -> bool:
        """Take in ``poly >= 0``; False when that alone is a contradiction."""
        terms = poly.terms
        shift = terms.get((), 0)
        count = len(terms) - (() in terms)
        if count == 0:
            return shift >= 0
        row: dict[int, int] = {}
        for monomial, coefficient in terms.items():
            if monomial:
                at = self.columns.get(monomial)
                if at is None:
                    at = self._column(monomial, lower.get(monomial), upper.get(monomial))
                row[at] = coefficient
        if count > 1:
            self.rows.append((row, -shift))
            return True
        ((at, coefficient),) = row.items()
        low, high = self.low[at], self.high[at]
        if coefficient > 0:
            bound = -(shift // coefficient)
            if low is None or bound > low:
                self.low[at] = low = bound
        else:
            bound = shift // -coefficient
            if high is None or bound < high:
                self.high[at] = high = bound
        return low is None or high is None or low <= high

    def _column(self, monomial: Monomial, low: int | None, high: int | None) -> int:
        at = self.columns[monomial] = len(self.low)
        self.low.append(low)
        self.high.append(high)
        return at

    def repair(self, budget: Budget) -> Point | None:
        """Return a point, or None when a row proves that there is none."""
        low, high = self.low, self.high
        value: list[Number] = []
        for bottom, top in zip(low, high, strict=True):
            value.append(max(bottom, 0) if bottom is not None else 0)
            if top is not None and top < value[-1]:
                value[-1] = top
        self.value = value
        table: dict[int, dict[int, Number]] = {}
        for terms, least in self.rows:
            table[len(low)] = dict(terms)
            low.append(least)
            high.append(None)
            value.append(sum(c * value[j] for j, c in terms.items()))
        while True:
            basic, target = self._violated(table)
            if basic < 0:
                return {m: value[j] for m, j in self.columns.items()}
            budget.pivots -= 1
            if budget.pivots < 0:
                raise ExhaustedError
            entering = self._entering(table[basic], target > value[basic])
            if entering < 0:
                return None
            self._pivot(table, basic, entering, target)

    def _violated(self, table: dict[int, dict[int, Number]]) -> tuple[int, int]:
        best, target = -1, 0
        for basic in table:
            if best < 0 or basic < best:
                low, high = self.low[basic], self.high[basic]
                now = self.value[basic]
                if low is not None and now < low:
                    best, target = basic, low
                elif high is not None and now > high:
                    best, target = basic, high
        return best, target

    def _entering(self, row: dict[int, Number], up: bool) -> int:
        """Return the first nonbasic variable that can still move the row that way."""
        best = -1
        for j, coefficient in row.items():
            if best >= 0 and j > best:
                continue
            bound = self.high[j] if (coefficient > 0) == up else self.low[j]
            if bound is None or bound != self.value[j]:
                best = j
        return best

    def _pivot(
        self, table: dict[int, dict[int, Number]], basic: int, entering: int, target: int
    ) -> None:
        row = table.pop(basic)
        scale = row.pop(entering)
        value = self.value
        step = _ratio(target - value[basic], scale)
        value[basic] = target
        value[entering] += step
        solved: dict[int, Number] = {j: _ratio(-c, scale) for j, c in row.items()}
        solved[basic] = _ratio(1, scale)
        for other, terms in table.items():
            factor = terms.pop(entering, 0)
            if not factor:
                continue
            value[other] += factor * step
            for j, c in solved.items():
                total = terms.get(j, 0) + factor * c
                if total:
                    terms[j] = total
                else:
                    terms.pop(j, None)
        table[entering] = solved


def _ratio(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    exact = Fraction(a) / b
    return exact.numerator if exact.denominator == 1 else exact
