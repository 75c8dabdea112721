"""The formatter: canonical, idempotent, and of no effect on the meaning."""

# ruff: noqa: E501  (a layout and the text it earns stand side by side)

import re
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiledsl.diagnostics import CompileError
from tiledsl.source import Source
from tiledsl.syntax.formatter import WIDTH, format_source
from tiledsl.syntax.parser import parse

ROOT = Path(__file__).parent.parent

CANONICAL = """\
# Activations, for all.
from "nn.tile" import relu, gelu as g
import "x.tile" as x

const A = 1  # one
const B: f32 = [[0.4, -0.8], [0.3, 0.7]]
# The rectifier.
fn relu(x) = max(x, 0)
fn first(x) = x[0]

fn moments(x, n):
    mu = mean(x over n)

    return mu, rsqrt(mean(mu * mu over n) + 1e-6)

# Stands alone.

# Belongs to f.
kernel f[T in (f16, f32)](x: T[*N], w: wide(T)[2 * M], inout c: u8[M], s: f32 = -1.0) -> (y: T[*N]):
    # facts
    where N <= 8192, (N + 1) % 2 == 0
    grid i in N by BN  # tiles
    for k in L[.. end(i)] by BK:
        # inside
        acc += x[i, k else -inf] @ w[-k ** -2] - ~3
        acc max= where(not (k < 3), 1, 2)
        # still inside
    # outside
    if a and not b:
        atomic y[i else skip] max= rename(acc, i -> j)
    elif c:
        disjoint y[i] = f(x)[1][2]

    else:
        y[i] = sum(x[..] over r in 3, s in a .. b)
    # the end

op both(x: f32[M]) -> (y: f32[M]):
    temp part: f32[48, M]
    rows(x, half) -> (part)

schedule f for cuda.sm90:
    BM = 128, BN = 256
    tune BK in (32, 64)
    where (BM + 1) * 4 <= target.l0c
    pipeline k depth 3
    cores 20
    split m over vector

test f:
    for T in (f16), (M, N) in ((1, 1), (2, 3))
    given x = normal(0, 3)
    tolerance 2e-3, -1
    cycles < 9000 on ascend910b3
    fails "text"  # done
# the very end
"""


def formatted(text: str) -> str:
    result = format_source(Source("test.tile", text))
    again = Source("test.tile", result)
    assert parse(again).items == parse(Source("test.tile", text)).items
    assert format_source(again) == result
    return result


def test_canonical_text_stays() -> None:
    assert formatted(CANONICAL.replace("\n# the very end", "\n\n# the very end")) == (
        CANONICAL.replace("\n# the very end", "\n\n# the very end")
    )


def test_a_comment_below_a_body_is_set_apart() -> None:
    assert formatted(CANONICAL).endswith("done\n\n# the very end\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("\n\n\n", ""),
        ("\n\n# a  \n\n\n\n# b", "# a\n\n# b\n"),
        ("const   A=1", "const A = 1\n"),
        ("\ufeffconst A = 1\r\nconst B = 2\r\n", "const A = 1\nconst B = 2\n"),
        ("const A=-1+ - 2**-x", "const A = -1 + -2 ** -x\n"),
        ("const A = ( 1,2 , )", "const A = (1, 2,)\n"),
        ("const A = [\n 1,\n 2\n]", "const A = [1, 2]\n"),
        ("const A = x [ a..b ,.. ,1 .. else 0 ] [2] . c", "const A = x[a .. b, .., 1 .. else 0][2].c\n"),
        ("const A = f ( x over n , k in  3 into j )", "const A = f(x over n, k in 3 into j)\n"),
        ("const A = not(a)and(b)", "const A = not (a) and (b)\n"),
        ("const A = 1\t#x", "const A = 1  #x\n"),
        ("fn f(x):\n  return(x),x", "fn f(x):\n    return (x), x\n"),
        ("fn f(x):\n\n\n   y=x\n\n\n\n   return x\nfn g(x)=x\n", "fn f(x):\n    y = x\n\n    return x\n\nfn g(x) = x\n"),
        ("fn f(x) = x\nfn g(x):\n return x\n", "fn f(x) = x\n\nfn g(x):\n    return x\n"),
        ("const A = 1\n# of f\nfn f(x):\n return x\n", "const A = 1\n\n# of f\nfn f(x):\n    return x\n"),
        ("const A = 1\n  # not of B\nconst B = 1\n", "const A = 1\n# not of B\n\nconst B = 1\n"),
        ("fn f(x):\n return x\n # of f\n# of A\nconst A = 1", "fn f(x):\n    return x\n    # of f\n\n# of A\nconst A = 1\n"),
        ("fn f(x):\n# low\n return x\n", "fn f(x):\n    # low\n    return x\n"),
        ("fn f(x): # why\n return x\n", "fn f(x):  # why\n    return x\n"),
        (
            "const A = [1, # one\n\n2,\n # three\n 3\n]",
            "const A = [1,  # one\n    2,\n    # three\n    3\n    ]\n",
        ),
        ("kernel f(x:T[ * N ]):\n  x[0]=1", "kernel f(x: T[*N]):\n    x[0] = 1\n"),
        ("kernel f():\n  max  max=max ( a )", "kernel f():\n    max max= max(a)\n"),
        ("kernel f():\n  where(a) > 1\n  b=where (a,1,2)", "kernel f():\n    where (a) > 1\n    b = where(a, 1, 2)\n"),
        ("schedule f:\n  pipeline k depth(2)\n  cores  20", "schedule f:\n    pipeline k depth (2)\n    cores 20\n"),
        ("test f:\n  tolerance -1\n  cycles<(2)on a . b", "test f:\n    tolerance -1\n    cycles < (2) on a.b\n"),
    ],
)  # fmt: skip
def test_layout(before: str, after: str) -> None:
    assert formatted(before) == after


