"""Ask the cycle model what was measured: ``python benchmarks/cycle_model.py [CSV] [--write]``.

Each row of the file of measurements is printed with the prediction and its error, or with the
reason why it cannot be asked. ``--write`` writes results/cycle_model.md. The file is not part of
the project; its default place is ../shared/data/ascend_measured.csv.
"""

import csv
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.questions import Answer, Refusal, question_for  # noqa: E402

CSV = ROOT.parent / "shared" / "data" / "ascend_measured.csv"
RESULT = ROOT / "benchmarks" / "results" / "cycle_model.md"

# Rows that follow each other in a ladder of one kernel: the metric that tells each step's time.
LADDERS = (
    "A2-ADD-", "A5-ADD-", "A2-DC-UB", "A5-DC-UB", "A5-DC-L1", "A2-MM-", "A5-MM-", "A2-UBBANK-",
    "B2-FAJIT-128-", "B2-FAJIT-2048-", "A3-FADSL-",
)  # fmt: skip
STEP = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement, and what the model says of it: a number, or why there is none."""

    id: str
    metric: str
    unit: str
    measured: float
    predicted: float | None = None
    reason: str = ""

    @property
    def error(self) -> float | None:
        """The prediction's distance, as a part of what was measured."""
        return None if self.predicted is None else self.predicted / self.measured - 1


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit status."""
    paths = [a for a in arguments if not a.startswith("--")]
    path = Path(paths[0]) if paths else CSV
    if not path.exists():
        print(f"{path} is not there: give the file of measurements as an argument")
        return 1
    rows = ask(path)
    lines = [*summary(rows), "", *table(rows)]
    print("\n".join(lines))
    if "--write" in arguments:
        RESULT.write_text("\n".join([*heading(), *lines]) + "\n", encoding="utf-8")
    return 0


def ask(path: Path) -> list[Row]:
    """Return all rows of the file with the model's predictions; each question is asked once."""
    answers: dict[str, Answer | Refusal] = {}
    found = []
    with path.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            name = line["id"]
            if name not in answers:
                answers[name] = _answer(name, line)
            row = Row(name, line["metric"], line["unit"], float(line["value"]))
            found.append(_fill(row, answers[name]))
    return found


def _answer(name: str, line: Mapping[str, str]) -> Answer | Refusal:
    question: Callable[[], Answer] | Refusal = question_for(name, line)
    if isinstance(question, Refusal):
        return question
    try:
        return question()
    except Exception as fault:  # a benchmark goes on: the row says what is wrong
        return Refusal(f"{type(fault).__name__}: {fault}".splitlines()[0])


def _fill(row: Row, answer: Answer | Refusal) -> Row:
    if isinstance(answer, Refusal):
        return replace(row, reason=answer.reason)
    if row.metric in answer.refused:
        return replace(row, reason=answer.refused[row.metric])
    if row.metric not in answer.values:
        return replace(row, reason="the model has no such quantity")
    return replace(row, predicted=answer.values[row.metric])


# ---- figures ------------------------------------------------------------------------------------


def summary(rows: Sequence[Row]) -> list[str]:
    """Return the figures over all rows that could be asked."""
    asked = [row for row in rows if row.error is not None]
    times = [row for row in asked if row.metric in _TIMES]
    lines = [
        f"{len(rows)} rows, {len(asked)} asked, {len(rows) - len(asked)} that cannot be asked",
        "",
        "| rows | number | mean absolute error | median | rank correlation |",
        "|---|---|---|---|---|",
    ]
    groups = [("all asked", asked), ("times of whole kernels", times)]
    for words, names in _QUEUES.items():
        groups.append((words, [row for row in asked if row.metric in names]))
    for words, group in groups:
        lines.append(f"| {words} | {_figures(group)} |")
    right, steps = ladder_steps(times)
    told = f"{right} of {steps} in the right direction"
    lines += ["", f"Ladder steps of more than {STEP:.0%}: {told}"]
    return lines


