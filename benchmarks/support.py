"""Which kernel of the library runs on which device with which element type: docs/support.md.

    python benchmarks/support.py [TOPIC ...] > docs/support.md

Runs every case of every kernel's tests on each device, and says for each element type whether all
passed, or what the first that did not pass was told.
"""

import sys
from collections.abc import Iterator

from tiledsl.check import Module, library
from tiledsl.cli.library import Entry, topics
from tiledsl.driver import load_checked
from tiledsl.runtime.kernel import Kernel
from tiledsl.testing import runner
from tiledsl.testing.cases import Case

DEVICES = {
    "simulator, 910B": ("sim", "ascend910b3"),
    "simulator, 310P": ("sim", "ascend310p"),
    "Ascend C on the host": ("ascend-host", None),
    "CUDA C on the host": ("cuda-host", None),
}
HEAD = """# Where the kernels run

Made by `python benchmarks/support.py > docs/support.md`, which runs the tests of
[the kernels that come along](kernels.md) on each device. A cell names the element types with which
all cases pass; one that fails has a number, and below the table stands what it was told.
"""


def main(chosen: list[str]) -> None:
    """Print the page."""
    reasons: dict[str, int] = {}
    print(HEAD)
    passed = total = 0
    for topic in topics():
        if not topic.kernels or (chosen and topic.name not in chosen):
            continue
        print(f"## {topic.name}\n\n| kernel | {' | '.join(DEVICES)} |")
        print("|---|" + "---|" * len(DEVICES))
        module, kernels = load_checked(library()[topic.name])
        for entry in topic.kernels:
            if entry.name not in module.tests:
                continue
            cells: list[str] = []
            for device, chip in DEVICES.values():
                found = dict(verdicts(module, kernels[entry.name], entry, device, chip))
                passed += sum(not text for text in found.values())
                total += len(found)
                cells.append(cell(found, reasons))
            print(f"| `{entry.name}` | {' | '.join(cells)} |", flush=True)
        print()
    print(f"{passed} of {total} pass.")
    if reasons:
        print("\n## What the others were told\n")
        for text, number in reasons.items():
            print(f"{number}. {text}")


def verdicts(
    module: Module, kernel: Kernel, entry: Entry, device: str, chip: str | None
) -> Iterator[tuple[str, str]]:
    """Yield each element type, and why it does not pass; nothing if it does.

    A case fails for the one of its types with which all fail, where there is one.
    """
    options = runner.Options(device, chip)
    ran: list[tuple[set[str], str]] = []
    for plan in runner.tests_of(module):
        for case in plan.cases if plan.name == entry.name else ():
            outcome = runner.run_case(module, kernel, plan, case, options)
            types = types_of(kernel, case) if kernel.generics else {"all"}
            ran.append((types, reason(outcome.failure) if outcome.failure else ""))
    never = set().union(*(t for t, _ in ran)) - set().union(*(t for t, text in ran if not text))
    for dtype in entry.dtypes if kernel.generics else ("all",):
        mine = [(types, text) for types, text in ran if dtype in types]
        assert mine, f"{entry.name} has no test with {dtype}"
        told = (text for types, text in mine if text and (dtype in never or not types & never))
        yield dtype, next(told, "")


def types_of(kernel: Kernel, case: Case) -> set[str]:
    """Return the element types of a case; a generic that it does not name takes its first."""
    values = dict(case.values)
    return {str(values.get(name, choices[0])) for name, choices in kernel.generics.items()}


def reason(failure: str) -> str:
    """Return the first line of a failure without its place."""
    line = failure.split("\n", 1)[0]
    return line[line.find("error[") :] if "error[" in line else line


def cell(found: dict[str, str], reasons: dict[str, int]) -> str:
    """Return the types that pass, and those that do not with the numbers of their reasons."""
    good = [dtype for dtype, text in found.items() if not text]
    bad = [
        f"~~{dtype}~~ ({reasons.setdefault(text, len(reasons) + 1)})"
        for dtype, text in found.items()
        if text
    ]
    return " ".join([*good, *bad])


if __name__ == "__main__":
    main(sys.argv[1:])
