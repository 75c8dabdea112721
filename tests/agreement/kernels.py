"""Random kernels of each class, with the launches to run them at."""

from collections.abc import Callable

from tests.agreement.batches import BATCHES
from tests.agreement.dice import Dice
from tests.agreement.domains import DOMAINS
from tests.agreement.expressions import Maker, Param, Scope
from tests.agreement.lookups import LOOKUPS
from tests.agreement.programs import PROGRAMS
from tests.agreement.terms import EPS, F8, FLOATS, Term, add, cast, mul, sums
from tests.agreement.writer import Sample, Writer, anything, dtypes, loop_over, out_type


def elementwise(dice: Dice) -> Sample:
    """Chains of element-wise operations and folds of whole rows, with broadcasts."""
    rank = dice.integer(1, 3)
    w = Writer(dice, dice.integer(1, 3), wild=dice.one_in(6))
    names = ["m", "n", "k"][:rank]
    w.widest = 16 if rank == 3 else 48
    most = {1: 130, 2: 65, 3: 17}[rank]
    for number, name in enumerate(names):
        forms: tuple[str, ...] = ("tile", "tile", "span")
        forms = (*forms, "one") if rank > 1 else forms
        if number == rank - 1 and all(r.form == "one" for r in w.ranges.values()):
            forms = ("tile", "span")
        w.range(name, forms, most)
    w.declare(names)
    scope = w.scope(names, dtypes(dice))
    maker = Maker(dice, scope)
    for _ in range(dice.integer(0, 3)):
        w.bind(scope, 1, anything(maker, dice.integer(1, 3)))
    grid = [n for n in names if w.ranges[n].form != "span"]
    for _ in range(dice.integer(1, 3)):
        term = anything(maker, dice.integer(1, 4))
        order = [n for n in names if n in grid or n in term.axes]
        if dice.one_in(5):
            order = dice.shuffled(order)
        w.store(1, order, term, out_type(maker, term))
    return w.finish("elementwise")


def loops(dice: Dice) -> Sample:
    """Loops that fold tiles into state, and a second loop that uses it."""
    w = Writer(dice, dice.integer(1, 3), wild=dice.one_in(6))
    outer = ["m", "d"][: dice.integer(1, 2)]
    w.widest = 16 if len(outer) == 2 else 48
    for name in outer:
        w.range(name, ("tile", "tile", "one", "span"), 33 if len(outer) == 1 else 13)
    n = w.range("n", ("tile", "tile", "tile", "one"), 130 if len(outer) == 1 else 48)
    w.declare(outer)
    scope = w.scope(outer, dtypes(dice))
    maker = Maker(dice, scope)
    if dice.flip():
        w.bind(scope, 1, maker.number(2))
    state: list[tuple[str, str, str, frozenset[str]]] = []
    for number in range(dice.integer(1, 2)):
        held = [a for a in scope.tiled if dice.integer(0, 3)]
        kind = dice.pick(("sum", "max", "min", "any", "count"))
        dtype = {"any": "bool", "count": "i32"}.get(kind, "f32")
        if kind in ("max", "min"):
            dtype = dice.pick([d for d in scope.dtypes if d not in F8])
        start = {"max": f"lowest({dtype})", "min": f"highest({dtype})", "any": "false"}
        type_ = dtype + (f"[{', '.join(held)}]" if held else "")
        w.add(1, f"var s{number}: {type_} = {start.get(kind, '0')}")
        state.append((f"s{number}", kind, dtype, frozenset(held)))
    w.add(1, loop_over(n))
    inside = scope.inner(*(["n"] if n.form == "tile" else []))
    if n.form == "one":
        inside.standing = [*scope.standing, "n"]
    within = Maker(dice, inside)
    if dice.flip():
        w.bind(inside, 2, anything(within, 2))
    count = max(n.sizes)
    rounding = {}  # of states that no later term uses: those that a loop of no turns leaves
    for name, kind, dtype, axes in state:
        term = _folded(within, kind, dtype, axes)
        over = n.form == "tile" and "n" in term.axes
        extra = [a for a in term.axes if a not in axes and a != "n"]
        assert not extra, (term, axes)
        if term.spelled:
            term = w.bind(inside, 2, term)
        done = term
        rounding[name] = max(1e-2, term.err)
        if over:
            fold = {"count": "sum"}.get(kind, kind)
            done = Term(f"{fold}({term.text} over n)", term.dtype, axes, term.lo, term.hi, 0, 0)
        match kind:
            case "sum" | "count":
                w.add(2, f"{name} += {done.text}")
                total = term.most * count
                step = term.step if term.step and total / term.step < 2**24 else 0.0
                err = 0.0 if step else term.err * count + total * EPS["f32"] * 8
                scope.bound.append(Term(name, dtype, axes, -total, total, step, err))
            case "any":
                w.add(2, f"{name} = {name} or {done.text}")
            case _:
                w.add(2, f"{name} = {kind}({name}, {done.text})")
                if min(n.sizes) and dtype != "bool":
                    scope.bound.append(
                        Term(name, dtype, axes, term.lo, term.hi, term.step, term.err)
                    )
    if dice.one_in(4):
        term = anything(within, 2)
        order = [*(a for a in outer if w.ranges[a].form != "span" or a in term.axes), "n"]
        w.store(2, order, term, out_type(maker, term))
    after = [t for t in scope.bound if t.text.startswith("s")]
    grid = [a for a in outer if w.ranges[a].form != "span"]
    for name, _, dtype, axes in state:
        known = [t for t in after if t.text == name]
        term = known[0] if known else Term(name, dtype, axes, -300, 300, 0, rounding[name])
        if known and dtype != "bool" and dice.flip():
            term = maker.number(2) if dtype in FLOATS else maker.integer(2)
        order = [a for a in outer if a in grid or a in term.axes]
        w.store(1, order, term, out_type(maker, term) if known else term.dtype)
    if n.form == "tile" and dice.one_in(3):
        w.add(1, loop_over(n))
        again = scope.inner("n")
        term = Maker(dice, again).number(3)
        order = [*(a for a in outer if a in grid or a in term.axes), "n"]
        w.store(2, order, term, out_type(maker, term))
    return w.finish("loops")


