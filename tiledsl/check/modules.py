"""From files to modules: a file, what it imports, and its items by name."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from tiledsl.check.errors import (
    DuplicateItem,
    Finding,
    ImportCycle,
    NoSuchFile,
    PathOutside,
    PlainImport,
    ReservedName,
    UnknownImport,
    UnknownKernel,
)
from tiledsl.check.names import BUILT_IN_FUNCTIONS, RESERVED_VALUES
from tiledsl.diagnostics import CompileError, Report
from tiledsl.source import Source, Span
from tiledsl.syntax import tree
from tiledsl.syntax.parser import parse, read_source
from tiledsl.types import DTYPES

if TYPE_CHECKING:
    from tiledsl.check.winners import Winner

# What `std.NAME` may be: a file of functions, or one of the kernels that come along.
LIBRARY = Path(__file__).resolve().parent.parent / "std"
KERNELS = LIBRARY.parent / "kernels"

WINNERS = ".tune.toml"  # what ends the name of a file of winners

ItemT = TypeVar("ItemT", tree.Const, tree.Fn, tree.Kernel, tree.Op)


@dataclass(frozen=True, eq=False, slots=True)
class Definition(Generic[ItemT]):
    """An item and the module whose names its text means."""

    item: ItemT
    module: "Module" = field(repr=False)


@dataclass(eq=False, slots=True)
class Module:
    """A file: its own items and the imported ones by their local names."""

    source: Source
    file: tree.File
    path: Path | None = None
    consts: dict[str, Definition[tree.Const]] = field(default_factory=dict)
    fns: dict[str, Definition[tree.Fn]] = field(default_factory=dict)
    kernels: dict[str, Definition[tree.Kernel]] = field(default_factory=dict)
    ops: dict[str, Definition[tree.Op]] = field(default_factory=dict)
    references: dict[str, tree.Reference] = field(default_factory=dict)
    tests: dict[str, tuple[tree.Test, ...]] = field(default_factory=dict)
    schedules: dict[str, tuple[tree.Schedule, ...]] = field(default_factory=dict)
    imports: dict[str, "Module"] = field(default_factory=dict)
    winners: "tuple[Winner, ...] | None" = None  # once they have been read

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the kernels and ops that are defined in this file, in its order."""
        items = (i for i in self.file.items if isinstance(i, tree.Kernel | tree.Op))
        return tuple(dict.fromkeys(i.name.id for i in items))

    @property
    def winners_path(self) -> Path | None:
        """Where the winners of searches are kept, beside the file; a text has no such place."""
        return None if self.path is None else self.path.with_suffix(WINNERS)

    def __repr__(self) -> str:
        return f"Module({self.source.name!r})"


def load_module(path: Path, *, search: tuple[Path, ...] = ()) -> Module:
    """Return the module of the file at ``path`` with its imports; raise `CompileError`."""
    where = path.resolve()
    loader = _Loader(_project_root(where), tuple(s.resolve() for s in search))
    module = loader.load(where, read_source(path))
    loader.report.raise_errors()
    return module


def library() -> dict[str, Path]:
    """Return the files of the library by the names after `std.`."""
    files = (path for folder in (LIBRARY, KERNELS) for path in sorted(folder.glob("*.tile")))
    return {path.stem: path for path in files}


def load_text(text: str, name: str = "<text>", *, search: tuple[Path, ...] = ()) -> Module:
    """Return the module of ``text``; its imports come from ``search`` and the library."""
    loader = _Loader(None, tuple(s.resolve() for s in search))
    module = loader.load(None, Source(name, text))
    loader.report.raise_errors()
    return module


def _project_root(path: Path) -> Path:
    """Return the nearest folder above ``path`` that a project starts in, or the file's own."""
    for folder in path.parents:
        if any((folder / mark).exists() for mark in ("pyproject.toml", ".git")):
            return folder
    return path.parent


