"""Random kernels whose ranges, indices and stores are not plain: slices, windows, updates."""

from tests.agreement.dice import Dice
from tests.agreement.expressions import Maker, Param, Scope
from tests.agreement.terms import EPS, FLOATS, Term, cast
from tests.agreement.writer import Sample, Writer, dtypes, out_type


def slices(dice: Dice) -> Sample:
    """Grids and loops over slices, bands around the diagonal, branches on numbers."""
    w = Writer(dice, dice.integer(1, 3))
    m = w.range("m", ("tile", "tile", "one"), 49)
    n = w.range("n", ("tile", "tile", "one"), 65)
    low, high = _bound(w, dice), _bound(w, dice)
    grid = dice.pick(("M", "M", f"M[{low} ..]", f"M[.. {high}]", "M[1 .. M - 1]"))
    w.add(1, f"grid m in {grid}" + (f" by {m.by}" if m.by else ""))
    scope = w.scope(["m"], dtypes(dice))
    sums = [a for a in scope.tiled if dice.integer(0, 4)]
    type_ = "f32" + (f"[{', '.join(sums)}]" if sums else "")
    w.add(1, f"var s0: {type_} = 0")
    band = dice.integer(0, 3)
    first, last = dice.integer(-3, 3), dice.integer(0, 6)
    domain = {
        0: dice.pick((f"N[{low} .. {high}]", f"N[{low} ..]", "N[N // 3 .. N // 2]")),
        1: "N[.. end(m)]",
        2: f"N[start(m) + {first} .. end(m) + {first + last}]",
        3: f"N[size(m) - {last} ..]",
    }[band]  # fmt: skip
    by = f" by {n.by}" if n.by else ""
    w.add(1, f"for n in {domain}{by}:")
    inside = scope.inner(*(["n"] if n.by else []))
    inside.standing = scope.standing if n.by else [*scope.standing, "n"]
    axes = [*sums, *(["n"] if n.by else [])]
    narrow = Scope(
        axes, inside.standing, scope.sizes, scope.most, scope.least, scope.params, [], scope.dtypes
    )
    maker = Maker(dice, narrow)
    term = maker.number(dice.integer(1, 3))
    mask = {
        1: "n <= m",
        2: f"n >= m + {first} and n <= m + {first + last}",
        3: "n % 2 == 0",
    }.get(band, "")
    whole = "m" in axes or m.form == "one"
    if band in (1, 2) and not whole:  # what the state lacks must not decide how far the loop runs
        w.lines[-1] = f"    for n in N{by}:"
        mask = "n % 3 != 1"
    if band == 3:
        w.lines[-1] = f"    for n in N[{last} ..]{by}:"
    if "n" in axes and "n" not in term.axes and not mask:
        mask = "n >= 0"
    text = f"where({mask}, {term.text}, 0.0)" if mask else term.text
    if term.spelled:
        listed = ", ".join(a for a in axes if a in term.axes | {"m", "n"})
        if set(axes) <= {"m", "n"}:
            w.add(2, f"v: f32[{listed}] = {text}")
            text = "v"
    if n.by:
        text = f"sum({text} over n)"
    branch = dice.integer(0, 3)
    total = term.most * max(n.sizes)
    err = term.err * max(n.sizes) + total * EPS["f32"] * 8
    if branch == 0:
        w.add(2, f"if {dice.pick((low, high))} {dice.pick('<>')} 2:")
        w.add(3, f"s0 += {text}")
    elif branch == 1 and n.form == "one":
        w.add(2, f"if n % 3 == {dice.integer(0, 2)}:")
        w.add(3, f"s0 += {text}")
        w.add(2, "else:")
        w.add(3, f"s0 = s0 - {text}")
    else:
        w.add(2, f"s0 += {text}")
    scope.bound.append(Term("s0", "f32", frozenset(sums), -total, total, 0.0, err))
    after = Maker(dice, scope)
    result = scope.bound[0] if dice.flip() else after.number(2)
    w.store(1, ["m"], result, out_type(after, result), initial="0")
    return w.finish("slices")


def _bound(w: Writer, dice: Dice) -> str:
    """Return a number that bounds a slice: a literal, or a parameter."""
    if dice.flip():
        return str(dice.integer(0, 40))
    name = f"at{len(w.params)}"
    w.params.append(Param(name, "i32", (), "exact", -5, 50, 1))
    return name


