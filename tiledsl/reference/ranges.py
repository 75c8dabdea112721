"""Which positions each free index of a reference runs over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tiledsl.ir import Tensor
from tiledsl.reference.errors import fail
from tiledsl.reference.tiles import Range
from tiledsl.scalar import Scalar, show
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.syntax.walk import walk


@dataclass(frozen=True, slots=True)
class _Use:
    name: tree.Name
    size: Scalar


def free_ranges(
    body: tuple[tree.Stmt, ...],
    tensors: Mapping[str, Tensor],
    bound: frozenset[str],
    value: Callable[[Scalar], int],
) -> dict[str, Range]:
    """Return the range of each name that is neither bound nor declared by ``over`` or ``span``.

    It is the dim that the name indexes bare: on the left side if there is one, else on the right.
    """
    left: dict[str, list[_Use]] = {}
    right: dict[str, list[_Use]] = {}
    for node in walk(body):
        match node:
            case tree.Store(tensor=tensor, indices=indices) if tensor.id in tensors:
                _collect(tensors[tensor.id], indices, left)
            case tree.Index(base=tree.Name(id=name), indices=indices) if name in tensors:
                _collect(tensors[name], indices, right)
            case _:
                pass
    found: dict[str, Range] = {}
    for name in (n for n in {**left, **right} if n not in bound):
        uses = left.get(name) or right[name]
        sizes = list(dict.fromkeys(use.size for use in uses))
        if len(sizes) == 1:
            found[name] = Range(name, 0, value(sizes[0]))
    return found


def unknown_range(
    name: str, span: Span, body: tuple[tree.Stmt, ...], tensors: Mapping[str, Tensor]
) -> Exception:
    """Return the error for a name that indexes no dim bare, or two different ones."""
    uses: dict[str, list[_Use]] = {}
    for node in walk(body):
        if isinstance(node, tree.Index) and isinstance(node.base, tree.Name):
            tensor = tensors.get(node.base.id)
            if tensor is not None:
                _collect(tensor, node.indices, uses)
    sizes = list(dict.fromkeys(show(use.size) for use in uses.get(name, [])))
    why = f"it indexes {' and '.join(sizes)}" if sizes else "it indexes no dim bare"
    return fail(
        span,
        f"no one knows what `{name}` runs over: {why}",
        f"say it: `span {name} in D` above, or `over {name} in D` in a reduction",
    )


def _collect(
    tensor: Tensor, indices: tuple[tree.Expr | tree.Slice, ...], uses: dict[str, list[_Use]]
) -> None:
    for index, size in zip(indices, tensor.shape, strict=False):
        if isinstance(index, tree.Name):
            uses.setdefault(index.id, []).append(_Use(index, size))
