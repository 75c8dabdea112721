"""The parser: every construct, where its pieces stand, and what it withstands."""

import json
import logging
import random
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest

from tiledsl import grammar
from tiledsl.diagnostics import CompileError
from tiledsl.source import Source
from tiledsl.syntax import table, tree
from tiledsl.syntax.automaton import rows
from tiledsl.syntax.build import ACTIONS
from tiledsl.syntax.parser import MAX_FILE_BYTES, parse, read_source

EVERYTHING = """\
# Activations.
# Shared by all.
from "nn.tile" import relu, gelu as g
from std.nn import silu
import "x.tile" as x

const EPS = 1e-6
const TABLE: f32 = [[0.4, 0.8], [0.3, -0.7]]

# The rectifier.
fn clip(x, lo) = max(x, lo)
fn moments(x, n,):
    mu = mean(x over n)
    if true:
        print("mu = {}", mu)
    return mu, sum(x over n)

# Unattached.

# Products
# with a bias.
kernel gemm[T in (f16, bf16,), U in (f32)](
    a: T[M, K], inout c: wide(T)[2 * M, *R], const causal: bool = true, bias: T[N] = none,
) -> (y: T[M, N] = 0, z: f32):
    where M <= 8192, K % 2 == 0
    where S > 1
    grid m in M by BM, n in off[m] .. off[m + 1] by 16, b in B
    span d in D, e in d
    var acc: f32[m, n] = 0
    t: f32[] = 3
    v, i = sort(t over n into k)
    for k in L[.. end(i) + 1] by BK:
        acc += a[m, k] @ c[k, n else 0]
        acc max= 3
        if k < 3 <= m and not (d or e):
            disjoint y[idx[m], n else skip] = T(acc)
        elif k == 4:
            atomic z[0] += 1
            atomic z[0] max= 1
        else:
            y[m, n] = acc if causal else -acc ** -2
    cores = max[1]
    y[m] = rename(cores, i -> j) + sum(x[..] over r in 3, s in lo .. hi) + target.l0c
    print("m = {}", acc)
    assert M > 3, "too \\"small\\""

reference gemm:
    y[m, n] = where(a[m] > 0xFF, 1_000, 0.5)

op both(x: f32[M]) -> (y: f32[M]):
    where M > 1
    temp part: f32[48, M]
    temp other: f32[2] = 0
    half = M // 2
    rows(x, half) -> (part, other)
    fold(part) -> (y)
    touch(y)

schedule gemm for cuda.sm90:
    BM = 128, BN = 256
    tune BK in (32, 64), BL in (1,)
    where BM * BN * 4 <= target.l0c, BM > 1
    pipeline k depth 3
    swizzle m, n by 4
    unroll t
    unroll k by 2
    place acc in l0c
    cores 20
    split m over vector
    skew j by 2
    warps 8

schedule gemm:
    BM = 1

test gemm:
    for T in (f16, bf16), (M, N, K) in ((1, 1, 3), (100, 77, 130))
    given x = normal(0, 3)
    tolerance 2e-3
    tolerance 1e-3, 1e-4
    exact
    cycles < 9000 on ascend910b3
    fails "text"
"""


def items(text: str) -> tuple[tree.Item, ...]:
    return parse(Source("test.tile", text)).items


def expression(text: str) -> tree.Expr:
    (item,) = items(f"const A = {text}\n")
    assert isinstance(item, tree.Const)
    return item.value


