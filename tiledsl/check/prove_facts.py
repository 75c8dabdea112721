"""What is known of integers, and claims refuted or proved from it.

An integer is a polynomial over atoms: dims, parameters, positions, quotients, elements of tensors.
A claim is proved by refutation: its negation and the facts in scope are an infeasible linear
program over monomials. Products of facts with non-negative atoms bring in what is not linear, and
disjunctions (minima, maxima, selections) are split where the point found contradicts them. Most
claims never get that far: the signs of the atoms, or one fact subtracted, settle them.

A failed search proves nothing: `Facts.prove` then says False, and a run-time check stays.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiledsl.check.poly import ONE, ZERO, Monomial, Poly, atom, constant
from tiledsl.check.prove_linear import Budget, ExhaustedError, Number, Point, find_point

# A conjunction of "this is at least zero", and a disjunction of those.
Conjunction = tuple[Poly, ...]
Cases = tuple[Conjunction, ...]
TRUE: Cases = ((),)
# A kind of atom, and what makes it one of that kind.
Key = tuple[Hashable, ...]

# Bounds on the work: the largest kernels of ours need a tenth of these.
PIVOTS_A_KERNEL = 40_000
PIVOTS_A_CLAIM = 400
SEARCHES_A_CLAIM = 48
MAX_SPLITS = 7
MAX_PRODUCTS = 160
MAX_ALTERNATIVES = 8


@dataclass(slots=True)
class Atom:
    """An unknown integer: bounds that always hold, facts that define it, and case distinctions."""

    kind: str
    name: str
    lower: int | None = None
    upper: int | None = None
    facts: Conjunction = ()
    cases: tuple[Cases, ...] = ()
    arbitrary: bool = False


@dataclass(eq=False, slots=True)
class Scope:
    """Facts that hold at a place in the program; those of the scopes around it are among them."""

    facts: Conjunction = ()
    cases: tuple[Cases, ...] = ()
    outer: "Scope | None" = None
    ranges: dict[Hashable, Any] = field(default_factory=dict)
    proven: dict[Hashable, bool] = field(default_factory=dict)
    terms: dict[Hashable, Poly] = field(default_factory=dict)
    inner: dict[Hashable, "Scope"] = field(default_factory=dict)

    def extend(self, facts: Iterable[Poly], cases: Iterable[Cases] = ()) -> "Scope":
        """Return the scope in which these hold as well."""
        more = tuple(f for f in facts if f.terms)
        split = tuple(cases)
        return Scope(self.facts + more, self.cases + split, self)

    def assume(self, condition: Cases) -> "Scope":
        """Return the scope in which a condition holds."""
        if len(condition) == 1:
            return self.extend(condition[0])
        return self.extend((), (condition,))


class Facts:
    """All atoms of a kernel, and the prover."""

    def __init__(self) -> None:
        self.atoms: list[Atom] = []
        self.known: dict[Key, int] = {}
        self.pivots_left = PIVOTS_A_KERNEL

    # ---- atoms

    def atom(
        self, key: Key, name: str, lower: int | None = None, upper: int | None = None
    ) -> Poly:
        """Return the atom known by ``key``, made on the first call; its kind is ``key[0]``."""
        at = self.known.get(key)
        if at is None:
            at = self.known[key] = len(self.atoms)
            self.atoms.append(Atom(str(key[0]), name, lower, upper))
        return atom(at)

    def arbitrary(self, key: Key, name: str, lower: int | None, upper: int | None) -> Poly:
        """Return an atom of which only the bounds are known, as of an element of a tensor."""
        result = self.atom(key, name, lower, upper)
        self.of(result).arbitrary = True
        return result

    def of(self, poly: Poly) -> Atom:
        """Return the atom that ``poly`` is."""
        at = poly.sole_atom
        assert at is not None, poly
        return self.atoms[at]

    def has_arbitrary(self, poly: Poly) -> bool:
        """Whether the value depends on an element of a tensor, or another number made in a tile."""
        return any(self.atoms[a].arbitrary for a in poly.atoms)

    def sources(self, number: int) -> frozenset[str]:
        """Return the kinds of the atoms that an atom is computed from."""
        seen, fresh = {number}, [number]
        kinds: set[str] = set()
        while fresh:
            one = self.atoms[fresh.pop()]
            parts = {a for fact in one.facts for a in fact.atoms}.union(*map(_atoms, one.cases))
            if not parts:
                kinds.add(one.kind)
            fresh += parts - seen
            seen |= parts
        return frozenset(kinds)

    def show(self, poly: Poly) -> str:
        """Return ``poly`` for a reader."""
        pieces: list[str] = []
        for monomial, c in sorted(poly.terms.items(), key=lambda t: (not t[0], t[1] < 0)):
            names = [self.atoms[a].name for a in monomial]
            if abs(c) != 1 or not names:
                names.insert(0, str(abs(c)))
            sign = "-" if c < 0 else "+"
            pieces.append(f" {sign} " + " * ".join(names))
        text = "".join(pieces) or "0"
        return text[3:] if text.startswith(" + ") else "-" + text[3:] if pieces else text

    # ---- arithmetic that needs more than polynomials

    def quotient(self, a: Poly, d: Poly, scope: Scope) -> Poly | None:
        """Return ``a // d``; None where ``d`` may be less than one."""
        number = d.constant
        if (number is not None and number < 1) or not self.prove(d - 1, scope):
            return None
        exact, rest = a.split(d)
        if number is None and exact.terms and not self._is_remainder(rest, d, scope):
            exact, rest = ZERO, a
        if not rest.terms or self._is_remainder(rest, d, scope):
            return exact
        # A sign that holds only in this scope makes an atom of its own.
        low = 0 if self.prove(rest, scope) else self._divided(self.lower(rest), number)
        key = ("//", rest, d, low)
        new = key not in self.known
        name = f"{self._factor(rest)} // {self._factor(d)}"
        result = self.atom(key, name, low, self._divided(self.upper(rest), number))
        if new:
            at = self.of(result)
            at.facts = (rest - d * result, d * result + d - 1 - rest)
            at.arbitrary = self.has_arbitrary(rest) or self.has_arbitrary(d)
        return exact + result

    @staticmethod
    def _divided(bound: int | None, number: int | None) -> int | None:
        return None if bound is None or number is None else bound // number

    def _factor(self, poly: Poly) -> str:
        return self.show(poly) if len(poly.terms) <= 1 else f"({self.show(poly)})"

    def _is_remainder(self, rest: Poly, d: Poly, scope: Scope) -> bool:
        return self.easily(rest, scope) and self.easily(d - 1 - rest, scope)

    def least(self, a: Poly, b: Poly, scope: Scope) -> Poly:
        """Return ``min(a, b)``."""
        return self._extreme("min", 1, a, b, scope)

    def most(self, a: Poly, b: Poly, scope: Scope) -> Poly:
        """Return ``max(a, b)``."""
        return self._extreme("max", -1, a, b, scope)

    def _extreme(self, name: str, sign: int, a: Poly, b: Poly, scope: Scope) -> Poly:
        rise = (b - a) * sign
        if self.easily(rise, scope):
            return a
        if self.easily(-rise, scope):
            return b
        key = (name, a, b)
        new = key not in self.known
        if new and any(len(m) > 1 for m in rise.terms) and self.prove(rise, scope):
            return a  # as in M[i * (M // G) .. (i + 1) * (M // G)]: worth a search
        result = self.atom(key, f"{name}({self.show(a)}, {self.show(b)})")
        if new:
            at = self.of(result)
            at.facts = ((a - result) * sign, (b - result) * sign)
            at.cases = ((((result - a) * sign,), ((result - b) * sign,)),)
            ends = [f(p) for f in (self.lower, self.upper) for p in (a, b)]
            low, high = ends[:2], ends[2:]
            pick: Callable[[list[int]], int] = min if sign > 0 else max
            # The least of two is bounded above by either, below only by both.
            at.lower = _pick(pick, low, every=sign > 0)
            at.upper = _pick(pick, high, every=sign < 0)
            at.arbitrary = self.has_arbitrary(a) or self.has_arbitrary(b)
        return result

    def choice(self, key: Key, name: str, options: Sequence[tuple[Poly, Cases]]) -> Poly:
        """Return the integer known by ``key``: one of ``options``, each under its condition."""
        full = ("choice", key, tuple(options))
        new = full not in self.known
        result = self.atom(full, name)
        if new:
            at = self.of(result)
            alternatives: list[Conjunction] = []
            for value, condition in options:
                same = (result - value, value - result)
                alternatives += [(*same, *facts) for facts in condition]
            if len(alternatives) > MAX_ALTERNATIVES:
                alternatives = [(result - value, value - result) for value, _ in options]
            at.cases = (tuple(alternatives),)
            values = [value for value, condition in options if condition]
            low, high = [self.lower(v) for v in values], [self.upper(v) for v in values]
            at.lower = _pick(min, low, every=True)
            at.upper = _pick(max, high, every=True)
            at.arbitrary = any(self.has_arbitrary(v) for v in values)
        return result

    # ---- proofs

    def lower(self, poly: Poly) -> int | None:
        """Return a number that ``poly`` is never below, from the atoms' own bounds."""
        low = 0
        for monomial, c in poly.terms.items():
            end = self._end(monomial, c > 0)
            if end is None:
                return None
            low += c * end
        return low

    def upper(self, poly: Poly) -> int | None:
        """Return a number that ``poly`` is never above, from the atoms' own bounds."""
        low = self.lower(-poly)
        return None if low is None else -low

    def _end(self, monomial: Monomial, low: bool) -> int | None:
        if not monomial:
            return 1
        if len(monomial) == 1:
            one = self.atoms[monomial[0]]
            return one.lower if low else one.upper
        product = 1
        for each in monomial:
            one = self.atoms[each]
            if one.lower is None or one.lower < 0:
                return None
            factor = one.lower if low else one.upper
            if factor is None:
                return None
            product *= factor
        return product

    def highest(self, poly: Poly, scope: Scope, depth: int = 3) -> int | None:
        """Return a number that ``poly`` is never above in ``scope``, by intervals."""
        high = 0
        for monomial, c in poly.terms.items():
            end: int | None
            if c > 0 and len(monomial) == 1:
                end = self._highest(monomial[0], scope, depth)
            else:
                end = self._end(monomial, c < 0)
            if end is None:
                return None
            high += c * end
        return high

    def _highest(self, number: int, scope: Scope, depth: int) -> int | None:
        one = self.atoms[number]
        best = one.upper
        if depth == 0:
            return best
        for fact in (*one.facts, *scope.facts):
            c = fact.terms.get((number,), 0)
            if c < 0:
                rest = Poly({m: k for m, k in fact.terms.items() if m != (number,)})
                if number not in rest.atoms:
                    top = self.highest(rest, scope, depth - 1)
                    if top is not None and (best is None or top // -c < best):
                        best = top // -c
        return best

    def easily(self, claim: Poly, scope: Scope) -> bool:
        """Whether ``claim >= 0`` follows from signs, or from one fact."""
        low = self.lower(claim)
        if low is not None and low >= 0:
            return True
        needed = {m for m, c in claim.terms.items() if c < 0}
        for fact in scope.facts:
            if any(fact.terms.get(m, 0) < 0 for m in needed):
                low = self.lower(claim - fact)
                if low is not None and low >= 0:
                    return True
        return False

    def prove(self, claim: Poly, scope: Scope) -> bool:
        """Whether ``claim >= 0`` could be shown to hold wherever ``scope``'s facts hold."""
        number = claim.constant
        if number is not None and number >= 0:
            return True
        known = scope.proven.get(claim)
        if known is None:
            known = self.easily(claim, scope) or self.refute((-claim - 1,), scope)
            scope.proven[claim] = known
        return known

    def refute(self, claims: Conjunction, scope: Scope) -> bool:
        """Whether ``claims`` (each at least zero) were shown to contradict the facts in scope."""
        rows, cases = self._relevant(claims, scope)
        budget = Budget(min(PIVOTS_A_CLAIM, self.pivots_left), SEARCHES_A_CLAIM)
        before = budget.pivots
        try:
            return _Search(self, budget).contradictory(rows, cases, MAX_SPLITS)
        except ExhaustedError:
            return False
        finally:
            self.pivots_left -= before - max(budget.pivots, 0)

    def _relevant(self, claims: Conjunction, scope: Scope) -> tuple[list[Poly], list[Cases]]:
        """Return the facts that are connected to the claims, tightened, and the disjunctions."""
        rows = list(claims)
        cases: list[Cases] = []
        seen: set[int] = set()
        fresh = {a for claim in claims for a in claim.atoms}
        facts = [(fact, fact.atoms) for fact in scope.facts]
        splits = [(each, _atoms(each)) for each in scope.cases]
        while fresh:
            seen |= fresh
            reached: set[int] = set()
            for number in fresh:
                at = self.atoms[number]
                for fact in at.facts:
                    rows.append(fact)
                    reached |= fact.atoms
                for each in at.cases:
                    cases.append(each)
                    reached |= _atoms(each)
            rest = []
            for entry in facts:
                if entry[1].isdisjoint(seen):
                    rest.append(entry)
                else:
                    rows.append(entry[0])
                    reached |= entry[1]
            facts = rest
            later = []
            for split in splits:
                if split[1].isdisjoint(seen):
                    later.append(split)
                else:
                    cases.append(split[0])
                    reached |= split[1]
            splits = later
            fresh = reached - seen
        rows += [fact for fact, atoms in facts if not atoms]
        return rows, cases


class _Search:
    """One refutation: facts, their products, and the disjunctions in turn."""

    def __init__(self, facts: Facts, budget: Budget) -> None:
        self.facts = facts
        self.budget = budget

    def contradictory(self, rows: list[Poly], cases: list[Cases], splits: int) -> bool:
        rows = list(dict.fromkeys(row.tightened() for row in rows))
        lower, upper = self._bounds(rows)
        point = find_point(rows, lower, upper, self.budget)
        if point is None:
            return True
        if any(len(m) > 1 for row in rows for m in row.terms):
            more = self._products(rows, lower, upper)
            if more:
                rows = rows + more
                lower, upper = self._bounds(rows)
                point = find_point(rows, lower, upper, self.budget)
                if point is None:
                    return True
        if splits == 0:
            return False
        for at, alternatives in enumerate(cases):
            if not any(all(_holds(f, point) for f in facts) for facts in alternatives):
                rest = cases[:at] + cases[at + 1 :]
                return all(
                    self.contradictory([*rows, *facts], rest, splits - 1) for facts in alternatives
                )
        return False

    def _bounds(
        self, rows: list[Poly]
    ) -> tuple[dict[Monomial, int], dict[Monomial, int]]:
        """Return the bounds of the monomials in ``rows``; products of non-negatives are such."""
        lower: dict[Monomial, int] = {}
        upper: dict[Monomial, int] = {}
        signs = self._signs(rows)
        for row in rows:
            for monomial in row.terms:
                if len(monomial) == 1:
                    one = self.facts.atoms[monomial[0]]
                    if one.lower is not None:
                        lower[monomial] = one.lower
                    if one.upper is not None:
                        upper[monomial] = one.upper
                elif monomial and all(a in signs for a in monomial):
                    lower[monomial] = 0
        return lower, upper

    def _signs(self, rows: list[Poly]) -> set[int]:
        """Return the atoms that are never negative."""
        signs: set[int] = set()
        for row in rows:
            for each in row.atoms:
                low = self.facts.atoms[each].lower
                if low is not None and low >= 0:
                    signs.add(each)
            if len(row.atoms) == 1 and len(row.terms) <= 2 and row.terms.get((), 0) <= 0:
                (only,) = row.atoms
                if row.terms.get((only,), 0) > 0:
                    signs.add(only)
        return signs

    def _products(
        self, rows: list[Poly], lower: dict[Monomial, int], upper: dict[Monomial, int]
    ) -> list[Poly]:
        """Return linear facts times non-negative atoms, where that meets products in ``rows``."""
        signs = self._signs(rows)
        linear = [row for row in rows if all(len(m) <= 1 for m in row.terms)]
        have = set(rows)
        found: list[Poly] = []
        done: set[tuple[int, Monomial]] = set()
        pending = {m for row in rows for m in row.terms if len(m) > 1}
        for _ in range(2):
            fresh: list[Poly] = []
            for monomial in sorted(pending):
                for i, each in enumerate(monomial):
                    rest = monomial[:i] + monomial[i + 1 :]
                    if (each, rest) in done or not all(a in signs for a in rest):
                        continue
                    done.add((each, rest))
                    by = Poly({rest: 1})
                    for row in (*linear, *self._ends(each)):
                        if (each,) in row.terms:
                            product = (row * by).tightened()
                            if product not in have:
                                have.add(product)
                                fresh.append(product)
                    if len(found) + len(fresh) > MAX_PRODUCTS:
                        return found + fresh
            found += fresh
            pending = {m for row in fresh for m in row.terms if len(m) > 1}
        return found

    def _ends(self, number: int) -> list[Poly]:
        """Return the atom's own bounds as facts, other than its sign."""
        one = self.facts.atoms[number]
        ends = []
        if one.lower:
            ends.append(atom(number) - one.lower)
        if one.upper is not None and one.upper < 1 << 30:
            ends.append(constant(one.upper) - atom(number))
        return ends


def conjunction(a: Cases, b: Cases) -> Cases:
    """Return the condition that both hold; the weaker truth when that has too many cases."""
    if len(a) * len(b) > MAX_ALTERNATIVES:
        return a
    return tuple((*x, *y) for x in a for y in b)


def disjunction(a: Cases, b: Cases) -> Cases:
    """Return the condition that one of both holds."""
    if () in a or () in b or len(a) + len(b) > MAX_ALTERNATIVES:
        return TRUE
    return (*a, *b)


def equal(a: Poly, b: Poly) -> Conjunction:
    """Return the facts that say ``a == b``."""
    return (a - b, b - a)


FALSE: Cases = ((-ONE,),)


def _holds(fact: Poly, point: Point) -> bool:
    total: Number = 0
    for monomial, c in fact.terms.items():
        if monomial:
            value = point.get(monomial)
            if value is None:
                return False
            total += c * value
        else:
            total += c
    return total >= 0


def _atoms(cases: Cases) -> set[int]:
    return {a for facts in cases for fact in facts for a in fact.atoms}


def _pick(
    pick: Callable[[list[int]], int], values: list[int | None], every: bool
) -> int | None:
    """Return ``pick`` of the known values; None without one, or without one of ``every``."""
    known = [v for v in values if v is not None]
    return None if not known or (every and len(known) < len(values)) else pick(known)