_TIMES = (
    "task", "time", "aiv_time", "aicore", "cycles", "ticks", "system ticks (50MHz)",
    "total_cycles", "max aic_time", "ticks (1GHz)",
)  # fmt: skip
_QUEUES = {
    "busy: vector and cube": ("aiv_vec", "mac"),
    "busy: MTE1, MTE2": ("mte1", "mte2", "aiv_mte2"),
    "busy: MTE3, fixpipe, scalar": ("aiv_mte3", "fixpipe", "aiv_scalar", "scalar"),
}


def _figures(rows: Sequence[Row]) -> str:
    if not rows:
        return "0 | - | - | -"
    errors = np.array([abs(row.error or 0.0) for row in rows])
    a = np.array([row.measured for row in rows])
    b = np.array([row.predicted or 0.0 for row in rows])
    ranks = [np.argsort(np.argsort(x, kind="stable"), kind="stable") for x in (a, b)]
    rank = float(np.atleast_2d(np.corrcoef(np.stack(ranks)))[0, 1]) if len(rows) > 2 else 1.0
    return f"{len(rows)} | {errors.mean():.1%} | {np.median(errors):.1%} | {rank:.3f}"


def ladder_steps(rows: Sequence[Row]) -> tuple[int, int]:
    """Return how many steps of the ladders go in the right direction, and how many there are."""
    right = steps = 0
    for ladder in LADDERS:
        mine: dict[str, Row] = {}
        for row in rows:
            if row.id.startswith(ladder):
                mine.setdefault(row.id, row)
        chain = list(mine.values())
        for a, b in pairwise(chain):
            if abs(b.measured / a.measured - 1) <= STEP or a.metric != b.metric:
                continue
            steps += 1
            right += ((b.predicted or 0.0) > (a.predicted or 0.0)) == (b.measured > a.measured)
    return right, steps


def table(rows: Sequence[Row]) -> list[str]:
    """Return a line for each row."""
    lines = ["| id | metric | measured | predicted | error |", "|---|---|---|---|---|"]
    for row in rows:
        if row.predicted is None or row.error is None:
            cells = ["-", row.reason]
        else:
            cells = [f"{row.predicted:,.4g}", f"{row.error:+.1%}"]
        shown = [row.id, row.metric, f"{row.measured:,.6g} {row.unit}", *cells]
        lines.append("| " + " | ".join(shown) + " |")
    return lines


def heading() -> list[str]:
    """Return what stands above the figures in the results file."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    machine = f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
    return [
        "# The cycle model against measurements",
        "",
        f"`python benchmarks/cycle_model.py --write`, {day}, {machine}. The measurements are "
        "`../shared/data/ascend_measured.csv`, on which the numbers of `tiledsl/chips/*.toml` are "
        "calibrated. Goals: mean absolute error ≤ 10 %, median ≤ 5 %, rank correlation ≥ 0.97; "
        "ladder steps ≥ 90 %; vector and cube ≤ 5 %, MTE1 and MTE2 ≤ 20 %.",
        "",
        "A rank correlation over microseconds, cycles and ticks together says little; that of each "
        "group below says more. Several rows of one configuration (A2-MM-5 to -7, A2-MMB-1 and -2) "
        "are answered by one program: what sets them apart is in the vendor's library.",
        "",
        "What is furthest off, and why: rows of 128 B one KiB apart in L2, each core at another "
        "place (A2-DC-UB8, A5-DC-L1g): L2 slices are not modelled; how long MTE3 counts as busy "
        "when memory is (A2-ADD-2, -5, -6); one Mmad by itself in the vendor's own simulator "
        "(INS-TMATMUL); total_cycles of A5-DC-UB2 and -L1f, which contradict their own times; "
        "attention (B2-FAJIT, A3-FADSL): what is asked is this compiler's program, whose vector "
        "cores do more in a step than the measured one's, and starting costs the measured ones "
        "more; their steps over the keys (S1_TILE) are hand-overs, asked in steps of 128.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
