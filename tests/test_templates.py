"""Templates lay out, views decide: no logic in a template, and no name that its view has not."""

from dataclasses import fields, is_dataclass
from importlib import import_module
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from jinja2 import nodes

from tiledsl.backends import BACKENDS
from tiledsl.backends.backend import templates

ENVIRONMENT = templates()
NAMES = [name for name in ENVIRONMENT.list_templates() if name.endswith(".j2")]
# The view that each backend's templates lay out.
VIEWS = {
    name: get_type_hints(import_module(f"{module}.view").view)["return"]
    for name, module in BACKENDS.items()
}
LAYOUT = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.CondExpr,
    nodes.Name, nodes.Getattr, nodes.Filter, nodes.Const, nodes.Not,
)  # fmt: skip
FILTERS = {"join", "indent"}


def test_every_backend_has_templates() -> None:
    assert {name.split("/")[0] for name in NAMES} == set(BACKENDS)


@pytest.mark.parametrize("name", NAMES)
def test_templates_have_no_logic(name: str) -> None:
    for node in _tree(name).find_all(nodes.Node):
        where = f"{name}:{node.lineno}"
        assert isinstance(node, LAYOUT), f"{where}: logic: {node!r}"
        if isinstance(node, nodes.Filter):
            assert node.name in FILTERS, f"{where}: filter {node.name}"


@pytest.mark.parametrize("name", NAMES)
def test_templates_name_what_their_view_has(name: str) -> None:
    _check(_tree(name), {"kernel": VIEWS[name.split("/")[0]]}, name)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_views_hold_finished_words(view: Any) -> None:
    _plain(view, set())


def _tree(name: str) -> nodes.Template:
    assert ENVIRONMENT.loader is not None
    source, _, _ = ENVIRONMENT.loader.get_source(ENVIRONMENT, name)
    return ENVIRONMENT.parse(source)


def _check(node: nodes.Node, scope: dict[str, Any], where: str) -> None:
    """Look up every ``a.b.c`` of a template in the types of its view."""
    match node:
        case nodes.For(target=nodes.Name(name=name), iter=sequence, body=body):
            element = get_args(_kind(sequence, scope, where))[0]
            for child in body:
                _check(child, {**scope, name: element, "loop": Any}, where)
            return
        case nodes.Name() | nodes.Getattr():
            _kind(node, scope, where)
        case _:
            for child in node.iter_child_nodes():
                _check(child, scope, where)


def _kind(node: nodes.Node, scope: dict[str, Any], where: str) -> Any:
    match node:
        case nodes.Name(name=name):
            assert name in scope, f"{where}:{node.lineno}: no {name}"
            return scope[name]
        case nodes.Getattr(node=inner, attr=attr):
            owner = _kind(inner, scope, where)
            if owner is Any:
                return Any
            assert is_dataclass(owner), f"{where}:{node.lineno}: {owner} has no fields"
            assert isinstance(owner, type)
            hints = get_type_hints(owner)
            found = hints.get(attr) or _property(owner, attr)
            assert found is not None, f"{where}:{node.lineno}: no {attr}"
            return found
        case _:
            raise AssertionError(f"{where}:{node.lineno}: {node!r}")


def _property(owner: type, name: str) -> Any:
    member = getattr(owner, name, None)
    return get_type_hints(member.fget)["return"] if isinstance(member, property) else None


def _plain(kind: Any, seen: set[Any]) -> None:
    """Assert that ``kind`` is made of str, int, bool and tuples alone."""
    if kind in seen:
        return
    seen.add(kind)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind)
        for field in fields(kind):
            _plain(hints[field.name], seen)
    elif get_origin(kind) in (tuple, UnionType):
        for argument in get_args(kind):
            if argument is not Ellipsis:
                _plain(argument, seen)
    else:
        assert kind in (str, int, bool, type(None)), kind