def shape(node: object) -> str:
    """Write an expression with all its brackets."""
    match node:
        case tree.Number(_, value):
            return repr(value)
        case tree.Name(_, name):
            return name
        case tree.Unary(_, op, operand):
            return f"({op} {shape(operand)})"
        case tree.Binary(_, op, left, right):
            return f"({shape(left)} {op} {shape(right)})"
        case tree.Compare(_, first, rest):
            return f"({shape(first)}{''.join(f' {op} {shape(e)}' for op, e in rest)})"
        case tree.Logical(_, op, operands):
            return f"({f' {op} '.join(map(shape, operands))})"
        case tree.Conditional(_, condition, then, other):
            return f"({shape(then)} if {shape(condition)} else {shape(other)})"
        case tree.Call(_, function, args, over, into):
            inner = ", ".join(map(shape, args))
            inner += "".join(f" over {o.name.id}:{shape(o.domain)}" for o in over)
            return f"{function.id}({inner}{f' into {into.id}' if into else ''})"
        case tree.Index(_, base, indices, default):
            end = f" else {shape(default)}" if default else ""
            return f"{shape(base)}[{', '.join(map(shape, indices))}{end}]"
        case tree.Slice(_, lo, hi) | tree.Between(_, lo, hi):
            return f"{shape(lo)}..{shape(hi)}"
        case tree.Attribute(_, base, name):
            return f"{shape(base)}.{name}"
        case tree.Tuple(_, parts):
            return f"<{', '.join(map(shape, parts))}>"
        case tree.List(_, parts):
            return f"[{', '.join(map(shape, parts))}]"
        case tree.Becomes(_, old, new):
            return f"{old.id}->{new.id}"
        case None:
            return "-"
    raise AssertionError(node)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)"),
        ("a @ b * c // d", "(((a @ b) * c) // d)"),
        ("-x ** -2 ** y", "(- (x ** (- (2 ** y))))"),
        ("~a & b | c ^ d << 1 + 2", "(((~ a) & b) | (c ^ (d << (1 + 2))))"),
        ("m[i // 8] >> i % 8 & 1 == 1", "(((m[(i // 8)] >> (i % 8)) & 1) == 1)"),
        ("a < b <= c != d", "(a < b <= c != d)"),
        ("a or b and not c == d or e", "(a or (b and (not (c == d))) or e)"),
        ("a if b else c if d else e", "(a if b else (c if d else e))"),
        ("(a if b else c)[x, y else 0]", "(a if b else c)[x, y else 0]"),
        ("L[..]", "L[-..-]"),
        ("L[a + 1 ..]", "L[(a + 1)..-]"),
        ("L[.. b][1]", "L[-..b][1]"),
        ("x[a if c else b else 0]", "x[(a if c else b) else 0]"),
        ("sum(x * y over k, e in 3, f in a .. b)", "sum((x * y) over k:- over e:3 over f:a..b)"),
        ("topk(x over n into k)", "topk(x over n:- into k)"),
        ("where(c, a, b)", "where(c, a, b)"),
        ("rename(t, i -> j)", "rename(t, i->j)"),
        ("f()", "f()"),
        ("f(a,)", "f(a)"),
        ("((1, 2), (3,), (4))", "<<1, 2>, <3>, 4>"),
        ("[[1], [2, 3,]]", "[[1], [2, 3]]"),
        ("target.l0c.x", "target.l0c.x"),
        (
            "0xFF + 1_000 + 0.5 + 1e-6 + 1E3 + 0X1_0",
            "(((((255 + 1000) + 0.5) + 1e-06) + 1000.0) + 16)",
        ),
        ("18446744073709551615", "18446744073709551615"),
        ("max(max, mean)", "max(max, mean)"),
        ("depth + on * exact", "(depth + (on * exact))"),
    ],
)
def test_expressions(text: str, expected: str) -> None:
    assert shape(expression(text)) == expected


def test_every_item() -> None:
    found = items(EVERYTHING)
    assert [type(item).__name__ for item in found] == (
        ["Import"] * 3 + ["Const"] * 2 + ["Fn"] * 2
        + ["Kernel", "Reference", "Op", "Schedule", "Schedule", "Test"]
    )  # fmt: skip
    docs = [getattr(item, "doc", "") for item in found]
    assert docs == [""] * 5 + ["The rectifier.", "", "Products\nwith a bias."] + [""] * 5


def test_imports() -> None:
    named, dotted, whole, *_ = items(EVERYTHING)
    assert isinstance(named, tree.Import)
    assert isinstance(dotted, tree.Import)
    assert isinstance(whole, tree.Import)
    assert (named.path, named.dotted, named.alias) == ("nn.tile", False, None)
    assert [(a.id, b.id) for a, b in named.names] == [("relu", "relu"), ("gelu", "g")]
    assert (dotted.path, dotted.dotted) == ("std.nn", True)
    assert whole.names == ()
    assert whole.alias is not None
    assert whole.alias.id == "x"