@dataclass(eq=False)
class _Loader:
    """Loads each file once."""

    root: Path | None
    search: tuple[Path, ...]
    report: Report = field(default_factory=Report)
    loaded: dict[Path, Module] = field(default_factory=dict)
    active: list[tuple[Path, str]] = field(default_factory=list)

    def load(self, path: Path | None, source: Source) -> Module:
        module = Module(source, parse(source), path)
        if path is not None:
            self.loaded[path] = module
            self.active.append((path, source.name))
        for item in module.file.items:
            if isinstance(item, tree.Import):
                self.take(module, item)
        _define_items(module, self.report)
        if path is not None:
            self.active.pop()
        return module

    def take(self, module: Module, item: tree.Import) -> None:
        if not item.names:
            self.report.add(PlainImport(item.span, item.path))
            return
        other = self.find(module, item)
        if other is None:  # reported; its names stand for nothing
            return
        module.imports[item.path] = other
        known = (*other.consts, *other.fns, *other.kernels, *other.ops)
        for name, local in item.names:
            if name.id not in known:
                self.report.add(UnknownImport(name.span, name.id, item.path, known))
            if name.id in other.consts:
                _define(module.consts, local, other.consts[name.id], "constant", self.report)
            if name.id in other.fns:
                _define(module.fns, local, other.fns[name.id], "function", self.report)
            if name.id in other.kernels:
                _define(module.kernels, local, other.kernels[name.id], "kernel", self.report)
            if name.id in other.ops:
                _define(module.ops, local, other.ops[name.id], "op", self.report)

    def find(self, module: Module, item: tree.Import) -> Module | None:
        path = self.locate(module, item)
        if path is None:
            return None
        if path in (p for p, _ in self.active):
            names = [n for _, n in self.active]
            start = [p for p, _ in self.active].index(path)
            self.report.add(ImportCycle(item.span, (*names[start:], names[start])))
            return None
        if path in self.loaded:
            return self.loaded[path]
        try:
            return self.load(path, read_source(path))
        except CompileError as error:
            for diagnostic in error.diagnostics:
                self.report.add(diagnostic)
            return None

    def locate(self, module: Module, item: tree.Import) -> Path | None:
        """Return the file that ``item`` names: beside, in the search path, in the library."""
        if item.dotted:
            parts = item.path.split(".")
            if parts[0] == "std":
                files = library()
                if ".".join(parts[1:]) in files:
                    return files[".".join(parts[1:])]
                known = tuple(f"std.{name}" for name in files)
                self.report.add(NoSuchFile(item.span, item.path, (), known))
                return None
            relative = Path(*parts).with_suffix(".tile")
        else:
            relative = Path(item.path)
        problem = _outside(item, relative)
        if problem is not None:
            self.report.add(problem)
            return None
        tried: list[Path] = []
        folders = [(module.path.parent, self.root)] if module.path is not None else []
        for folder, root in folders + [(s, s) for s in self.search]:
            file = (folder / relative).resolve()
            inside = file.is_relative_to(LIBRARY) or root is None or file.is_relative_to(root)
            if not inside and any(file.is_relative_to(s) for s in self.search):
                inside = True
            if not inside:
                why = "it points outside the project"
                self.report.add(PathOutside(item.span, item.path, why))
                return None
            if file.is_file():
                return file
            tried.append(folder / relative)
        self.report.add(NoSuchFile(item.span, item.path, tuple(map(str, tried))))
        return None


def _outside(item: tree.Import, relative: Path) -> PathOutside | None:
    text = item.path
    if relative.is_absolute() or text.startswith(("\\", "/", "~")) or text[1:2] == ":":
        return PathOutside(item.span, text, "it is absolute")
    if not text or "\0" in text:
        return PathOutside(item.span, text, "it names no file")
    return None


def _define_items(module: Module, report: Report) -> None:
    """Enter the file's own items."""
    for item in module.file.items:
        match item:
            case tree.Const(name=name):
                _define(module.consts, name, Definition(item, module), "constant", report)
                if name.id in RESERVED_VALUES or name.id in DTYPES:
                    report.add(ReservedName(name.span, name.id, "a word of the language"))
            case tree.Fn(name=name):
                _define(module.fns, name, Definition(item, module), "function", report)
                if name.id in BUILT_IN_FUNCTIONS or name.id in DTYPES:
                    report.add(ReservedName(name.span, name.id, "built in"))
            case tree.Kernel(name=name):
                _define(module.kernels, name, Definition(item, module), "kernel", report)
            case tree.Op(name=name):
                _define(module.ops, name, Definition(item, module), "op", report)
            case tree.Import() | tree.Reference() | tree.Schedule() | tree.Test():
                pass
    for both in module.kernels.keys() & module.ops.keys():
        kernel, op = module.kernels[both].item, module.ops[both].item
        first, second = kernel.name.span, op.name.span
        if first.start > second.start:
            first, second = second, first
        report.add(DuplicateItem(second, "kernel or op", both, first))
    known = (*module.kernels, *module.ops)
    firsts: dict[tuple[str, str], Span] = {}
    for item in module.file.items:
        match item:
            case tree.Reference(name=name):
                _attach(module, "a reference", name, known, report)
                if name.id in module.references:
                    early = module.references[name.id].name.span
                    report.add(DuplicateItem(name.span, "the reference of", name.id, early))
                module.references[name.id] = item
            case tree.Test(name=name):
                _attach(module, "a test", name, known, report)
                module.tests[name.id] = (*module.tests.get(name.id, ()), item)
            case tree.Schedule(name=name, target=target):
                _attach(module, "a schedule", name, tuple(module.kernels), report)
                kind = f"the schedule for {target} of" if target else "the schedule of"
                first = firsts.setdefault((name.id, target), name.span)
                if first is not name.span:
                    report.add(DuplicateItem(name.span, kind, name.id, first))
                module.schedules[name.id] = (*module.schedules.get(name.id, ()), item)
            case _:
                pass


def _define(
    table: dict[str, Definition[ItemT]],
    name: tree.Name,
    definition: Definition[ItemT],
    kind: str,
    report: Report,
) -> None:
    """Enter ``definition`` under ``name``; the first of two stays."""
    first = table.get(name.id)
    if first is None:
        table[name.id] = definition
    elif first.item is not definition.item:
        report.add(DuplicateItem(name.span, kind, name.id, first.item.name.span))


def _attach(
    module: Module, what: str, name: tree.Name, known: tuple[str, ...], report: Report
) -> None:
    if name.id not in known:
        error: Finding = UnknownKernel(name.span, what, name.id, known)
        report.add(error)