def _folded(maker: Maker, kind: str, dtype: str, axes: frozenset[str]) -> Term:
    """Return a term for a loop to fold: of the state's type, its ranges and the loop's."""
    tiled = [a for a in maker.scope.tiled if a in axes or a == "n"]
    inner = Scope(
        tiled, maker.scope.standing, maker.scope.sizes, maker.scope.most, maker.scope.least,
        maker.scope.params, [t for t in maker.scope.bound if t.axes <= set(tiled)],
        maker.scope.dtypes, wild=maker.scope.wild,
    )  # fmt: skip
    if not tiled and not inner.standing:
        inner.standing = ["n"]
    own = Maker(maker.dice, inner)
    depth = maker.dice.integer(1, 3)
    if kind == "any":
        term = own.truth(depth)
    elif kind == "count":
        term = own.integer(depth)
        if term.most > 2**20:
            term = cast(term, "i8")
    else:
        term = own.number(depth) if dtype in FLOATS else own.integer(depth)
        if term.dtype != dtype:
            term = cast(term, dtype) if kind in ("max", "min") or term.dtype != "f32" else term
    if "n" in tiled and "n" not in term.axes:
        some = own.load("f32" if dtype in FLOATS else "i8", ("n",))
        if kind == "any":
            text = f"({term.text} and {some.text} > 0)"
            return Term(text, "bool", term.axes | {"n"}, 0, 1, 1, 0.0, term.spelled)
        if kind in ("max", "min"):
            some = cast(some, dtype)
            return cast(add(term, some), dtype) if term.most < 1e9 else cast(some, dtype)
        term = add(term, some)
    return term


LAYOUTS = (("m", "k"), ("k", "m")), (("k", "n"), ("n", "k"))