def test_long_headers_break_between_parameters() -> None:
    params = ", ".join(f"parameter{n}: f32[M, N]" for n in range(6))
    text = f"kernel f[T in (f16, f32)]({params}) -> (result: T[M, N], other: T[M, N]):\n    x = 1\n"
    assert formatted(text) == (
        "kernel f[T in (f16, f32)](parameter0: f32[M, N], parameter1: f32[M, N],\n"
        "        parameter2: f32[M, N], parameter3: f32[M, N], parameter4: f32[M, N], parameter5: f32[M, N]\n"
        "        ) -> (result: T[M, N], other: T[M, N]):\n"
        "    x = 1\n"
    )


def test_results_stay_together() -> None:
    text = (
        "kernel f[T in (f16, f32)](first: f32[M, N], second: f32[M, N], third: f32[M, N]"
        ") -> (result: T[M, N]):\n    x = 1\n"
    )
    assert "\n        ) -> (result: T[M, N]):\n" in formatted(text)


def test_parameters_stay_together() -> None:
    params = ", ".join(f"parameter{n}: f32[M, N]" for n in range(3))
    text = f"kernel attention[T in (f16, f32)]({params}) -> (result: T[M]):\n    x = 1\n"
    assert formatted(text).splitlines()[:2] == [
        "kernel attention[T in (f16, f32)](",
        f"        {params}) -> (result: T[M]):",
    ]


def test_long_tables_fill_lines() -> None:
    result = formatted(f"const A = [{', '.join(['0.125'] * 50)}]\n")
    assert all(len(line) <= WIDTH for line in result.splitlines())
    assert len(result.splitlines()) < 6


def test_wrong_files_are_refused() -> None:
    with pytest.raises(CompileError):
        format_source(Source("test.tile", "const A =\n"))


