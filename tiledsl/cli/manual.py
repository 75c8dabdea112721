"""Pages of the manual that are read off the op table and the classes of diagnostics."""

import inspect
import pkgutil
from importlib import import_module

import tiledsl
from tiledsl.diagnostics import Diagnostic
from tiledsl.ops import OPS, REDUCTIONS, Op

FAMILIES = {
    "arithmetic": "numbers; narrow types are computed in f32 or i32",
    "float": "floats, computed in f32 (f64)",
    "select": "numbers; the result keeps their type",
    "where": "a bool, then two operands of one type, which the result keeps",
    "compare": "numbers or bools of one type; the result is bool",
    "logic": "bools",
    "bits": "integers",
    "cast": "one operand of any type; the result's type is written",
}
AREAS = {
    "P": "the text of a file",
    "N": "names and imports",
    "T": "types and ranges",
    "B": "bounds: accesses that may be outside",
    "R": "races and coverage: who writes what",
    "S": "schedules and capacity",
    "L": "what a target cannot do",
    "E": "references and tests, while they run",
    "W": "warnings",
}


def op_names() -> list[str]:
    """Return the names of all operations, reductions and scans."""
    scans = [row.scan for row in REDUCTIONS.values() if row.scan]
    return list(dict.fromkeys([*OPS, *REDUCTIONS, *scans]))


def op_lines() -> list[str]:
    """Return one line an operation: how it is written, and what it does."""
    rows = [(_form(op), op.summary) for op in OPS.values()]
    rows += [(f"{r.name}(x over n)", r.summary) for r in REDUCTIONS.values()]
    rows += [
        (f"{r.scan}(x over n)", f"Running {r.name} along a range.")
        for r in REDUCTIONS.values()
        if r.scan
    ]
    width = max(len(form) for form, _ in rows)
    return [f"{form:{width}}  {summary}" for form, summary in rows]


def op_page(name: str) -> list[str]:
    """Return all that the table knows of an operation; nothing if it has no such row."""
    lines: list[str] = []
    if name in OPS:
        op = OPS[name]
        lines += [f"{_form(op)}: {op.summary}", f"  takes  {FAMILIES[op.family]}"]
        lines += [f"  CUDA   {op.cuda}", f"  NPU    {_npu(op)}"]
    for row in REDUCTIONS.values():
        if name == row.name:
            lines += [f"{name}(x over n): {row.summary}"]
        if name == row.scan:
            lines += [f"{name}(x over n): running {row.name} along a range"]
    return lines


def ops_page() -> str:
    """Return docs/ops.md."""
    lines = ["# Operations", "", "Read off the op table by `tiledsl ops --markdown`.", ""]
    for family, takes in FAMILIES.items():
        lines += [
            f"## {family}",
            "",
            f"Takes {takes}.",
            "",
            "| form | meaning | NPU |",
            "|---|---|---|",
        ]
        for op in OPS.values():
            if op.family == family:
                form = _form(op).replace("|", "\\|")
                lines.append(f"| `{form}` | {op.summary} | {_npu(op)} |")
        lines.append("")
    lines += ["## Over ranges", "", "| reduction | meaning | scan |", "|---|---|---|"]
    for row in REDUCTIONS.values():
        scan = f"`{row.scan}`" if row.scan else ""
        lines.append(f"| `{row.name}(x over n)` | {row.summary} | {scan} |")
    return "\n".join(lines) + "\n"


def diagnostics() -> dict[str, type[Diagnostic]]:
    """Return every class of diagnostics by its code, in order."""
    for module in pkgutil.walk_packages(tiledsl.__path__, "tiledsl."):
        if module.name.endswith("errors"):
            import_module(module.name)
    found: dict[str, type[Diagnostic]] = {}
    waiting = list(Diagnostic.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if hasattr(kind, "code") and kind.__module__.startswith("tiledsl."):
            found[kind.code] = kind
    return dict(sorted(found.items()))


def code_lines() -> list[str]:
    """Return one line a code."""
    return [f"{code}  {_first_line(kind)}" for code, kind in diagnostics().items()]


def code_page(code: str) -> list[str]:
    """Return what a code means."""
    kind = diagnostics()[code]
    area = AREAS.get(code[0], "")
    return [f"{kind.severity}[{code}], {area}", "", inspect.getdoc(kind) or ""]


def errors_page() -> str:
    """Return docs/errors.md."""
    lines = [
        "# Errors",
        "",
        "Read off the classes of diagnostics by `tiledsl explain --markdown`.",
        "",
    ]
    known = diagnostics()
    for letter, area in AREAS.items():
        codes = [code for code in known if code[0] == letter]
        if not codes:
            continue
        lines += [f"## {letter}: {area}", "", "| code | meaning |", "|---|---|"]
        for code in codes:
            text = " ".join((inspect.getdoc(known[code]) or "").split()).replace("|", "\\|")
            lines.append(f"| {code} | {text} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _form(op: Op) -> str:
    if op.infix and op.arity == 2:
        return f"a {op.infix} b"
    if op.infix:
        return f"{op.infix} a" if op.infix.isalpha() else f"{op.infix}a"
    if op.name == "neg":
        return "-a"
    special = {"cast": "f32(x)", "wrap": "wrap(i8, x)", "bitcast": "bitcast(i32, x)"}
    letters = ", ".join("xyz"[: op.arity] if op.arity == 1 else "abc"[: op.arity])
    return special.get(op.name) or f"{op.name}({letters})"


def _npu(op: Op) -> str:
    if op.npu:
        return "an instruction"
    return "made of other operations" if op.expand is not None else "not there"


def _first_line(kind: type[Diagnostic]) -> str:
    return (inspect.getdoc(kind) or "").split("\n", 1)[0]