def products(dice: Dice) -> Sample:
    """Matrix products in a loop or in one step, of any layout, with an epilogue."""
    w = Writer(dice, dice.integer(1, 2), wild=dice.one_in(10))
    batch = dice.one_in(3)
    names = ["b"] if batch else []
    if batch:
        w.range("b", ("one",), 3)
    w.range("m", ("tile", "tile", "span"), 65)
    w.range("n", ("tile", "tile", "span"), 65)
    k = w.range("k", ("tile", "tile", "span"), 97)
    dtype = dice.pick(("f16", "f16", "bf16", "f32", "i8", "f8e4m3", "f8e5m2", "i4"))
    names += dice.shuffled(["m", "n"]) if dice.one_in(4) else ["m", "n"]
    if k.form == "span":
        names.append("k")
    w.declare(names)
    outer = [x for x in names if x != "k"]
    scope = w.scope(outer, (dtype, "f32", "i32"))
    wide = "i32" if dtype in ("i8", "i4") else "f32"
    terms: list[Term] = []
    loop = k.form == "tile"
    count = dice.integer(1, 2)
    depth = 2 if loop else 1
    if loop:
        for i in range(count):
            w.add(1, f"var s{i}: {wide}[m, n] = 0")
        w.add(1, loop_over(k))
    inside = scope.inner("k")
    maker = Maker(dice, inside)
    for i in range(count):
        left = _side(w, maker, depth, dtype, batch, dice.pick(LAYOUTS[0]))
        right = _side(w, maker, depth, dtype, batch, dice.pick(LAYOUTS[1]))
        if dice.one_in(6):
            left, right = right, left
        total, step, err = sums(left, right, max(k.sizes))
        text = f"({left.text} @ {right.text})"
        term = Term(text, wide, frozenset("mn"), -total, total, step, err)
        if loop:
            w.add(2, f"s{i} += {text}")
            term = Term(f"s{i}", wide, frozenset("mn"), -total, total, step, err)
        terms.append(term)
    maker = Maker(dice, scope)
    for term in terms:
        if loop or dice.flip():
            bound = term if loop else w.bind(scope, 1, term)
            if loop:
                scope.bound.append(bound)
        match dice.integer(0, 3):
            case 0:
                pass
            case 1:
                term = (
                    add(mul(term, maker.leaf("f32")), maker.leaf("f32"))
                    if wide == "f32"
                    else (add(term, maker.leaf("i32")))
                )
            case 2:
                term = maker.number(2)
            case _:
                if term.most <= 2**24:
                    small = mul(cast(term, "f32"), Term("0.125", "f32", frozenset(), 0.125, 0.125,
                                                        0.125, 0.0))  # fmt: skip
                    term = Term(f"tanh({small.text})", "f32", small.axes, -1, 1, 0.0,
                                small.err + 2e-5, small.spelled)  # fmt: skip
        if not term.axes >= {"m", "n"} and w.ranges["m"].form == "span":
            term = terms[0]
        grid = [x for x in outer if w.ranges[x].form != "span"]
        order = [x for x in (["b"] if batch else []) + ["m", "n"] if x in grid or x in term.axes]
        if dice.one_in(5):
            order = dice.shuffled(order)
        w.store(1, order, term, out_type(maker, term))
    return w.finish("products")


def _side(
    w: Writer, maker: Maker, depth: int, dtype: str, batch: bool, axes: tuple[str, str]
) -> Term:
    """Return a matrix: loaded, or computed from what is loaded."""
    lead = ("b",) if batch and maker.dice.flip() else ()
    plain = maker.load(dtype, (*lead, *axes))
    if maker.dice.integer(0, 3):
        return plain
    side = Scope(
        list(axes), maker.scope.standing, maker.scope.sizes, maker.scope.most, maker.scope.least,
        maker.scope.params, [plain], (dtype, "f32") if dtype in FLOATS else (dtype, "i32"),
        wild=maker.scope.wild,
    )  # fmt: skip
    own = Maker(maker.dice, side)
    term = own.number(2) if dtype in FLOATS else own.integer(2)
    if not term.axes >= set(axes):
        some = own.load(dtype, axes)
        term = add(term, some) if term.most < 1e4 else some
    if term.most > 64 and dtype in FLOATS:
        return plain
    term = cast(term, dtype) if term.dtype != dtype else term
    return w.bind(maker.scope, depth, term) if term.spelled or maker.dice.flip() else term