@pytest.mark.parametrize(
    "path",
    sorted(p for f in ("examples", "tiledsl/std", "tiledsl/kernels") for p in (ROOT / f).glob("*.tile")),
    ids=lambda path: path.name,
)  # fmt: skip
def test_files_of_the_project_are_canonical(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


# ---- random programs

NAMES = st.sampled_from(["x", "y", "acc", "max", "cores", "on", "target", "a_rather_long_name"])
ATOMS = st.one_of(NAMES, st.sampled_from(["0", "1_000", "0xFF", "0.5", "1e-6", '"a # b"']))


def _expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    infix = st.sampled_from("+ - * / // % @ ** & | ^ << >> < == and or".split())  # noqa: SIM905
    prefix = st.sampled_from(["-", "+", "~", "not "])
    closed = inner.map(lambda e: f"({e})")
    several = st.lists(inner, min_size=1, max_size=4).map(", ".join)
    return st.one_of(
        st.tuples(closed, infix, closed).map(" ".join),
        st.tuples(ATOMS, infix, ATOMS).map(" ".join),
        st.tuples(prefix, closed).map("".join),
        st.tuples(NAMES, several).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(NAMES, several, NAMES, inner).map(lambda p: f"{p[0]}({p[1]} over {p[2]} in {p[3]})"),
        st.tuples(NAMES, several).map(lambda p: f"{p[0]}[{p[1]}]"),
        st.tuples(NAMES, several, inner).map(lambda p: f"{p[0]}[{p[1]} else {p[2]}]"),
        st.tuples(NAMES, inner, inner).map(lambda p: f"{p[0]}[({p[1]}) .. {p[2]}]"),
        st.tuples(closed, closed, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        st.tuples(inner, several).map(lambda p: f"({p[0]}, {p[1]})"),
        st.tuples(NAMES, NAMES, NAMES).map(lambda p: f"{p[0]}({p[1]} -> {p[2]})"),
        several.map(lambda e: f"[{e}]"),
        several.map(lambda e: f"where({e})"),
    )  # fmt: skip


EXPRESSIONS = st.recursive(ATOMS, _expressions, max_leaves=8)
STATEMENTS = st.one_of(
    st.tuples(NAMES, EXPRESSIONS).map(" = ".join),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]}: f32[i, *R] = {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"var {p[0]}: wide(T) = {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]} max= {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]} += {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS, EXPRESSIONS).map(lambda p: f"{p[0]}[{p[1]}] = {p[2]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"atomic {p[0]}[i else skip] min= {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"grid i in N by BN, {p[0]} in {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]}, i = topk({p[1]} over n into k)"),
    EXPRESSIONS.map(lambda e: f'assert {e}, "text"'),
)


def _blocks(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    body = st.lists(inner, min_size=1, max_size=3).map(
        lambda parts: list(chain.from_iterable(parts))
    )
    deeper = st.tuples(st.sampled_from([1, 2, 4]), body).map(
        lambda p: [" " * p[0] + s for s in p[1]]
    )
    heads = EXPRESSIONS.map(lambda e: f"for k in {e} by BK:") | EXPRESSIONS.map(
        lambda e: f"if {e}:"
    )
    either = st.tuples(EXPRESSIONS, deeper, deeper).map(
        lambda p: [f"if {p[0]}:", *p[1], "else:", *p[2]]
    )
    return st.tuples(heads, deeper).map(lambda p: [p[0], *p[1]]) | either  # fmt: skip


BODIES = st.lists(
    st.recursive(STATEMENTS.map(lambda s: [s]), _blocks, max_leaves=5), min_size=1, max_size=4
).map(lambda parts: ["  " + line for part in parts for line in part])
PARAMS = st.lists(
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]}: T[{p[1]}, *R] = none"), max_size=6
).map(", ".join)
ITEMS = st.one_of(
    EXPRESSIONS.map(lambda e: [f"const A = {e}"]),
    EXPRESSIONS.map(lambda e: [f"fn f(x, y) = {e}"]),
    st.tuples(PARAMS, BODIES).map(lambda p: [f"kernel f[T in (f16, f32)]({p[0]}) -> (y: T):", *p[1]]),
    st.tuples(BODIES, EXPRESSIONS).map(lambda p: ["fn f(x):", *p[0], f"  return {p[1]}"]),
    EXPRESSIONS.map(lambda e: ["schedule f:", f"  BM = {e}, BN = 1", f"  cores {e}", "  unroll k"]),
    EXPRESSIONS.map(lambda e: ["test f:", f"  given x = {e}", "  for (M, N) in ((1, 2),)"]),
)  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Return a program in any layout: spaces, breaks in brackets, blank lines, comments."""
    lines = []
    for item in draw(st.lists(ITEMS, max_size=4)):
        for line in item:
            lines += draw(st.lists(st.sampled_from(["", "# c", "  # c", "    # c"]), max_size=2))
            lines.append(_loosen(line, draw) + draw(st.sampled_from(["", "", "  # c", "#c"])))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n  # end", "\n# end"]))


def _loosen(line: str, draw: st.DrawFn) -> str:
    """Put other space where there is space, if not in the indentation or in a string."""
    indentation = line[: len(line) - len(line.lstrip())]
    depth, pieces = 0, [indentation]
    for piece in re.findall(r'"[^"]*"|\(|\[|\)|\]| |[^ ()\[\]"]+', line.lstrip()):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(piece, 0)
        if piece == " ":
            choices = [" ", " ", "  "]
            choices += ["\n ", " # c\n", "\n  # c\n\n"] if depth else []
            piece = draw(st.sampled_from(choices))
        pieces.append(piece)
    return "".join(pieces)


@given(programs())
def test_formatting_keeps_the_meaning_and_the_comments(text: str) -> None:
    result = formatted(text)
    assert sorted(_comments(result)) == sorted(_comments(text))
    assert "\n\n\n" not in result
    assert not re.search(r"[ \t]+$", result, re.MULTILINE)


def _comments(text: str) -> list[str]:
    return re.findall(r"#.*", text.replace('"a # b"', "").replace("[ \t]+$", ""))
