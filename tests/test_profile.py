"""Profiles: figures that add up, records that are whole, and ways out that the model has tried."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import tiledsl
from tests.conftest import Tiledsl
from tiledsl.runtime.profile import Profile, Setting, profile
from tiledsl.simulator.figures import percents
from tiledsl.simulator.timeline import chrome_trace, lives

EXAMPLES = Path(__file__).parent.parent / "examples"
# Two launches where one would do, and the one.
PAIR = """\
kernel scaled(x: f32[N]) -> (y: f32[N]):
    grid i in N by B
    y[i] = x[i] * 2

kernel raised(x: f32[N]) -> (y: f32[N]):
    grid i in N by B
    y[i] = x[i] + 1

kernel fused(x: f32[N]) -> (y: f32[N]):
    grid i in N by B
    y[i] = x[i] * 2 + 1

op separate(x: f32[N]) -> (y: f32[N]):
    temp t: f32[N]
    scaled(x) -> (t)
    raised(t) -> (y)
"""


def attention(tiles: dict[str, int] | None = None, *, trials: bool = False) -> Profile:
    kernel = tiledsl.load(EXAMPLES / "flash_attention.tile")["flash_attention"]
    array = np.zeros((1, 2, 192, 64), np.float16)
    given: dict[str, object] = {"q": array, "k": array, "v": array, "scale": 0.125}
    return profile(kernel, given, Setting(tiles=tiles or {}), {}, {}, trials=trials)


@pytest.fixture(scope="module")
def found() -> Profile:
    return attention()


def test_shares_sum_to_a_hundred_percent(found: Profile) -> None:
    (part,) = found.parts
    for rows in (part.figures.ops, part.figures.lines):
        assert sum(row.share for row in rows) == pytest.approx(1)
        assert sum(percents(row.share for row in rows)) == pytest.approx(100, abs=1e-9)
        assert sum(row.cycles for row in rows) == pytest.approx(
            sum(row.cycles for row in part.figures.ops)
        )
        assert all(row.average == pytest.approx(row.cycles / row.count) for row in rows)


def test_percents_sum_to_a_hundred_whatever_the_shares() -> None:
    for count in range(1, 40):
        assert sum(percents([1 / count] * count)) == pytest.approx(100, abs=1e-9)


def test_the_record_is_what_was_counted(found: Profile) -> None:
    """No queue works on two things at once, and slices add up to the busy time of the queue."""
    trace = found.parts[0].trace
    assert not trace.gaps
    for core, tally in trace.tallies.items():
        for queue in ("MTE2", "V", "M", "FIX", "MTE3"):
            own = [s for s in trace.slices if (s.core, s.queue) == (core, queue)]
            assert sum(s.end - s.start for s in own) == pytest.approx(
                tally.get(("busy", queue), 0.0), rel=1e-6
            )
            assert all(a.end <= b.start + 1e-6 for a, b in pairwise(own))
    assert max(s.end for s in trace.slices) <= trace.block_cycles + 1e-6


def test_repeated_trips_are_in_the_record(tmp_path: Path) -> None:
    path = tmp_path / "long.tile"
    path.write_text(
        "kernel long(x: f32[M, N]) -> (y: f32[M]):\n    grid i in M by BM\n"
        "    var s: f32[i] = 0\n    for j in N by BN:\n        s = s + sum(x[i, j] over j)\n"
        "    y[i] = s\n",
        encoding="utf-8",
    )
    kernel = tiledsl.load(path)["long"]
    given: dict[str, object] = {"x": np.zeros((8, 64 * 200), np.float32)}
    setting = Setting(tiles={"BM": 8, "BN": 64})
    (part,) = profile(kernel, given, setting, {}, {}, trials=False).parts
    copies = [s for s in part.trace.slices if s.op == "copy in"]
    assert len(copies) == 200
    assert all(a.start < b.start for a, b in pairwise(copies))
    last = max(s.end for s in part.trace.slices)
    assert last == pytest.approx(part.trace.block_cycles, rel=0.02)


def test_what_lives_at_once_does_not_overlap(found: Profile) -> None:
    (part,) = found.parts
    alive = lives(part.trace)
    for memory, size in part.figures.in_use.items():
        assert 0 < size <= part.figures.peaks[memory]
    assert all(life.offset >= 0 and life.start <= life.end for life in alive)
    assert all(life.offset + life.size <= part.figures.peaks[life.memory] for life in alive)


def test_roofs_hold(found: Profile) -> None:
    (part,) = found.parts
    assert {roof.unit for roof in part.figures.roofs} == {"M", "V"}
    for roof in part.figures.roofs:
        assert 0 < roof.reached <= roof.attainable * 1.0001
    # Two products of S x L x D, and each block has 1 / blocks of the programs.
    whole = 2 * 2 * 2 * 192 * 192 * 64
    product = next(roof for roof in part.figures.roofs if roof.unit == "M")
    assert whole / part.figures.blocks / 2 <= product.operations <= whole


def test_the_way_out_holds() -> None:
    """What the sentence promises is what a profile with that setting finds."""
    start = {"BS": 16, "BL": 32}
    tried = attention(start, trials=True)
    best = min(tried.trials, key=lambda trial: trial.cycles)
    assert best.words in tried.bottleneck
    assert "fewer cycles" in tried.bottleneck
    changed = dict(word.split(" = ") for word in best.words.split(" and "))
    sizes = start | {name: int(size) for name, size in changed.items()}
    assert attention(sizes).cycles == pytest.approx(best.cycles)


def test_chrome_trace(found: Profile) -> None:
    trace = found.parts[0].trace
    events = json.loads(json.dumps(chrome_trace([trace])))["traceEvents"]
    assert {e["ph"] for e in events} == {"M", "X", "C"}
    pieces = [e for e in events if e["ph"] == "X"]
    assert len(pieces) == len(trace.slices)
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in pieces)
    end = max(e["ts"] + e["dur"] for e in pieces)
    assert end == pytest.approx(found.microseconds, rel=0.01)
    assert any(e["args"]["line"] == "flash_attention.tile:12" for e in pieces)


def test_command(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    path = f"{EXAMPLES / 'softmax.tile'}:softmax"
    page, events = tmp_path / "page.html", tmp_path / "events.json"
    status, out, err = tiledsl_command(
        "profile", path, "R=64", "N=128", "--html", page, "--trace", events
    )
    assert (status, err) == (0, "note: not given, so as in the first test: T=f16\n")
    assert all(word in out for word in ("share", "bottleneck: softmax", "roofline", "GM->UB"))
    assert json.loads(events.read_text(encoding="utf-8"))["traceEvents"]
    text = page.read_text(encoding="utf-8")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert "src=" not in text
    status, out, _ = tiledsl_command("profile", path, "R=64", "N=128", "--json", "--quick")
    told = json.loads(out)
    assert told["cycles"] == pytest.approx(sum(part["cycles"] for part in told["launches"]), abs=1)


def test_compare(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    path = tmp_path / "pair.tile"
    path.write_text(PAIR, encoding="utf-8")
    words = ("profile", "--compare", f"{path}:fused", f"{path}:separate", "N=100000")
    status, out, err = tiledsl_command(*words)
    assert (status, err) == (0, "")
    rows = {line.split("  ")[0]: line.split()[-2:] for line in out.splitlines() if line}
    assert rows["launches"] == ["1", "2"]
    assert rows["bytes of global memory"] == ["800,000", "1,600,000"]
    assert "separate takes" in out
    status, out, _ = tiledsl_command(*words, "--json")
    assert [len(one["launches"]) for one in json.loads(out)] == [1, 2]


def test_compare_schedules(tiledsl_command: Tiledsl, tmp_path: Path) -> None:
    path = tmp_path / "pair.tile"
    path.write_text(PAIR, encoding="utf-8")
    status, out, err = tiledsl_command(
        "profile", "--compare", f"{path}:fused@B=64,cores=2", f"{path}:fused@B=4096", "N=100000"
    )
    assert (status, err) == (0, "")
    assert "launches" in out


def test_a_schedule_of_ones_own(tiledsl_command: Tiledsl) -> None:
    """The directives hold over those of the file; what they name must be there."""
    sizes = ("M=512", "N=512", "K=512", "T=f16", "--set", "BM=64", "BN=128", "BK=32")
    chip = ("--chip", "ascend910b1", "--json", "--quick")
    words = ("profile", f"{EXAMPLES / 'gemm.tile'}:gemm", *sizes, *chip)

    def cycles(schedule: str) -> int:
        status, out, err = tiledsl_command(*words, "--schedule", schedule)
        assert (status, err) == (0, "")
        return int(json.loads(out)["cycles"])

    whole = cycles("pipeline k depth 2")
    assert cycles("pipeline k depth 1") > whole
    assert cycles("pipeline k depth 2; cores 2") > 2 * whole
    status, _, err = tiledsl_command(*words, "--schedule", "pipeline q depth 2")
    assert status == 1
    assert "`q` is no range of `gemm`" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--compare", "a.tile"), "expected two files"),
        (("a.tile", "b.tile"), "--compare takes two"),
        (("N=4",), "got none"),
    ],
)
def test_wrong_calls(tiledsl_command: Tiledsl, words: tuple[str, ...], text: str) -> None:
    status, _, err = tiledsl_command("profile", *words)
    assert status == 2
    assert text in err