def chains(dice: Dice) -> Sample:
    """A product, work on vectors, a second product: attention and its like."""
    w = Writer(dice, dice.integer(1, 2))
    dtype = dice.pick(("f16", "bf16", "f32"))
    batch = dice.flip()
    if batch:
        w.range("b", ("one",), 3)
    w.range("i", ("tile",), 49)
    causal = dice.integer(0, 2)
    j = w.range("j", ("tile",), 65, least=1)
    if causal == 1:
        j.sizes = w.ranges["i"].sizes = tuple(max(1, s) for s in w.ranges["i"].sizes)
        j.name = "j"
    w.range("d", ("span",), 33, least=1)
    same = dice.flip()
    if not same:
        w.range("e", ("span",), 33, least=1)
    e = "d" if same else "e"
    lead = ["b"] if batch else []
    extent = "I" if causal == 1 else "J"
    dims = {x: w.ranges[x].dim for x in w.ranges} | {"j": extent}
    shapes = ("i", "d"), ("j", "d"), ("j", e)
    reads = []
    for number, shape in enumerate(shapes):
        kept = tuple(lead) if dice.integer(0, 3) else ()
        w.params.append(
            Param(f"p{number}", dtype, tuple(dims[x] for x in (*kept, *shape)), "uniform", -1, 1, 0)
        )
        reads.append(f"p{number}[{', '.join((*kept, *shape))}]")
    q, k, v = reads
    w.declare([*lead, "i", "d", *([] if same else ["e"])])
    if dice.one_in(3):  # a product of what is computed before the loop
        w.add(1, f"qs = {dtype}({q} * 0.5)")
        q = "qs"
    scores = f"{q} @ {k}" if dice.flip() else f"{k} @ {q}"
    if dice.flip():
        scores = f"{scores} * 0.5"
    online = dice.integer(0, 2)
    shown = f"j in {extent}[.. end(i)]" if causal == 1 and dice.flip() else f"j in {extent}"
    mask = {1: "j <= i", 2: "i - j < 5 or j % 3 == 0"}.get(causal)
    if online:
        w.add(1, "var top: f32[i] = -inf")
        w.add(1, "var den: f32[i] = 0")
    w.add(1, f"var acc: f32[i, {e}] = 0")
    w.add(1, f"for {shown} by {j.by}:")
    w.add(2, f"s = where({mask}, {scores}, -inf)" if mask and online else f"s = {scores}")
    if online:
        w.add(2, "new = max(top, max(s over j))")
        base = "new"
        if causal:
            w.add(2, "base = where(new == -inf, 0.0, new)")
            base = "base"
        w.add(2, f"p = exp(s - {base})")
        w.add(2, f"fix = exp(top - {base})")
        w.add(2, "den = den * fix + sum(p over j)")
        w.add(2, f"acc = acc * fix + {dtype}(p) @ {v}")
        w.add(2, "top = new")
        out = "acc / max(den, 0.000001)" if causal else "acc / den"
        error = 2 * EPS[dtype] * 33 + 1e-4
        most = 1.0
    else:
        change = dice.pick(("tanh(s)", "max(s, 0)", "sigmoid(s * 0.25)", "s * s * 0.1"))
        if mask:
            change = f"where({mask}, {change}, 0.0)"
        w.add(2, f"p = {change}")
        w.add(2, f"ps = {dtype}(p)")
        w.add(2, f"acc += ps @ {v}")
        if dice.one_in(3):
            w.add(2, f"acc += ps @ {v}")
        out = "acc"
        most = 65.0 * 65 * max(w.ranges["d"].sizes) / 4
        error = most * (EPS[dtype] * 2 + 1e-5) + 1e-4
    order = [*lead, "i", e]
    if dice.one_in(6):
        order = dice.shuffled(order)
    term = Term(out, "f32", frozenset(["i", e]), -most, most, 0.0, error)
    w.store(1, order, term, dice.pick((dtype, "f32")))
    if online and dice.flip():
        lse = Term("den", "f32", frozenset("i"), 0, 65, 0.0, 65 * 1e-4)
        w.store(1, [*lead, "i"], lse, "f32")
    return w.finish("chains")


KINDS: dict[str, Callable[[Dice], Sample]] = {
    "elementwise": elementwise,
    "loops": loops,
    "products": products,
    "chains": chains,
    **BATCHES,
    **DOMAINS,
    **LOOKUPS,
    **PROGRAMS,
}