def test_functions() -> None:
    line, block = (item for item in items(EVERYTHING) if isinstance(item, tree.Fn))
    assert [name.id for name in line.params] == ["x", "lo"]
    assert isinstance(line.body, tree.Call)
    assert isinstance(block.body, tuple)
    assert [type(s).__name__ for s in block.body] == ["Bind", "If", "Return"]
    last = block.body[-1]
    assert isinstance(last, tree.Return)
    assert len(last.values) == 2


def test_a_kernel() -> None:
    (kernel,) = (item for item in items(EVERYTHING) if isinstance(item, tree.Kernel))
    assert [(g.name.id, [c.id for c in g.choices]) for g in kernel.generics] == [
        ("T", ["f16", "bf16"]),
        ("U", ["f32"]),
    ]
    a, c, causal, bias = kernel.params
    assert [p.kind for p in kernel.params] == ["", "inout", "const", ""]
    assert c.type.argument is not None
    assert c.type.argument.id == "T"
    assert isinstance((c.type.dims or ())[1], tree.Star)
    assert causal.type.dims is None
    assert isinstance(bias.default, tree.Name)
    assert a.default is None
    assert [isinstance(p.default, tree.Number) for p in kernel.outputs] == [True, False]
    kinds = " ".join(type(stmt).__name__ for stmt in kernel.body)
    assert kinds == "Where Where Grid SpanStmt Var Bind Bind For Bind Store CallStmt Assert"
    grid = kernel.body[2]
    assert isinstance(grid, tree.Grid)
    assert [shape(r.domain) for r in grid.ranges] == ["M", "off[m]..off[(m + 1)]", "B"]
    assert [shape(r.by) for r in grid.ranges] == ["BM", "16", "-"]
    scalar, pair = kernel.body[5:7]
    assert isinstance(scalar, tree.Bind)
    assert scalar.type is not None
    assert scalar.type.dims == ()
    assert isinstance(pair, tree.Bind)
    assert [name.id for name in pair.names] == ["v", "i"]
    text = kernel.body[-1]
    assert isinstance(text, tree.Assert)
    assert text.text == 'too "small"'


def test_updates_and_branches() -> None:
    (kernel,) = (item for item in items(EVERYTHING) if isinstance(item, tree.Kernel))
    loop = kernel.body[7]
    assert isinstance(loop, tree.For)
    plus, top, branch = loop.body
    assert isinstance(plus, tree.Augment)
    assert isinstance(top, tree.Augment)
    assert (plus.op, top.op) == ("+", "max")
    assert isinstance(branch, tree.If)
    assert [shape(condition) for condition, _ in branch.arms] == [
        "((k < 3 <= m) and (not (d or e)))",
        "(k == 4)",
    ]
    stores = [s for _, body in branch.arms for s in body] + list(branch.orelse)
    assert [(s.mode, s.tensor.id, s.skip, s.op) for s in stores if isinstance(s, tree.Store)] == [
        ("disjoint", "y", True, ""),
        ("atomic", "z", False, "+"),
        ("atomic", "z", False, "max"),
        ("store", "y", False, ""),
    ]


def test_an_op() -> None:
    (op,) = (item for item in items(EVERYTHING) if isinstance(item, tree.Op))
    assert [type(s).__name__ for s in op.body] == (
        ["Where", "Temp", "Temp", "Bind", "Step", "Step", "Step"]
    )
    steps = [s for s in op.body if isinstance(s, tree.Step)]
    assert [(s.kernel.id, len(s.args), [o.id for o in s.outputs]) for s in steps] == [
        ("rows", 2, ["part", "other"]),
        ("fold", 1, ["y"]),
        ("touch", 1, []),
    ]