def windows(dice: Dice) -> Sample:
    """Affine indices: strides, windows, reversals, diagonals."""
    w = Writer(dice, dice.integer(1, 2), widest=16)
    names = ["b"] if dice.flip() else []
    if names:
        w.range("b", ("one", "tile"), 5)
    w.range("p", ("tile", "tile", "one"), 48, least=1)
    span = dice.integer(1, 5)
    stride = dice.integer(1, 3)
    loose = dice.integer(0, 2)
    w.ranges["r"] = type(w.ranges["p"])("r", "span", (span,) * w.launches, pinned=True)
    w.declare([*names, "p", "r"])
    dtype = dice.pick(FLOATS)
    extent = f"{stride} * P + {span + loose}"
    shape = (*(["B"] if names else []), extent)
    w.params.append(Param("x", dtype, shape, "exact", -4, 4, 0.25))
    scope = w.scope([*names, "p", "r"], (dtype, "f32", "i32"))
    at = f"p * {stride} + r" if stride > 1 else "p + r"
    if loose and dice.flip():
        at += f" + {loose}"
    index = ", ".join([*names, at])
    axes = frozenset(a for a in scope.tiled if a in (*names, "p", "r"))
    scope.bound.append(Term(f"x[{index}]", dtype, axes, -4, 4, 0.25, 0.0))
    if dice.flip():
        w.params.append(Param("w", dtype, (str(span),), "exact", -4, 4, 0.25))
        scope.bound.append(Term("w[r]", dtype, frozenset("r"), -4, 4, 0.25, 0.0))
    if dice.one_in(3) and "p" in axes:
        w.params.append(Param("z", dtype, ("P", "P"), "exact", -4, 4, 0.25))
        scope.bound.append(Term("z[p, p]", dtype, frozenset("p"), -4, 4, 0.25, 0.0))
    if "p" in axes and dice.one_in(4):
        w.params.append(Param("u", dtype, ("P",), "exact", -4, 4, 0.25))
        scope.bound.append(Term("u[P - 1 - p]", dtype, frozenset("p"), -4, 4, 0.25, 0.0))
    maker = Maker(dice, scope)
    order = [*names, "p"]
    for _ in range(dice.integer(1, 2)):
        term = maker.number(dice.integer(1, 3))
        if term.spelled:
            term = w.bind(scope, 1, term)
        if "r" in term.axes:
            term = maker.fold_over(term, ("r",), maker.pick("sum", "max", "min"))
        w.store(1, order, term, out_type(maker, term))
    return w.finish("windows")


def updates(dice: Dice) -> Sample:
    """Atomic updates of sums and extremes, by programs that share their outputs."""
    w = Writer(dice, dice.integer(1, 2))
    w.range("m", ("tile", "tile", "one"), 33)
    w.range("n", ("tile", "tile", "span"), 65)
    w.declare(["m", "n"])
    scope = w.scope(["m", "n"], dtypes(dice))
    maker = Maker(dice, scope)
    for _ in range(dice.integer(1, 2)):
        how = dice.pick(("+=", "max=", "min="))
        term = maker.number(2) if dice.flip() else maker.integer(2)
        if term.dtype in FLOATS:
            term = cast(term, "f32") if term.dtype != "f32" else term
            most = term.most * max(w.ranges["m"].sizes) * max(w.ranges["n"].sizes)
            err = term.err * most / max(term.most, 1e-3) + most * EPS["f32"] * 16
        else:
            term = cast(cast(term, "i8"), "i32")
            most, err = 0.0, 0.0
        keep = [a for a in ("m", "n") if dice.flip()]
        axes = [a for a in scope.tiled if a in term.axes and a not in keep]
        if how == "+=" and any(a not in keep and a not in axes for a in scope.tiled):
            how = "max="  # a sum over tiles would count each once
        if term.spelled:
            term = w.bind(scope, 1, term)
        if axes:
            fold = {"+=": "sum", "max=": "max", "min=": "min"}[how]
            text = f"{fold}({term.text} over {', '.join(axes)})"
            term = Term(text, term.dtype, term.axes - set(axes), term.lo, term.hi, 0, err)
        elif how == "+=":
            term = Term(term.text, term.dtype, term.axes, -most, most, 0, err)
        start = {"+=": "0", "max=": f"lowest({term.dtype})", "min=": f"highest({term.dtype})"}
        w.store(1, keep, term, term.dtype, initial=start[how], how=how)
    return w.finish("updates")


def thin(dice: Dice) -> Sample:
    """Products of a matrix and a vector, of vectors, and over two ranges."""
    w = Writer(dice, dice.integer(1, 2))
    w.range("m", ("tile", "tile", "span"), 49)
    k = w.range("k", ("tile", "tile", "span"), 97)
    dtype = dice.pick((*FLOATS, "i8", "i4"))
    wide = "i32" if dtype in ("i8", "i4") else "f32"
    loop = k.form == "tile"
    w.declare(["m"] if loop else ["m", "k"])
    scope = w.scope(["m"] if loop else ["m", "k"], (dtype, wide))
    if loop:
        w.add(1, f"var s0: {wide}[m] = 0")
        w.add(1, f"for k in K by {k.by}:")
        inside = scope.inner("k")
    else:
        inside = scope
    maker = Maker(dice, inside)
    a = maker.load(dtype, dice.pick((("m", "k"), ("k", "m"))))
    x = maker.load(dtype, dice.pick((("k",), ("k",), ("m", "k"))))
    pair = (a, x) if dice.flip() else (x, a)
    text = f"dot({pair[0].text}, {pair[1].text} over k)"
    if dice.flip() and "m" not in x.axes:
        text = f"({pair[0].text} @ {pair[1].text})"
    most = a.most * x.most * max(k.sizes)
    err = 0.0 if wide == "i32" else most * EPS["f32"] * 8
    exact = a.step * x.step if a.step and x.step and most / (a.step * x.step) < 2**24 else 0.0
    term = Term(text, wide, frozenset("m"), -most, most, exact, 0.0 if exact else err)
    if loop:
        w.add(2, f"s0 += {text}")
        term = Term("s0", wide, frozenset("m"), -most, most, exact, 0.0 if exact else err)
    after = w.scope(["m"], (dtype, wide))
    maker = Maker(dice, after)
    if dice.flip():
        after.bound.append(term)
        more = maker.number(2) if wide == "f32" else maker.integer(2)
        if "m" in more.axes:
            term = more
    w.store(1, ["m"], term, out_type(maker, term))
    return w.finish("thin")


DOMAINS = {"slices": slices, "windows": windows, "updates": updates, "thin": thin}
