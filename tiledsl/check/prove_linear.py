"""Exact linear feasibility: a rational point at which every row is at least zero, or none.

The simplex method for bounded variables with Bland's rule, as SMT solvers run it (Dutertre and
de Moura, 2006): rows become variables of their own, a point is repaired until nothing is violated
or a violated row shows that nothing can be repaired. Monomials count as independent variables.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

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
        # Of the nonbasic variables.
        self.value: list[int] = []
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
        low, high, value = self.low, self.high, self.value
        for bottom, top in zip(low, high, strict=True):
            start = max(bottom, 0) if bottom is not None else 0
            value.append(start if top is None or start <= top else top)
        table: dict[int, _Row] = {}
        for terms, least in self.rows:
            table[len(low)] = _Row(terms, 1, sum(c * value[j] for j, c in terms.items()))
            low.append(least)
            high.append(None)
            value.append(0)
        while True:
            basic, target = self._violated(table)
            if basic < 0:
                return self._point(table)
            budget.pivots -= 1
            if budget.pivots < 0:
                raise ExhaustedError
            row = table[basic]
            entering = self._entering(row.terms, target * row.scale > row.value)
            if entering < 0:
                return None
            self._pivot(table, basic, entering, target)

    def _violated(self, table: "dict[int, _Row]") -> tuple[int, int]:
        """Return the first basic variable outside of its bounds, and the bound; -1 for none."""
        best, target = -1, 0
        for basic, row in table.items():
            if best < 0 or basic < best:
                low, high = self.low[basic], self.high[basic]
                if low is not None and row.value < low * row.scale:
                    best, target = basic, low
                elif high is not None and row.value > high * row.scale:
                    best, target = basic, high
        return best, target

    def _entering(self, terms: dict[int, int], up: bool) -> int:
        """Return the first nonbasic variable that can still move the row that way."""
        best = -1
        for j, coefficient in terms.items():
            if best >= 0 and j > best:
                continue
            bound = self.high[j] if (coefficient > 0) == up else self.low[j]
            if bound is None or bound != self.value[j]:
                best = j
        return best

    def _pivot(
        self, table: "dict[int, _Row]", basic: int, entering: int, target: int
    ) -> None:
        """Exchange two variables; the one that leaves the basis stands at ``target``."""
        row = table.pop(basic)
        factor = row.terms.pop(entering)
        sign = 1 if factor > 0 else -1
        solved = {j: -sign * c for j, c in row.terms.items()}
        solved[basic] = sign * row.scale
        scale = abs(factor)
        self.value[basic] = target
        table[entering] = self._row(solved, scale)
        for other, changed in table.items():
            by = changed.terms.pop(entering, 0)
            if by:
                terms = {j: c * scale for j, c in changed.terms.items()}
                for j, c in solved.items():
                    total = terms.get(j, 0) + by * c
                    if total:
                        terms[j] = total
                    else:
                        terms.pop(j, None)
                table[other] = self._row(terms, changed.scale * scale)

    def _row(self, terms: dict[int, int], scale: int) -> "_Row":
        if scale != 1:
            shared = gcd(scale, *terms.values())
            if shared != 1:
                scale //= shared
                terms = {j: c // shared for j, c in terms.items()}
        return _Row(terms, scale, sum(c * self.value[j] for j, c in terms.items()))

    def _point(self, table: "dict[int, _Row]") -> Point:
        def at(j: int) -> Number:
            row = table.get(j)
            if row is None:
                return self.value[j]
            whole, rest = divmod(row.value, row.scale)
            return Fraction(row.value, row.scale) if rest else whole

        return {monomial: at(j) for monomial, j in self.columns.items()}


class _Row:
    """A basic variable: ``scale`` times it is the sum of ``terms``, now ``value``.

    Nonbasic variables stand at whole numbers, so that all of this is whole.
    """

    __slots__ = ("scale", "terms", "value")

    def __init__(self, terms: dict[int, int], scale: int, value: int) -> None:
        self.terms = terms
        self.scale = scale
        self.value = value