def test_schedules() -> None:
    first, second = (item for item in items(EVERYTHING) if isinstance(item, tree.Schedule))
    assert (first.target, second.target) == ("cuda.sm90", "")
    assert [type(line).__name__ for line in first.directives] == (
        ["SetSize", "SetSize", "Tune", "Tune"] + ["Directive"] * 11
    )
    words = [
        (line.word, [name.id for name in line.names], shape(line.argument))
        for line in first.directives
        if isinstance(line, tree.Directive)
    ]
    assert words == [
        ("where", [], "(((BM * BN) * 4) <= target.l0c)"),
        ("where", [], "(BM > 1)"),
        ("pipeline", ["k"], "3"),
        ("swizzle", ["m", "n"], "4"),
        ("unroll", ["t"], "-"),
        ("unroll", ["k"], "2"),
        ("place", ["acc"], "l0c"),
        ("cores", [], "20"),
        ("split", ["m"], "vector"),
        ("skew", ["j"], "2"),
        ("warps", [], "8"),
    ]


def test_tests() -> None:
    (test,) = (item for item in items(EVERYTHING) if isinstance(item, tree.Test))
    cases, given, one, two, exact, cycles, fails = test.lines
    assert isinstance(cases, tree.Cases)
    assert [[name.id for name in case.names] for case in cases.cases] == [["T"], ["M", "N", "K"]]
    assert shape(cases.cases[1].values) == "<<1, 1, 3>, <100, 77, 130>>"
    assert isinstance(given, tree.Given)
    assert isinstance(one, tree.Tolerance)
    assert isinstance(two, tree.Tolerance)
    assert (len(one.values), len(two.values)) == (1, 2)
    assert isinstance(exact, tree.Exact)
    assert isinstance(cycles, tree.Cycles)
    assert (cycles.op, cycles.target) == ("<", "ascend910b3")
    assert isinstance(fails, tree.Fails)
    assert fails.text == "text"


def test_words_of_schedules_are_names_elsewhere() -> None:
    found = items(
        "kernel tune(cores: f32[depth], on: f32[N]) -> (exact: f32[N]):\n"
        "    grid given in N by fails\n"
        "    max = on[given]\n"
        "    max max= 3\n"
        "    max max = 4\n"
        "    exact[given] = max + cores[pipeline]\n"
    )
    (kernel,) = found
    assert isinstance(kernel, tree.Kernel)
    assert [type(s).__name__ for s in kernel.body] == [
        "Grid",
        "Bind",
        "Augment",
        "Augment",
        "Store",
    ]


def test_where_begins_facts_only_at_the_top() -> None:
    (kernel,) = items("kernel f(x: f32[N]):\n    where (N) > 3, N < 4\n    y = where(N, 1, 2)\n")
    assert isinstance(kernel, tree.Kernel)
    facts = kernel.body[0]
    assert isinstance(facts, tree.Where)
    assert [shape(fact) for fact in facts.facts] == ["(N > 3)", "(N < 4)"]


def test_spans_cover_what_was_written() -> None:
    source = Source("test.tile", EVERYTHING)
    kernel = parse(source).items[7]
    assert isinstance(kernel, tree.Kernel)
    assert kernel.span.text.startswith("kernel gemm[T in")
    assert kernel.span.text.endswith('"too \\"small\\""')
    assert kernel.params[3].span.text == "bias: T[N] = none"
    assert kernel.params[1].type.span.text == "wide(T)[2 * M, *R]"
    grid = kernel.body[2]
    assert isinstance(grid, tree.Grid)
    assert grid.ranges[1].span.text == "n in off[m] .. off[m + 1] by 16"
    loop = kernel.body[7]
    assert isinstance(loop, tree.For)
    assert loop.span.text.startswith("for k in")
    assert loop.span.text.endswith("-acc ** -2")
    product = loop.body[0]
    assert isinstance(product, tree.Augment)
    assert product.value.span.text == "a[m, k] @ c[k, n else 0]"


def test_every_node_is_inside_its_parent() -> None:
    def check(node: tree.Node) -> None:
        for field in fields(node):
            pending = [getattr(node, field.name)]
            while pending:
                part = pending.pop()
                if isinstance(part, tuple):
                    pending += part
                elif isinstance(part, tree.Node):
                    assert node.span.start <= part.span.start <= part.span.end <= node.span.end
                    assert part.span.text.strip() == part.span.text
                    check(part)

    for item in items(EVERYTHING):
        check(item)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark(ending: str, mark: str) -> None:
    text = mark + EVERYTHING.replace("\n", ending)
    assert items(text) == items(EVERYTHING)
    assert items(text.rstrip()) == items(EVERYTHING)


