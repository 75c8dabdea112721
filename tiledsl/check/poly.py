"""Polynomials with integer coefficients over numbered atoms: how the prover writes an integer."""

from collections.abc import Mapping
from math import gcd

# The atoms that are multiplied, in ascending order; () is the constant.
Monomial = tuple[int, ...]


class Poly:
    """A sum of monomials, immutable; ``terms`` has no zero coefficients."""

    __slots__ = ("_atoms", "_hash", "terms")

    def __init__(self, terms: dict[Monomial, int]) -> None:
        self.terms = terms
        self._hash: int | None = None
        self._atoms: frozenset[int] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __add__(self, other: "Poly | int") -> "Poly":
        if isinstance(other, int):
            return self._shifted(other)
        return self._plus(other, 1)

    def __sub__(self, other: "Poly | int") -> "Poly":
        if isinstance(other, int):
            return self._shifted(-other)
        return self._plus(other, -1)

    def __rsub__(self, other: int) -> "Poly":
        return (-self)._shifted(other)

    def __neg__(self) -> "Poly":
        return Poly({m: -c for m, c in self.terms.items()})

    def __mul__(self, other: "Poly | int") -> "Poly":
        if isinstance(other, int):
            return Poly({m: c * other for m, c in self.terms.items()}) if other else ZERO
        terms: dict[Monomial, int] = {}
        for m, c in self.terms.items():
            for n, d in other.terms.items():
                key = tuple(sorted(m + n)) if m and n else m or n
                terms[key] = terms.get(key, 0) + c * d
        return Poly({m: c for m, c in terms.items() if c})

    def __repr__(self) -> str:
        terms = (f"{c}{''.join(f'·a{a}' for a in m)}" for m, c in self.terms.items())
        return " + ".join(terms) or "0"

    @property
    def constant(self) -> int | None:
        """The number that this is, or None when there is an atom in it."""
        if not self.terms:
            return 0
        return self.terms.get(()) if len(self.terms) == 1 else None

    @property
    def atoms(self) -> frozenset[int]:
        """The atoms in it."""
        if self._atoms is None:
            self._atoms = frozenset(a for m in self.terms for a in m)
        return self._atoms

    @property
    def sole_atom(self) -> int | None:
        """The atom that this is, and nothing else."""
        if len(self.terms) != 1:
            return None
        ((monomial, coefficient),) = self.terms.items()
        return monomial[0] if len(monomial) == 1 and coefficient == 1 else None

    def replace(self, values: "Mapping[int, Poly]") -> "Poly":
        """Return this with atoms replaced by polynomials."""
        if self.atoms.isdisjoint(values):
            return self
        total = ZERO
        for monomial, coefficient in self.terms.items():
            product = constant(coefficient)
            for each in monomial:
                product = product * values.get(each, Poly({(each,): 1}))
            total = total + product
        return total

    def split(self, divisor: "Poly") -> "tuple[Poly, Poly]":
        """Return ``(q, r)`` with ``self == q * divisor + r`` and what divides exactly in ``q``.

        The divisor is one monomial; a number takes the constant's quotient along.
        """
        if len(divisor.terms) != 1:
            return ZERO, self
        ((by, factor),) = divisor.terms.items()
        quotient: dict[Monomial, int] = {}
        rest: dict[Monomial, int] = {}
        for monomial, coefficient in self.terms.items():
            if not monomial and not by:
                q, r = divmod(coefficient, factor)
                quotient[()], rest[()] = q, r
                continue
            left = _without(monomial, by)
            if left is None or coefficient % factor:
                rest[monomial] = coefficient
            else:
                quotient[left] = coefficient // factor
        return (Poly({m: c for m, c in quotient.items() if c}),
                Poly({m: c for m, c in rest.items() if c}))  # fmt: skip

    def tightened(self) -> "Poly":
        """Return the strongest form of ``self >= 0``: divided by what its coefficients share."""
        shared = 0
        for monomial, coefficient in self.terms.items():
            if monomial:
                shared = gcd(shared, coefficient)
                if shared == 1:
                    return self
        if shared <= 1:
            return self
        return Poly({m: c // shared for m, c in self.terms.items() if m or c // shared})

    def _plus(self, other: "Poly", sign: int) -> "Poly":
        terms = dict(self.terms)
        for monomial, coefficient in other.terms.items():
            total = terms.get(monomial, 0) + sign * coefficient
            if total:
                terms[monomial] = total
            else:
                terms.pop(monomial, None)
        return Poly(terms)

    def _shifted(self, by: int) -> "Poly":
        if not by:
            return self
        terms = dict(self.terms)
        total = terms.get((), 0) + by
        if total:
            terms[()] = total
        else:
            del terms[()]
        return Poly(terms)


def constant(value: int) -> Poly:
    """Return the number as a polynomial."""
    return Poly({(): value}) if value else ZERO


def atom(number: int) -> Poly:
    """Return the atom as a polynomial."""
    return Poly({(number,): 1})


def _without(monomial: Monomial, factor: Monomial) -> Monomial | None:
    left = list(monomial)
    for each in factor:
        if each not in left:
            return None
        left.remove(each)
    return tuple(left)


ZERO = Poly({})
ONE = Poly({(): 1})
