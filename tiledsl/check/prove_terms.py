"""From scalars, tiles and conditions of the IR to polynomials and facts.

A `Frame` is one program of a kernel, at one iteration of each loop and one lane of each tile. Two
frames are two programs: what they read at equal indices is equal, all else is their own.

Arithmetic on sizes, positions and parameters is taken to be exact: an index beyond i32 is the
launch's to refuse. Arithmetic on what a tile has read wraps around where its type ends.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.check.poly import ONE, ZERO, Poly, constant
from tiledsl.check.prove_facts import (
    FALSE,
    TRUE,
    Cases,
    Facts,
    Key,
    Scope,
    conjunction,
    disjunction,
    equal,
)
from tiledsl.types import DType

# Sizes and positions are i32.
MOST = 2**31 - 1
_WRAPPING = frozenset({"add", "sub", "mul", "neg", "shl"})
_NEGATED = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}


@dataclass(frozen=True, slots=True)
class Range:
    """An axis in a frame: a position on it, and for a tiled one the tile that this is in.

    ``facts`` hold wherever the range has a tile; ``lane_facts`` wherever it has a position, which
    a span need not have.
    """

    position: Poly
    start: Poly
    end: Poly
    number: Poly
    facts: tuple[Poly, ...]
    lane_facts: tuple[Poly, ...]


class Frame:
    """The integers of one program."""

    def __init__(
        self, facts: Facts, kernel: ir.Kernel, definitions: Mapping[ir.Value, ir.Stmt], tag: str
    ) -> None:
        self.facts = facts
        self.kernel = kernel
        self.definitions = definitions
        self.tag = tag
        self.dims: dict[str, Poly] = {}
        self.moved: dict[sc.Axis, Poly] = {}
        self.written = {s.tensor for s in ir.statements(kernel.body) if isinstance(s, ir.Store)}

    def other(self, tag: str) -> "Frame":
        """Return another program of the same launch."""
        frame = copy(self)
        frame.tag, frame.moved = tag, {}
        return frame

    def at(self, positions: Mapping[sc.Axis, Poly]) -> "Frame":
        """Return the same program at other positions."""
        frame = copy(self)
        frame.moved = {**self.moved, **positions}
        return frame

    # ---- ranges

    def range(self, axis: sc.Axis, scope: Scope) -> Range:
        """Return the range as it is in ``scope``, or in the scope around it that has entered it."""
        key = (axis, self.tag)
        place: Scope | None = scope
        while place is not None:
            found: Range | None = place.ranges.get(key)
            if found is not None:
                return found
            place = place.outer
        made = scope.ranges[key] = self._range(axis, scope)
        return made

    def _range(self, axis: sc.Axis, scope: Scope) -> Range:
        facts = self.facts
        lo, hi = self.scalar(axis.lo, scope), self.scalar(axis.hi, scope)
        least, most = facts.lower(lo), facts.upper(hi)
        top = None if most is None else most - 1
        name = axis.name + self.tag
        position = facts.atom(("position", axis, self.tag, least, top), name, least, top)
        inside = (position - lo, hi - 1 - position)
        if axis.kind == "span":
            return Range(position, lo, hi, ZERO, (), (*inside, hi - 1 - lo))
        if axis.tile is None:
            return Range(position, position, position + 1, position, inside, ())
        tile = self.scalar(axis.tile, scope)
        if not facts.prove(tile - 1, scope):
            start = facts.atom(("start", axis, self.tag), f"start({name})", least, top)
            end = facts.atom(("end", axis, self.tag), f"end({name})")
            tiled = (*inside, start - lo, position - start, end - 1 - position, hi - end)
            return Range(position, start, end, start, tiled, ())
        number = facts.atom(("tile", axis, self.tag), f"tile({name})", 0)
        start = lo + tile * number
        end = facts.least(start + tile, hi, scope)
        known = (*inside, hi - 1 - start, position - start, start + tile - 1 - position,
                 end - 1 - position)  # fmt: skip
        return Range(position, start, end, number, known, ())

    def enter(self, axis: sc.Axis, scope: Scope) -> Scope:
        """Return the scope inside a grid or a loop: its range has a tile there."""
        return scope.extend(self.range(axis, scope).facts)

    def lanes(self, axes: frozenset[sc.Axis], scope: Scope) -> Scope:
        """Return the scope of one element of a tile: each of its ranges has a position."""
        named = sorted(axes, key=lambda axis: axis.name)
        facts = tuple(f for axis in named for f in self._lane(axis, scope))
        if not facts:
            return scope
        found = scope.inner.get(facts)
        if found is None:
            found = scope.inner[facts] = scope.extend(facts)
        return found

    def _lane(self, axis: sc.Axis, scope: Scope) -> tuple[Poly, ...]:
        own = self.range(axis, scope)
        moved = self.moved.get(axis)
        if moved is None:
            return own.lane_facts
        here = own.position.sole_atom
        assert here is not None
        source = (*own.facts, *own.lane_facts)
        return tuple(f.replace({here: moved}) for f in source if here in f.atoms)

    def position(self, axis: sc.Axis, scope: Scope) -> Poly:
        """Return the position on ``axis``."""
        moved = self.moved.get(axis)
        return self.range(axis, scope).position if moved is None else moved

    # ---- scalars

    def scalar(self, value: sc.Scalar, scope: Scope) -> Poly:
        """Return an integer scalar; an atom of its own for what has no polynomial."""
        key = ("scalar", value, *self._here)
        found = scope.terms.get(key)
        if found is None:
            found = self._scalar(value, scope)
            scope.terms[key] = found
        return found

    def _scalar(self, value: sc.Scalar, scope: Scope) -> Poly:
        match value:
            case sc.Literal(value=int() as number):
                return constant(int(number))
            case sc.Dim(name=name):
                return self.dim(name)
            case sc.TileSize(name=name):
                return self.facts.atom(("tile size", name), name, 1)
            case sc.ParamValue(name=name, dtype=dtype) if not dtype.is_float:
                return self.facts.atom(("param", name), name, *_limits(dtype))
            case sc.Position(axis=axis):
                return self.position(axis, scope)
            case sc.Start(axis=axis):
                return self.range(axis, scope).start
            case sc.End(axis=axis):
                return self.range(axis, scope).end
            case sc.Element():
                return self._element(value, scope)
            case sc.Apply(op=op, args=args, dtype=dtype) if not dtype.is_float:
                result = self._apply(op, args, dtype, scope)
                if result is not None:
                    return result
            case _:
                pass
        return self._unknown(("scalar", value), sc.show(value), value.dtype)

    def dim(self, name: str) -> Poly:
        """Return the dim, or what a fact says that it equals."""
        found = self.dims.get(name)
        if found is None:
            found = self.dims[name] = self.facts.atom(("dim", name), name, 0, MOST)
        return found

    def _element(self, element: sc.Element, scope: Scope) -> Poly:
        index = tuple(self.scalar(i, scope) for i in element.index)
        if element.dtype.is_float:
            return self._unknown(("scalar", element), sc.show(element), element.dtype)
        read = self._read(element.tensor, index, sc.show(element))
        if element.default is None or (element.guards and not any(element.guards)):
            return read
        other = self.scalar(element.default, scope)
        return self.facts.choice(
            ("element", read), sc.show(element), ((read, TRUE), (other, TRUE))
        )

    def _read(self, tensor: sc.Tensor, index: tuple[Poly, ...], name: str) -> Poly:
        low, high = _limits(tensor.dtype)
        if tensor.values:
            low, high = int(min(tensor.values)), int(max(tensor.values))
        own = self.tag if tensor in self.written else ""
        return self.facts.arbitrary(("element", tensor, index, own), name + own, low, high)

    def _unknown(self, key: Key, name: str, dtype: DType) -> Poly:
        """Return an integer of this program alone, of which only the type is known."""
        return self.facts.arbitrary((*key, self.tag), name + self.tag, *_limits(dtype))

    # ---- arithmetic, of scalars and of tiles

    def _apply(
        self, op: str, args: tuple[ir.Operand, ...], dtype: DType, scope: Scope
    ) -> Poly | None:
        """Return ``op`` of integers; None where that says nothing."""
        facts = self.facts
        if dtype is DType.BOOL:
            return None
        if op == "where":
            return self._where(args, scope)
        if op == "cast":
            return self._cast(args[0], dtype, scope)
        if any(a.dtype.is_float if not isinstance(a, ir.Value) else a.type.dtype.is_float
               for a in args):  # fmt: skip
            return None
        x = self.operand(args[0], scope)
        y = self.operand(args[1], scope) if len(args) > 1 else ZERO
        power = y.constant
        match op:
            case "add":
                return x + y
            case "sub":
                return x - y
            case "mul":
                return x * y
            case "neg":
                return -x
            case "floordiv":
                return facts.quotient(x, y, scope)
            case "mod":
                quotient = facts.quotient(x, y, scope)
                return None if quotient is None else x - y * quotient
            case "min":
                return facts.least(x, y, scope)
            case "max":
                return facts.most(x, y, scope)
            case "abs":
                return facts.most(x, -x, scope)
            case "clamp":
                top = self.operand(args[2], scope)
                return facts.least(facts.most(x, y, scope), top, scope)
            case "bitnot" if dtype.is_signed:
                return -x - 1
            case "shl" if power is not None and 0 <= power < 32:
                return x * (1 << power)
            case "shr" if power is not None and 0 <= power < 32:
                return facts.quotient(x, constant(1 << power), scope)
            case "bitand":
                return self._masked(x, y, scope)
            case _:
                return None

    def _masked(self, x: Poly, y: Poly, scope: Scope) -> Poly | None:
        if x.constant is not None:
            x, y = y, x
        mask = y.constant
        if mask is None or mask < 0:
            return None
        if mask & (mask + 1) == 0:
            quotient = self.facts.quotient(x, constant(mask + 1), scope)
            assert quotient is not None
            return x - quotient * (mask + 1)
        return self.facts.arbitrary(("&", x, y), f"({self.facts.show(x)} & {mask})", 0, mask)

    def _where(self, args: tuple[ir.Operand, ...], scope: Scope) -> Poly | None:
        condition = self.condition(args[0], scope)
        opposite = self.condition(args[0], scope, negate=True)
        # Both sides in the scope of the whole: a division that only one side may do has facts
        # that do not hold on the other.
        yes, no = self.operand(args[1], scope), self.operand(args[2], scope)
        if yes == no or opposite == FALSE:
            return yes
        if condition == FALSE:
            return no
        key = ("where", *args, *self._here)
        return self.facts.choice(key, "where(…)", ((yes, condition), (no, opposite)))

    def _cast(self, operand: ir.Operand, dtype: DType, scope: Scope) -> Poly | None:
        source = operand.type.dtype if isinstance(operand, ir.Value) else operand.dtype
        if source is DType.BOOL:
            key = ("bool", operand, *self._here)
            condition = self.condition(operand, scope)
            opposite = self.condition(operand, scope, negate=True)
            return self.facts.choice(key, "bool", ((ONE, condition), (ZERO, opposite)))
        if source.is_float or dtype.is_float:
            return None
        x = self.operand(operand, scope)
        low, high = (int(v) for v in dtype.limits)
        least, most = (int(v) for v in source.limits)
        if least < low:
            x = self.facts.most(x, constant(low), scope)
        if most > high:
            x = self.facts.least(x, constant(high), scope)
        return x

    # ---- tiles

    def operand(self, operand: ir.Operand, scope: Scope) -> Poly:
        """Return an integer operand, of a tile the element at the frame's positions."""
        if not isinstance(operand, ir.Value):
            return self.scalar(operand, scope)
        key = ("value", operand, *self._here)
        found = scope.terms.get(key)
        if found is None:
            found = self._value(operand, scope)
            if found is None:
                where = tuple(self.position(a, scope) for a in operand.type.axes)
                found = self._unknown(("value", operand, where), operand.name, operand.type.dtype)
            scope.terms[key] = found
        return found

    @property
    def _here(self) -> Key:
        return (self.tag, *self.moved.items())

    def _value(self, value: ir.Value, scope: Scope) -> Poly | None:
        facts = self.facts
        match self.definitions.get(value):
            case ir.Positions(axis=axis):
                return self.position(axis, scope)
            case ir.Rename(operand=operand, old=old, new=new):
                here, there = self.range(new, scope), self.range(old, scope)
                place = self.position(new, scope) - here.start + there.start
                return self.at({old: place}).operand(operand, scope)
            case ir.Compute(op=op, operands=operands):
                if value.type.dtype.is_float:
                    return None
                exact = self._apply(op.name, operands, value.type.dtype, scope)
                if exact is None or op.name not in _WRAPPING:
                    return exact
                return self._fitted(exact, value, scope)
            case ir.Load(tensor=tensor, index=index, default=default, guards=guards):
                if tensor.dtype.is_float or tensor in self.written:
                    return None
                places = tuple(self.index(i, scope) for i in index)
                read = self._read(tensor, places, f"{tensor.name}[…]")
                if default is None or (guards and not any(guards)):
                    return read
                other = self.operand(default, scope)
                return facts.choice(("load", read), value.name, ((read, TRUE), (other, TRUE)))
            case ir.Reduce(reduction=reduction, axes=(axis,)) if reduction.name.startswith("arg"):
                return self._place(value, axis, scope)
            case ir.Sort(values=values, axis=axis) if value is not values:
                return self._place(value, axis, scope)
            case _:
                return None

    def _place(self, value: ir.Value, axis: sc.Axis, scope: Scope) -> Poly | None:
        """Return a position of ``axis`` that the elements decide."""
        own = self.range(axis, scope)
        if not self.facts.prove(own.end - own.start - 1, scope):
            return None
        where = tuple(self.position(a, scope) for a in value.type.axes)
        free = self._unknown(("place", value, where), value.name, DType.I32)
        inside = (free - own.start, own.end - 1 - free)
        return self.facts.choice(("place", free), value.name, ((free, (inside,)),))

    def _fitted(self, exact: Poly, value: ir.Value, scope: Scope) -> Poly:
        """Return the result of arithmetic that wraps around where its type ends."""
        facts, dtype = self.facts, value.type.dtype
        risky = facts.has_arbitrary(exact) or dtype is DType.U32
        if not risky:
            return exact
        low, high = (int(v) for v in dtype.limits)
        bottom, top = facts.lower(exact), facts.upper(exact)
        if bottom is not None and bottom >= low and top is not None and top <= high:
            return exact
        if facts.prove(exact - low, scope) and facts.prove(high - exact, scope):
            return exact
        where = tuple(self.position(a, scope) for a in value.type.axes)
        wrapped = self._unknown(("wrapped", value, where), value.name, dtype)
        fits = ((exact - low, high - exact),)
        over, under = ((exact - high - 1,),), ((low - 1 - exact,),)
        options = ((exact, fits), (wrapped, over), (wrapped, under))
        return facts.choice(("fitted", value, where), value.name, options)

    def index(self, index: ir.Index, scope: Scope) -> Poly:
        """Return the position that ``index`` names."""
        place = self.scalar(index.offset, scope)
        for axis, mult in index.terms:
            place = place + self.scalar(mult, scope) * self.position(axis, scope)
        return place if index.gather is None else place + self.operand(index.gather, scope)

    # ---- conditions

    def condition(self, condition: ir.Operand, scope: Scope, negate: bool = False) -> Cases:
        """Return what is known where ``condition`` holds, or where it does not."""
        match condition:
            case sc.Literal(value=value):
                return TRUE if bool(value) != negate else FALSE
            case sc.Apply(op=op, args=args):
                return self._decided(str(op), args, condition, scope, negate)
            case ir.Value():
                match self.definitions.get(condition):
                    case ir.Compute(op=row, operands=operands):
                        return self._decided(row.name, operands, condition, scope, negate)
                    case ir.Rename(operand=operand, old=old, new=new):
                        here, there = self.range(new, scope), self.range(old, scope)
                        place = self.position(new, scope) - here.start + there.start
                        return self.at({old: place}).condition(operand, scope, negate)
                    case _:
                        pass
            case _:
                pass
        return self._flag(condition, scope, negate)

    def _decided(
        self,
        op: str,
        args: tuple[ir.Operand, ...],
        whole: ir.Operand,
        scope: Scope,
        negate: bool,
    ) -> Cases:
        match op:
            case "not":
                return self.condition(args[0], scope, not negate)
            case "and" | "or":
                join = conjunction if (op == "and") != negate else disjunction
                both = [self.condition(a, scope, negate) for a in args]
                return join(both[0], both[1])
            case "eq" | "ne" | "lt" | "le" | "gt" | "ge":
                types = [a.type.dtype if isinstance(a, ir.Value) else a.dtype for a in args]
                if all(t.is_integer for t in types):
                    a, b = (self.operand(x, scope) for x in args)
                    return compare(_NEGATED[op] if negate else op, a, b)
            case _:
                pass
        return self._flag(whole, scope, negate)

    def _flag(self, condition: ir.Operand, scope: Scope, negate: bool) -> Cases:
        """Return the facts on a truth value that is 0 or 1, as one integer for both branches."""
        if isinstance(condition, ir.Value):
            flag = self.operand(condition, scope)
        elif isinstance(condition, sc.Apply):
            flag = self._unknown(("scalar", condition), sc.show(condition), DType.BOOL)
        else:
            flag = self.scalar(condition, scope)
        return ((-flag,),) if negate else ((flag - 1,),)


def compare(op: str, a: Poly, b: Poly) -> Cases:
    """Return the facts that a comparison states."""
    match op:
        case "eq":
            return (equal(a, b),)
        case "ne":
            return ((a - b - 1,), (b - a - 1,))
        case "lt":
            return ((b - a - 1,),)
        case "le":
            return ((b - a,),)
        case "gt":
            return ((a - b - 1,),)
        case _:
            return ((a - b,),)


def _limits(dtype: DType) -> tuple[int | None, int | None]:
    """Return the bounds of an integer type; none for a float."""
    if dtype.is_float:
        return None, None
    low, high = dtype.limits
    return int(low), int(high)
