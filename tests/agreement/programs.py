"""Random kernels of many statements: nested loops, branches, state that depends on state."""

from dataclasses import replace

from tests.agreement.dice import Dice
from tests.agreement.expressions import Maker, Scope
from tests.agreement.terms import F8, FLOATS, Term, add, cast, mul
from tests.agreement.writer import Sample, Writer, dtypes, out_type


def programs(dice: Dice) -> Sample:
    """Return a kernel of nested loops over positions, whose state depends on itself."""
    w = Writer(dice, dice.integer(1, 2), widest=16)
    outer = ["m", "d"][: dice.integer(1, 2)]
    for name in outer:
        w.range(name, ("tile", "tile", "one", "span"), 17)
    w.range("t", ("one",), 4)
    w.range("u", ("one",), 3)
    w.declare(outer)
    scope = w.scope(outer, dtypes(dice))
    body = _Body(w, dice, outer)
    for _ in range(dice.integer(1, 3)):
        body.declare(scope)
    body.block(1, scope, 2)
    maker = Maker(dice, scope)
    for term in body.state(scope):
        result = maker.number(2) if dice.one_in(3) else term
        order = [a for a in outer if w.ranges[a].form != "span" or a in result.axes]
        w.store(1, order, result, out_type(maker, result))
    return w.finish("programs")


class _Body:
    """Writes the statements."""

    def __init__(self, w: Writer, dice: Dice, outer: list[str]) -> None:
        self.w, self.dice, self.outer = w, dice, outer
        self.names: list[str] = []
        self.loops = ["t", "u"]

    def declare(self, scope: Scope) -> None:
        """Append a variable."""
        narrow = [d for d in scope.dtypes if d not in (*F8, "i4", "u4")]
        dtype = self.dice.pick(("f32", "f32", "i32", "i32", "bool", *narrow))
        axes = [a for a in scope.tiled if not self.dice.one_in(4)]
        type_ = dtype + (f"[{', '.join(axes)}]" if axes else "")
        name = f"s{len(self.names)}"
        start = {"bool": "false"}.get(dtype, "0")
        if dtype == "bool":
            high = 1.0
        else:
            high = 4.0 if dtype in FLOATS else 127.0 if dtype == "i8" else 200.0
        low = 0.0 if dtype in ("bool", "u8", "u16") else -high
        step = 0.0 if dtype in FLOATS else 1.0
        # A float's error is at most that of one turn, and half of what it was before.
        err = {"f32": 1e-3, "f16": 4e-2, "bf16": 0.3}.get(dtype, 0.0)
        self.w.add(1, f"var {name}: {type_} = {start}")
        self.names.append(name)
        scope.bound.append(Term(name, dtype, frozenset(axes), low, high, step, err))

    def state(self, scope: Scope) -> list[Term]:
        """Return the variables."""
        return [t for t in scope.bound if t.text in self.names]

    def block(self, depth: int, scope: Scope, levels: int) -> None:
        """Append statements."""
        for _ in range(self.dice.integer(1, 4)):
            way = self.dice.pick(("bind", "assign", "assign", "assign", "loop", "if"))
            inner = replace(scope, bound=list(scope.bound), standing=list(scope.standing))
            if way == "bind":
                term = Maker(self.dice, scope).number(2)
                self.w.bind(scope, depth, term)
            elif way == "loop" and levels and self.loops:
                name = self.loops.pop()
                self.w.add(depth, f"for {name} in {self.w.ranges[name].dim}:")
                inner.standing.append(name)
                self.block(depth + 1, inner, levels - 1)
            elif way == "if" and levels:
                self.w.add(depth, f"if {self.condition(scope)}:")
                self.block(depth + 1, inner, levels - 1)
                if self.dice.flip():
                    self.w.add(depth, "else:")
                    other = replace(scope, bound=list(scope.bound))
                    self.block(depth + 1, other, levels - 1)
            else:
                self.assign(depth, scope)

    def condition(self, scope: Scope) -> str:
        """Return a condition: known before the tiles, or one value that is computed from them."""
        if self.dice.flip():
            held = [t for t in self.state(scope) if not t.axes and t.dtype not in FLOATS]
            if held and self.dice.flip():
                state = self.dice.pick(held)
                return state.text if state.dtype == "bool" else f"{state.text} % 3 < 2"
            term = Maker(self.dice, scope).truth(2)
            if not term.axes:
                return term.text
            if term.axes <= set(scope.foldable) and not term.spelled:
                over = ", ".join(sorted(term.axes))
                fold = self.dice.pick(("any", "all"))
                return f"{fold}({term.text} over {over})"
        here = self.dice.pick((*scope.standing, "1"))
        return self.dice.pick((f"{here} % 2 == 0", f"{here} >= 1", f"{here} < 2"))

    def assign(self, depth: int, scope: Scope) -> None:
        """Append an update of a variable that keeps it in its bounds."""
        var = self.dice.pick(self.state(scope))
        held = [a for a in scope.tiled if a in var.axes]
        narrow = Scope(
            held, scope.standing, scope.sizes, scope.most, scope.least, scope.params,
            [t for t in scope.bound if t.axes <= var.axes], scope.dtypes,
            tuple(a for a in scope.foldable if a in held),
        )  # fmt: skip
        maker = Maker(self.dice, narrow)
        if var.dtype == "bool":
            self.w.add(depth, f"{var.text} = {maker.truth(2).text}")
            return
        if var.dtype not in FLOATS:
            whole = maker.integer(2)
            text = f"({whole.text} % 100)"
            if self.dice.flip():
                text = f"({text} + {var.text} // 2)"
            text = text if var.dtype == "i32" else f"{var.dtype}({text})"
            self.w.add(depth, f"{var.text} = {text}")
            return
        # Only exact floats beside the variable, so that its error does not grow.
        maker.scope.bound = [t for t in narrow.bound if t.err == 0]
        new = maker.number(2)
        half = mul(var, Term("0.5", "f32", frozenset(), 0.5, 0.5, 0.5, 0.0))
        if new.err > var.err / 8 or new.dtype not in FLOATS:
            new = maker.leaf(*FLOATS)
        total = add(half, new) if self.dice.flip() else new
        text = f"clamp({total.text}, -4.0, 4.0)"
        made = cast(Term(text, "f32", total.axes, -4, 4, 0, total.err), var.dtype)
        self.w.add(depth, f"{var.text} = {made.text}")


PROGRAMS = {"programs": programs}
