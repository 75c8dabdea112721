"""Random kernels with lookups, defaults, permuted stores, scans, sorts and searches."""

from tests.agreement.dice import Dice
from tests.agreement.expressions import Maker, Param
from tests.agreement.terms import EPS, FLOATS, Term
from tests.agreement.writer import Sample, Writer, dtypes, out_type

ROWS = 11  # of the tensors that are looked up


def lookups(dice: Dice) -> Sample:
    """Return a kernel whose indices are read from tensors, or computed, or may be outside."""
    w = Writer(dice, dice.integer(1, 2), widest=16)
    w.range("m", ("tile", "tile", "one"), 33)
    w.range("n", ("tile", "tile", "span", "one"), 33)
    w.ranges["r"] = type(w.ranges["m"])("r", "span", (3,) * w.launches, pinned=True)
    w.declare(["m", "n", "r"])
    dtype = dice.pick((*FLOATS, "i32", "i8"))
    scope = w.scope(["m", "n", "r"], (dtype, *dtypes(dice)))
    w.params.append(Param("ids", "i32", ("M",), "exact", -3, ROWS + 2, 1))
    wide = w.ranges["n"].dim
    w.params.append(Param("t", dtype, (str(ROWS), wide), "exact", -8, 8, 1))
    w.params.append(Param("x", dtype, ("M", wide), "exact", -8, 8, 1))
    axes = frozenset(a for a in ("m", "n") if a in scope.tiled)
    window = axes | {"r"}
    reads = (
        ("t[ids[m], n else 1]", axes),
        ("t[ids[m] % 11, n]", axes),
        ("t[clamp(ids[m], 0, 10), n]", axes),
        ("t[abs(ids[m]) // 2, n else 2]", axes),
        ("x[m + r - 1, n else 0]", window),
        ("x[m, n + r - 2 else -1]", window),
        ("x[m // 2, n]", axes),
        ("x[m, n // 3]", axes),
        ("x[ids[m], n % 7 else 3]", axes),
        ("x[m, ids[m] else 5]", axes & {"m"}),
        ("t[(m + n) % 11, n]", axes),
    )
    for text, held in dice.some(reads, 1)[:2]:
        if dtype in FLOATS:
            head, default, tail = text.partition(" else ")
            text = f"{head}{default}{tail[:-1]}.0]" if tail else text
        loaded = Term(text, dtype, held, -8, 8, 1, 0.0)
        scope.bound.append(w.bind(scope, 1, loaded) if dice.flip() else loaded)
    maker = Maker(dice, scope)
    for _ in range(dice.integer(1, 2)):
        term = maker.number(dice.integer(1, 3)) if dice.flip() else maker.leaf(dtype)
        if "r" in term.axes:
            term = w.bind(scope, 1, term) if term.spelled else term
            term = maker.fold_over(term, ("r",), maker.pick("sum", "max", "min"))
        w.store(1, ["m", "n"], term, out_type(maker, term))
    if dice.flip():
        term = maker.load(dtype, ("m", "n"))
        w.params.append(Param("to", "i32", ("M",), "order", 0, 0, 1))
        w.store(1, ["m", "n"], term, dtype, initial="0")
        line = w.lines.pop()
        if dice.flip():
            line = line.replace("[m, n]", "[to[m] - 1, n else skip]", 1)
        else:
            line = line.replace("[m, n]", "[to[m], n else skip]", 1)
        w.lines.append(line.replace("    y", "    disjoint y", 1))
    return w.finish("lookups")


def orders(dice: Dice) -> Sample:
    """Return a kernel that scans, sorts, searches or multiplies along rows."""
    w = Writer(dice, dice.integer(1, 2), widest=16)
    w.range("m", ("tile", "tile", "one", "span"), 17)
    w.range("n", ("span",), 48, least=1)
    w.declare(["m", "n"])
    scope = w.scope(["m", "n"], dtypes(dice))
    maker = Maker(dice, scope)
    grid = ["m"] if w.ranges["m"].form != "span" else []
    for _ in range(dice.integer(1, 2)):
        dtype = dice.pick((*FLOATS, "i32", "i8"))
        both = maker.load(dtype, ("m", "n") if dice.one_in(2) else ("n",))
        if dice.flip() and dtype in FLOATS:
            narrow = maker.number(1)
            both = narrow if "n" in narrow.axes and narrow.step and not narrow.spelled else both
        order: list[str] = [a for a in ("m", "n") if a in grid or a in both.axes]
        way = dice.pick(("cumsum", "cummax", "cummin", "argmax", "argmin", "prod", "sort"))
        count = max(w.ranges["n"].sizes)
        left = both.axes - {"n"}
        rows: list[str] = [a for a in order if a != "n"]
        text = f"{way}({both.text} over n)"
        match way:
            case "cumsum":
                total = both.most * count
                step = both.step if both.step and total / both.step < 2**24 else 0.0
                err = 0.0 if step else both.err * count + total * EPS["f32"] * 8
                wide = "f32" if both.dtype in FLOATS else "i32"
                term = Term(text, wide, both.axes, -total, total, step, err)
                if wide == "i32" and total >= 2**31:
                    continue
                w.store(1, order, term, out_type(maker, term))
            case "cummax" | "cummin":
                kept = Term(text, both.dtype, both.axes, both.lo, both.hi, both.step, both.err)
                w.store(1, order, kept, out_type(maker, kept))
            case "argmax" | "argmin":
                if both.err == 0:
                    w.store(1, rows, Term(text, "i32", left, 0, count, 1, 0), "i32")
            case "prod" if both.dtype in FLOATS:
                near = f"prod(clamp({both.text}, 0.75, 1.25) over n)"
                high = 1.25**count
                w.store(1, rows, Term(near, "f32", left, 0, high, 0, high * 1e-5), "f32")
            case "sort" if both.err == 0:
                name = f"v{w.bound}"
                w.bound += 1
                w.add(1, f"{name}, i{name} = sort({both.text} over n)")
                kept = Term(name, both.dtype, both.axes, both.lo, both.hi, both.step, both.err)
                w.store(1, order, kept, both.dtype)
                w.store(1, order, Term(f"i{name}", "i32", both.axes, 0, count, 1, 0), "i32")
            case _:
                pass
    if not w.outputs:
        w.store(1, ["m"], Term("1.5", "f32", frozenset(), 1, 2, 0, 0.0), "f32")
    return w.finish("orders")


LOOKUPS = {"lookups": lookups, "orders": orders}
