"""Functions of a file, expanded where they are called, under the names of their own file."""

from tiledsl.check.builder import Absent, Builder, Meaning, Scope
from tiledsl.check.errors import Recursion
from tiledsl.check.modules import Definition
from tiledsl.check.terms import Term
from tiledsl.check.type_errors import TooLarge, WrongArguments
from tiledsl.scalar import Axis, Tensor
from tiledsl.syntax import tree

_MOST_EXPANSIONS, _DEEPEST_EXPANSION = 10_000, 40


def expand(
    b: Builder, node: tree.Call, definition: Definition[tree.Fn]
) -> tuple[Term | None, ...] | None:
    """Return the results of a call; None after an error that has been reported."""
    fn = definition.item
    arguments = [_argument(b, a) for a in node.args]
    if node.over or len(arguments) != len(fn.params):
        count = "1 argument" if len(fn.params) == 1 else f"{len(fn.params)} arguments"
        names = ", ".join(p.id for p in fn.params)
        got = "`over` is not for it" if node.over else f"here are {len(arguments)}"
        b.error(WrongArguments(node.span, fn.name.id, f"{count}: ({names})", got))
        return None
    b.expansions += 1
    if b.expansions > _MOST_EXPANSIONS or len(b.expanding) > _DEEPEST_EXPANSION:
        limit = f"at most {_MOST_EXPANSIONS} calls of functions, {_DEEPEST_EXPANSION} deep"
        if b.expansions <= _MOST_EXPANSIONS + 1:
            b.error(TooLarge(node.span, "the kernel, with its functions expanded,", limit))
            b.expansions = max(b.expansions, _MOST_EXPANSIONS + 1)
        return None
    if fn in b.expanding:
        b.error(Recursion(node.span, "function", fn.name.id))
        return None
    outer = (b.module, b.scope, b.calls, b.expanding)
    # A root scope of its own: the function sees its file and its arguments, nothing of the caller.
    b.module, b.scope = definition.module, Scope(Scope())
    b.expanding = (*b.expanding, fn)
    for param, meaning in zip(fn.params, arguments, strict=True):
        b.bind(param, meaning, "a parameter")
    b.calls = (*b.calls, node.span)
    results = _body(b, fn)
    b.close_scope()
    b.module, b.scope, b.calls, b.expanding = outer
    return results


def _argument(b: Builder, node: tree.Expr | tree.Becomes) -> Meaning | None:
    """Return what an argument hands over: a range or a tensor as it is, else a value."""
    if isinstance(node, tree.Becomes):
        b.error(WrongArguments(node.span, "->", "a place in `rename`", ""))
        return None
    if isinstance(node, tree.Name):
        bound = b.scope.find(node.id)
        if bound is not None and isinstance(bound.meaning, Axis | Tensor | Absent):
            bound.used = True
            return bound.meaning
        if bound is None and node.id in b.module.consts:
            return b.look(node)
    return b.expression(node)


def _body(b: Builder, fn: tree.Fn) -> tuple[Term | None, ...] | None:
    if not isinstance(fn.body, tuple):
        return (b.expression(fn.body),)
    outer, b.depth = b.depth, b.depth + 1
    results: tuple[Term | None, ...] | None = None
    for statement in fn.body:
        if isinstance(statement, tree.Return):
            results = tuple(b.expression(v) for v in statement.values)
        else:
            with b.listing(()):
                b.statement(statement)
    b.depth = outer
    return results