def test_layout_does_not_count_inside_brackets() -> None:
    text = "const A = [  # first\n# second\n1,\n\n        2 # third\n]\nconst B = (\n3)\n"
    assert items(text) == items("const A = [1, 2]\nconst B = 3\n")


def test_empty_files() -> None:
    for text in ("", "\n\n", "# only this", "   \n \t\n", "\ufeff"):
        assert items(text) == ()


def test_the_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    import lark

    caplog.set_level(logging.DEBUG, logger=lark.logger.name)
    lark.logger.setLevel(logging.DEBUG)
    lark.Lark(grammar.text(), parser="lalr", lexer="basic", start="file", debug=True)
    assert "onflict" not in caplog.text


def test_every_rule_has_an_action() -> None:
    actions = {rule.action for rule in table.table().rules} - {"", "_"}
    assert actions == set(ACTIONS)


def test_the_table_is_kept_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    read = table.table.__wrapped__
    made = read()
    (kept,) = (tmp_path / "tiledsl").iterdir()
    assert read() == made
    good = kept.read_text()
    for wrong in ("", "x", good[:-5], good.replace("1", "2"), json.dumps([])):
        kept.write_text(wrong)
        mended = read()  # Lark numbers the states anew each time
        assert set(mended.rules) == set(made.rules)
        assert read() == mended
    kept.unlink()
    kept.mkdir()  # cannot be read, cannot be written
    assert set(read().rules) == set(made.rules)
    assert list(kept.parent.iterdir()) == [kept]


def test_states_know_what_they_wait_for() -> None:
    assert all(rows()[state] for state in range(len(rows())) if state != table.table().end)


# ---- what it withstands

HOSTILE = [
    "const A = " + "(" * 5000,
    "const A = " + "-" * 5000 + "1\n",
    "const A = 1" + "+1" * 5000 + "\n",
    "const A = 1" + "**1" * 5000 + "\n",
    "const A = 1" + " if 1 else 1" * 5000 + "\n",
    "const A = a" + ".a" * 5000 + "\n",
    "const A = " + "9" * 5000 + "\n",
    "const " + "a" * 5000 + " = 1\n",
    'const A = "' + "\\q" * 5000 + '"\n',
    "kernel f():\n" + "".join(" " * i + "if x:\n" for i in range(1, 500)),
    "f(\n" * 5000,
    "const A = (1,\n" * 5000,
    "\0" * 5000,
    "const A = 1\r" * 50,
    "# \u202e hidden\n",
    "x\n" * 5000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(CompileError) as caught:
        items(text)
    assert 1 <= len(caught.value.diagnostics) <= 50
    assert all(found.render() and found.json() for found in caught.value.diagnostics)


def test_deep_but_allowed() -> None:
    items("const A = " + "(" * 90 + "1" + ")" * 90 + "\n")
    items("const A = 1" + " + 1" * 150 + "\n")
    items("const A = [" + "1, " * 20000 + "]\n")


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "x.tile"
    for content in (b"const A = \xff\n", b"#" * (MAX_FILE_BYTES + 1)):
        path.write_bytes(content)
        with pytest.raises(CompileError, match="P020"):
            read_source(path)
    for missing in (tmp_path / "none.tile", tmp_path, Path("a\0b")):
        with pytest.raises(CompileError, match="P020"):
            read_source(missing)


def test_mistakes_are_reported_together() -> None:
    text = "const A =\nkernel f(x: f32[N]):\n    gird i in N\n    y = x[i\n    z = 1 +\n\nfn = 3\n"
    with pytest.raises(CompileError) as caught:
        items(text)
    assert [found.span.line for found in caught.value.diagnostics] == [1, 3, 4, 5, 7]


def test_mutants_never_crash() -> None:
    draw = random.Random(7)
    scraps = ["(", "]", ":", ",", "=", "\n", "\n    ", "\n  ", "\t", '"', "#", "..", "else", "é"]
    for _ in range(300):
        text = EVERYTHING
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(text))
            if draw.random() < 0.5:
                text = text[:at] + text[at + draw.choice([1, 1, 2, 30]) :]
            else:
                text = text[:at] + draw.choice(scraps) + text[at:]
        with suppress(CompileError):
            items(text)
