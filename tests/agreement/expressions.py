"""Random expressions of the tile language that are legal, in bounds, and well conditioned.

A `Term` carries what is known of its values, so that a comparison is only made of numbers that are
exact, a logarithm only of what is positive, and every output has a bound on its rounding error.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from tests.agreement.dice import Dice
from tests.agreement.terms import (
    EPS,
    F8,
    FLOATS,
    LEAST,
    LIMITS,
    NARROW,
    PLAIN,
    ZERO_ERROR,
    Term,
    add,
    cast,
    choose,
    divide,
    exact_in,
    function,
    literal,
    meet,
    mul,
    wide,
)

Kind = Literal["exact", "uniform", "big", "order"]

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
MOST = 1e4


@dataclass(frozen=True)
class Param:
    """A parameter: a tensor with the names of its dims, or a scalar; ``kind`` draws its values.

    With ``wild`` some are infinite, or no numbers.
    """

    name: str
    dtype: str
    dims: tuple[str, ...]
    kind: Kind
    low: float
    high: float
    step: float
    wild: bool = False


@dataclass
class Scope:
    """What can be named where an expression stands.

    ``tiled`` are ranges with a tile, ``standing`` those that are one position; ``most`` and
    ``least`` their extents over all launches. ``sizes`` names the dim of each range. ``foldable``
    are ranges that a reduction may take whole. ``wild``: floats may be infinite, or no numbers.
    """

    tiled: list[str]
    standing: list[str]
    sizes: dict[str, str]
    most: dict[str, int]
    least: dict[str, int]
    params: list[Param] = field(default_factory=list)
    bound: list[Term] = field(default_factory=list)
    dtypes: tuple[str, ...] = ("f32", "f16", "bf16", "i32", "i8")
    foldable: tuple[str, ...] = ()
    wild: bool = False

    def inner(self, *names: str) -> "Scope":
        """Return the scope inside a loop over further ranges; parameters are shared."""
        return replace(self, tiled=[*self.tiled, *names], bound=list(self.bound))


@dataclass
class Maker:
    """Draws expressions in a scope."""

    dice: Dice
    scope: Scope

    def pick(self, *items: str) -> str:
        """Draw one of some words."""
        return self.dice.pick(items)

    # ---- leaves

    def leaf(self, *dtypes: str) -> Term:
        """Return something that has a name, or a load from a new parameter."""
        known = [t for t in self.scope.bound if t.dtype in dtypes]
        if len(known) > 0 and self.dice.integer(0, 2) > 0:
            return self.dice.pick(known)
        usable = [d for d in dtypes if d in self.scope.dtypes]
        return self.load(self.pick(*(usable or dtypes)))

    def load(self, dtype: str, axes: tuple[str, ...] | None = None) -> Term:
        """Return a load of a new parameter, or of one that is there with these dims."""
        tiled, standing = self.scope.tiled, self.scope.standing
        if axes is None:
            whole = not tiled or self.dice.integer(0, 3) > 0
            chosen = tiled if whole else self.dice.some(tiled)
            loose = [s for s in standing if self.dice.flip()]
            axes = tuple(a for a in (*standing, *tiled) if a in loose or a in chosen)
            if 1 < len(axes) < 3 + (self.dice.one_in(21)) and self.dice.one_in(6):
                axes = tuple(self.dice.shuffled(axes))
        param = self.param(dtype, tuple(self.scope.sizes[a] for a in axes))
        text = f"{param.name}[{', '.join(axes)}]" if axes else param.name
        return self.term_of(param, text, frozenset(a for a in axes if a in tiled))

    def param(self, dtype: str, dims: tuple[str, ...]) -> Param:
        """Return a new parameter, or one that is there with the same dims."""
        same = [p for p in self.scope.params if p.dtype == dtype and p.dims == dims]
        if len(same) > 0 and self.dice.flip():
            return self.dice.pick(same)
        kind: Kind = "exact"
        low, high, step = -4.0, 4.0, 0.25
        if dtype in FLOATS:
            if self.dice.flip():
                kind, step = "uniform", 0.0
        elif dtype in (*NARROW, "u32"):
            (low, high), step = LIMITS[dtype], 1
        elif self.dice.one_in(4):
            kind, low, high, step = "big", -(2.0**30), 2.0**30, 1
        else:
            low, high, step = -50, 50, 1
        if dtype == "bool":
            kind, low, high, step = "exact", 0, 1, 1
        wild = self.scope.wild and dtype in FLOATS and self.dice.flip()
        made = Param(f"p{len(self.scope.params)}", dtype, dims, kind, low, high, step, wild)
        self.scope.params.append(made)
        return made

    def term_of(self, param: Param, text: str, axes: frozenset[str]) -> Term:
        """Return what is known of a parameter's elements."""
        return Term(text, param.dtype, axes, param.low, param.high, param.step, 0.0)

    def position(self) -> Term:
        """Return the positions of a range."""
        names = self.scope.tiled + self.scope.standing
        if not names:
            return self.leaf("i32")
        name = self.dice.pick(names)
        axes = frozenset([name] if name in self.scope.tiled else [])
        high = max(0, self.scope.most[name] - 1)
        return Term(name, "i32", axes, 0, high, 1, 0.0, places=True)

    def constant(self, other: Term) -> Term:
        """Return a literal that can stand beside ``other``."""
        if other.dtype in FLOATS:
            value = (
                self.dice.integer(-3, 3) / 2
                if other.dtype in F8
                else self.dice.integer(-12, 12) / 4
            )
            return literal(f"{value}", other.dtype, value, 0.25)
        low, high = LIMITS.get(other.dtype, (-9, 9))
        value = self.dice.integer(max(-9, int(low)), min(9, int(high)))
        return literal(f"{value}", other.dtype, value, 1)

    # ---- floats

    def number(self, depth: int) -> Term:
        """Return a float."""
        if depth <= 0:
            return self.leaf(*FLOATS)
        way = self.pick(
            "binary", "binary", "binary", "unary", "unary", "where", "cast", "fold", "clamp",
            "fma", "divide", "int", "power", "select", "random",
        )  # fmt: skip
        match way:
            case "binary":
                a, b = self.pair(depth)
                return self.arithmetic(self.pick("+", "-", "*"), a, b)
            case "select":
                a, b = self.pair(depth)
                return choose(self.pick("max", "min"), a, b)
            case "unary":
                return self.unary(self.number(depth - 1))
            case "where":
                a, b = self.pair(depth)
                return self.where(depth, a, b)
            case "cast":
                a = self.number(depth - 1)
                return (
                    cast(a, self.pick(*(PLAIN if self.scope.wild else FLOATS)))
                    if a.most < 3e4
                    else a
                )
            case "fold":
                return self.fold(self.number(depth - 1), "sum", "max", "min", "mean")
            case "clamp":
                low = self.dice.integer(-8, 2) / 2
                high = low + self.dice.integer(0, 6) / 2
                a = self.number(depth - 1)
                return Term(
                    f"clamp({a.text}, {low}, {high})", a.dtype, a.axes, low, high,
                    min(a.step, 0.5), min(a.err, high - low), a.spelled,
                )  # fmt: skip
            case "fma":
                a, b = self.pair(depth - 1)
                c = self.number(depth - 2)
                product = mul(a, b)
                whole = add(product, c)
                if whole.most > MOST:
                    return c
                return replace(
                    whole, text=f"fma({a.text}, {b.text}, {c.text})",
                    step=whole.step if product.step else 0.0,
                )  # fmt: skip
            case "divide":
                a, b = self.pair(depth)
                below = add(self.absolute(b), literal("1.0", b.dtype, 1.0, 1.0))
                return divide(a, below)
            case "random":
                at = self.integer(depth - 1)
                text = f"rand({self.dice.integer(-3, 3)}, {at.text})"
                return Term(text, "f32", at.axes, 0, 1, 2.0**-24, 0.0, at.spelled)
            case "power":
                a = self.number(depth - 1)
                times = self.dice.integer(2, 3)
                product = mul(a, a) if times == 2 else mul(mul(a, a), a)
                if product.most > MOST:
                    return a
                return replace(product, text=f"({a.text} ** {times})")
            case _:
                whole = self.integer(depth - 1)
                if whole.most >= 2**24:
                    return self.leaf(*FLOATS)
                return cast(whole, "f32")

    def pair(self, depth: int) -> tuple[Term, Term]:
        """Return two floats of which at most one is a literal."""
        a = self.number(depth - 1)
        side = self.dice.integer(0, 3)
        b = self.constant(a) if side == 0 else self.number(depth - 1)
        return (b, a) if side == 1 else (a, b)

    def arithmetic(self, op: str, a: Term, b: Term) -> Term:
        """Return a sum, difference or product that stays small."""
        result = mul(a, b) if op == "*" else add(a, b, op)
        return result if result.most <= MOST else choose("min", a, b)

    def absolute(self, a: Term) -> Term:
        """Return an absolute value."""
        low = max(0.0, a.lo, -a.hi)
        return replace(a, text=f"abs({a.text})", dtype=wide(a.dtype), lo=low, hi=a.most)

    def unary(self, a: Term) -> Term:
        """Return a function of ``a`` where it is smooth."""
        name = self.pick(
            "exp", "exp2", "expm1", "log", "log2", "log1p", "sqrt", "rsqrt", "tanh", "erf", "sin",
            "cos", "sigmoid", "abs", "neg", "floor", "ceil", "round", "trunc", "sign",
        )  # fmt: skip
        match name:
            case "exp" | "exp2" | "expm1":
                if a.hi > 6 or a.lo < -60:
                    a = replace(
                        a, text=f"clamp({a.text}, -6.0, 2.0)", lo=-6.0, hi=2.0,
                        err=min(a.err, 8.0),
                    )  # fmt: skip
                return function(name, a)
            case "log" | "log2" | "log1p" | "sqrt" | "rsqrt":
                if a.lo - a.err < LEAST:
                    a = add(self.absolute(a), literal("0.5", a.dtype, 0.5, 0.5))
                return function(name, a)
            case "tanh" | "erf" | "sin" | "cos" | "sigmoid":
                return function(name, a)
            case "abs":
                return self.absolute(a)
            case "neg":
                return replace(a, text=f"(-{a.text})", dtype=wide(a.dtype), lo=-a.hi, hi=-a.lo)
            case "sign" if a.step:
                return replace(
                    a, text=f"sign({a.text})", dtype=wide(a.dtype), lo=-1, hi=1, step=1.0
                )
            case "floor" | "ceil" | "round" | "trunc" if a.step:
                return replace(
                    a, text=f"{name}({a.text})", lo=a.lo - 1, hi=a.hi + 1, step=max(1.0, a.step)
                )
            case _:
                return self.absolute(a)

    def fold(self, a: Term, *names: str) -> Term:
        """Return a reduction of ``a``, where it has a range that may be folded."""
        over = [x for x in self.scope.foldable if x in a.axes]
        if not over or a.spelled:
            return a
        axes = self.dice.some(over, 1)
        return self.fold_over(a, tuple(axes), self.pick(*names))

    def fold_over(self, a: Term, axes: tuple[str, ...], name: str) -> Term:
        """Return the reduction ``name`` of ``a`` over ``axes``."""
        count = 1
        empty = False
        for axis in axes:
            count *= self.scope.most[axis]
            empty = empty or self.scope.least[axis] == 0
        if empty and name in ("max", "min", "mean"):
            name = "sum"
        if name in ("sum", "mean") and a.most * count > (MOST * 8 if a.dtype in FLOATS else 2**30):
            if empty:
                return a
            name = "max"
        text = f"{name}({a.text} over {', '.join(axes)})"
        left = a.axes - set(axes)
        if name in ("max", "min"):
            return replace(a, text=text, axes=left)
        if name in ("any", "all"):
            return Term(text, "bool", left, 0, 1, 1, 0.0)
        total = a.most * count
        low, high = min(0.0, a.lo * count), max(0.0, a.hi * count)
        if a.dtype not in FLOATS:
            return Term(text, "i32", left, low, high, 1, 0.0)
        step = a.step if a.step and total / a.step <= 2**24 else 0.0
        err = a.err * count + (0.0 if step else total * EPS["f32"] * 4)
        if name == "mean":
            step, low, high, err = 0.0, a.lo, a.hi, a.err + a.most * EPS["f32"] * 8
        return Term(text, "f32", left, low, high, step, err)

    # ---- integers

    def integer(self, depth: int) -> Term:
        """Return an integer."""
        if depth <= 0:
            way = self.pick("leaf", "leaf", "leaf", "leaf", "position", "position", "long")
            if way == "long":
                return self.long()
            return self.position() if way == "position" else self.leaf("i32", *NARROW)
        way = self.pick("+", "-", "*", "//", "%", "bits", "shift", "select", "where", "fold",
                        "abs", "of_float", "of_bool", "narrow", "not", "clamp", "popcount", "wrap",
                        "power", "random")  # fmt: skip
        a = self.integer(depth - 1)
        match way:
            case "+" | "-" | "*":
                b = self.constant(a) if self.dice.flip() else self.integer(depth - 1)
                result = mul(a, b) if way == "*" else add(a, b, way)
                positions = a.places and (b.places or not b.axes)
                if positions and (a.axes & b.axes or way == "*"):  # ranges could cancel
                    return choose("max", a, b)
                return replace(result, places=positions) if result.most < 2**31 else a
            case "//" | "%":
                by = self.dice.integer(1, 20) * self.dice.pick([1, 1, -1])
                text = f"({a.text} {way} {by})"
                if way == "//":
                    ends = (a.lo // by, a.hi // by)
                    return Term(text, wide(a.dtype), a.axes, min(ends), max(ends), 1, 0.0)
                ends = (0, by)
                return Term(text, wide(a.dtype), a.axes, min(ends), max(ends), 1, 0.0)
            case "bits":
                b = self.constant(a) if self.dice.flip() else self.integer(depth - 1)
                op = self.pick("&", "|", "^")
                most = 1.0
                while most < max(a.most, b.most) + 1:
                    most *= 2
                return Term(
                    f"({a.text} {op} {b.text})", meet(wide(a.dtype), wide(b.dtype)),
                    a.axes | b.axes, -most, most - 1, 1, 0.0,
                )  # fmt: skip
            case "shift":
                by = self.dice.integer(0, 5)
                if self.dice.flip() and a.most * 2**by < 2**31:
                    text, low, high = f"({a.text} << {by})", a.lo * 2**by, a.hi * 2**by
                else:
                    text, low, high = f"({a.text} >> {by})", a.lo // 2**by, a.hi // 2**by
                return Term(text, wide(a.dtype), a.axes, low, high, 1, 0.0)
            case "select":
                b = self.constant(a) if self.dice.flip() else self.integer(depth - 1)
                return choose(self.pick("max", "min"), a, b)
            case "where":
                b = self.constant(a) if self.dice.flip() else self.integer(depth - 1)
                return self.where(depth, a, b)
            case "fold":
                return self.fold(a, "sum", "max", "min")
            case "abs":
                return replace(
                    a, text=f"abs({a.text})", dtype=wide(a.dtype), lo=0, hi=a.most, step=1
                )
            case "not":
                return replace(
                    a, text=f"(~{a.text})", dtype=wide(a.dtype), lo=-a.hi - 1, hi=-a.lo - 1
                )
            case "clamp":
                ends = LIMITS.get(a.dtype, (-60, 100))
                low = self.dice.integer(max(-60, int(ends[0])), min(20, int(ends[1])))
                high = min(int(ends[1]), low + self.dice.integer(0, 80))
                return replace(a, text=f"clamp({a.text}, {low}, {high})", lo=low, hi=high)
            case "popcount":
                return Term(f"popcount({a.text})", "i32", a.axes, 0, 32, 1, 0.0, a.spelled)
            case "wrap":
                dtype = self.pick(*NARROW)
                low, high = LIMITS[dtype]
                return replace(
                    a, text=f"wrap({dtype}, {a.text})", dtype=dtype, lo=low, hi=high, places=False
                )
            case "power":
                b = self.constant(a) if self.dice.flip() else self.integer(depth - 1)
                text = f"((({a.text} & 7) - 3) ** (({b.text} & 7) - 2))"
                most = 4.0**5
                return Term(text, "i32", a.axes | b.axes, -most, most, 1, 0.0)
            case "random":
                text = f"(bitcast(i32, bits({self.dice.integer(-3, 3)}, {a.text})) & 4095)"
                return Term(text, "i32", a.axes, 0, 4095, 1, 0.0, a.spelled)
            case "of_float":
                f = self.number(depth - 1)
                if not f.step or f.most > 2**23 or self.scope.wild:
                    return a
                text = f"i32({f.text})" if self.dice.flip() else f"i32(round({f.text}))"
                return Term(text, "i32", f.axes, -f.most - 1, f.most + 1, 1, 0.0, f.spelled)
            case "of_bool":
                c = self.truth(depth - 1)
                return Term(f"i32({c.text})", "i32", c.axes, 0, 1, 1, 0.0, c.spelled)
            case _:
                way = self.pick("i32", "i64", "u32", *NARROW)
                if way == "i64":
                    return replace(a, text=f"i32(i64({a.text}))", dtype="i32", places=False)
                if way == "u32":
                    ends = max(0.0, a.lo), max(0.0, a.hi)
                    text = f"i32(u32({a.text}))"
                    return replace(a, text=text, dtype="i32", lo=ends[0], hi=ends[1], places=False)
                return cast(a, way)

    def long(self) -> Term:
        """Return what becomes of numbers of 64 bits, or of u32, which wraps."""
        by, more = self.dice.integer(1, 9), self.dice.integer(1, 1000)
        if self.dice.flip():
            a = self.load("u32")
            text = f"i32(({a.text} * {by} + {more}) % 1000003)"
            return Term(text, "i32", a.axes, 0, 1000002, 1, 0.0)
        a, b = self.load("i64"), self.load("i64")
        text = f"i32(({a.text} * {by} - max({b.text}, {more})) // {more})"
        most = 2.0**31
        return Term(text, "i32", a.axes | b.axes, -most, most - 1, 1, 0.0)

    # ---- truth values

    def truth(self, depth: int) -> Term:
        """Return a bool."""
        if self.dice.one_in(6):
            return self.leaf("bool")
        if depth <= 0 and self.dice.integer(0, 2):
            a, b = self.position(), self.integer(0)
            return self.compared(self.pick(*COMPARISONS), a, b)
        way = self.pick("float", "float", "int", "int", "and", "or", "not", "fold", "isnan")
        match way:
            case "float":
                a = self.number(depth - 1)
                b = self.constant(a) if self.dice.flip() else self.number(depth - 1)
                if a.step and b.step:
                    return self.compared(self.pick(*COMPARISONS), a, b)
                return self.compared("<", self.position(), self.integer(0))
            case "int":
                a = self.integer(depth - 1)
                b = self.constant(a) if self.dice.flip() else self.integer(depth - 1)
                return self.compared(self.pick(*COMPARISONS), a, b)
            case "and" | "or":
                a, b = self.truth(depth - 2), self.truth(depth - 2)
                return Term(
                    f"({a.text} {way} {b.text})", "bool", a.axes | b.axes, 0, 1, 1, 0.0,
                    a.spelled or b.spelled,
                )  # fmt: skip
            case "not":
                a = self.truth(depth - 1)
                return replace(a, text=f"(not {a.text})")
            case "isnan":
                a = self.number(depth - 1)
                return Term(f"{self.pick('isnan', 'isinf')}({a.text})", "bool", a.axes, 0, 1, 1,
                            0.0, a.spelled)  # fmt: skip
            case _:
                return self.fold(self.truth(depth - 1), "any", "all")

    def compared(self, op: str, a: Term, b: Term) -> Term:
        """Return a comparison of two exact terms."""
        floats = a.dtype in FLOATS and b.dtype in FLOATS
        spelled = a.spelled or b.spelled or (floats and _outer(a, b))
        return Term(f"({a.text} {op} {b.text})", "bool", a.axes | b.axes, 0, 1, 1, 0.0, spelled)

    def where(self, depth: int, a: Term, b: Term) -> Term:
        """Return a selection between ``a`` and ``b``."""
        c = self.truth(depth - 1)
        result = choose("where", a, b)
        text = f"where({c.text}, {a.text}, {b.text})"
        return replace(
            result, text=text, axes=result.axes | c.axes, spelled=result.spelled or c.spelled
        )


def _outer(a: Term, b: Term) -> bool:
    return not (a.axes <= b.axes or b.axes <= a.axes)


__all__ = ["ZERO_ERROR", "Maker", "Param", "Scope", "Term", "exact_in"]
