"""Random products whose sides share a range that stays."""

from tests.agreement.dice import Dice
from tests.agreement.expressions import Maker
from tests.agreement.terms import FLOATS, Term, add, cast, literal, mul, sums
from tests.agreement.writer import Sample, Writer, out_type

LEFT = (("b", "m", "k"), ("b", "k", "m"), ("m", "b", "k"), ("k", "b", "m"))
RIGHT = (("b", "k", "n"), ("b", "n", "k"), ("k", "b", "n"), ("n", "b", "k"))


def batches(dice: Dice) -> Sample:
    """Return a kernel with one product or two, in a loop or in one step."""
    w = Writer(dice, dice.integer(1, 2), widest=4)  # what the text fixes must fit into UB
    w.range("b", ("span", "tile"), 5)
    w.widest = 16
    w.range("m", ("tile", "tile", "span"), 33)
    w.range("n", ("tile", "span"), 33)
    k = w.range("k", ("tile", "span"), 48)
    dtype = dice.pick(("f16", "f16", "bf16", "f32", "i8"))
    loop = k.form == "tile"
    names = ["b", "m", "n"] if loop else ["b", "m", "n", "k"]
    w.declare(names)
    wide = "i32" if dtype == "i8" else "f32"
    scope = w.scope(["b", "m", "n"], (dtype, "f32", "i32"))
    if loop:
        w.add(1, f"var s: {wide}[b, m, n] = 0")
        w.add(1, f"for k in {k.dim}{f' by {k.by}' if k.by else ''}:")
    maker = Maker(dice, scope.inner("k"))
    left, right = (_side(maker, dtype, axes) for axes in (dice.pick(LEFT), dice.pick(RIGHT)))
    total, step, err = sums(left, right, max(k.sizes))
    text = f"dot({left.text}, {right.text} over k)"
    term = Term(text, wide, frozenset("bmn"), -total, total, step, err)
    if loop:
        w.add(2, f"s += {text}")
        term = Term("s", wide, term.axes, -total, total, step, err)
    elif dice.flip():
        term = w.bind(scope, 1, term)
    if dice.flip():
        number = literal("1.0", wide, 1.0, 1.0) if wide == "f32" else literal("1", wide, 1, 1)
        term = add(term, number)
    w.store(1, ["b", "m", "n"], term, out_type(Maker(dice, scope), term))
    return w.finish("batches")


def _side(maker: Maker, dtype: str, axes: tuple[str, ...]) -> Term:
    """Return a side: loaded, or computed from what is loaded."""
    plain = maker.load(dtype, axes)
    if maker.dice.integer(0, 2):
        return plain
    if dtype in FLOATS:
        return cast(mul(plain, literal("0.5", dtype, 0.5, 0.5)), dtype)
    return Term(f"max({plain.text}, -3)", dtype, plain.axes, -3, plain.hi, 1, 0.0)


BATCHES = {"batches": batches}
