"""Every node of a tree, one after the other."""

from collections.abc import Iterator
from dataclasses import fields

from tiledsl.syntax.tree import Node


def walk(value: object) -> Iterator[Node]:
    """Yield every node inside ``value`` (a node, or a tuple of such), outermost first."""
    if isinstance(value, tuple):
        for part in value:
            yield from walk(part)
    elif isinstance(value, Node):
        yield value
        for field in fields(value):
            if field.name != "span":
                yield from walk(getattr(value, field.name))
