"""Plans compared by the cycle model: questions, answers on disk, searches, `tiledsl tune`."""

import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tiledsl.cli import cli
from tiledsl.driver import load_checked
from tiledsl.tuning import Answer, Choice, Subject, kept, predict, search, searching
from tiledsl.tuning.schedules import opened, pasted

TEXT = """
kernel scale[T in (f32, f16)](x: T[M, N], s: f32) -> (y: T[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = x[m, n] * s

schedule scale for ascend910b:
    tune BM in (1, 8), BN in (64, 512)
    cores 20

test scale:
    for T in (f32, f16), M in (3), N in (5), s in (2.0)

kernel gather(x: f32[N], at: i32[M]) -> (y: f32[M]):
    grid m in M by BM
    y[m] = x[at[m] else 0]

test gather:
    for N in (5), M in (3)
    given at = integers(0, N - 1)

kernel halves(x: f32[N]) -> (y: f32[N]):
    grid n in N by BN
    y[n] = x[n] / 2

schedule halves:
    BN = 256

op both(x: f32[N], at: i32[M]) -> (y: f32[M]):
    temp h: f32[N]
    halves(x) -> (h)
    gather(h, at) -> (y)

test both:
    for N in (64), M in (64)
    given at = integers(0, N - 1)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TILEDSL_CACHE", str(tmp_path / "cache"))
    kept._sources.cache_clear()
    path = tmp_path / "tuned.tile"
    path.write_text(TEXT)
    return path


def scale(place: Path, **values: int | float | str) -> Subject:
    known: dict[str, int | float | str] = {"T": "f32", "M": 256, "N": 1024, "s": 2.0, **values}
    return Subject(str(place), "scale", tuple(known.items()), "ascend910b3")


def asked(*words: str) -> Result:
    return CliRunner().invoke(cli, ["tune", *words], catch_exceptions=False)


def test_a_question_has_one_answer(place: Path) -> None:
    subject, choice = scale(place), Choice((("BM", 4), ("BN", 512)))
    found = predict(subject, choice)
    assert found.cycles
    assert found.tiles == {"BM": 4, "BN": 512}
    assert predict(*pickle.loads(pickle.dumps((subject, choice)))) == found
    assert predict(subject, Choice((("BM", 1), ("BN", 64)))).cycles != found.cycles


def test_what_does_not_fit_has_a_reason(place: Path) -> None:
    found = predict(scale(place), Choice((("BM", 4096), ("BN", 4096))))
    assert found.cycles is None
    assert "BM" in found.reason or "fit" in found.reason


def test_schedules_and_directives(place: Path) -> None:
    subject = scale(place)
    as_written = predict(subject, Choice())
    assert as_written.tiles == {"BM": 1, "BN": 64}  # the first of each `tune`
    bare = predict(subject, Choice(bare=True))
    assert bare.tiles != as_written.tiles
    one = predict(subject, Choice(directives="cores 1"))
    assert one.cycles
    assert as_written.cycles
    assert one.cycles > 4 * as_written.cycles


def test_an_op_is_the_sum_of_its_launches(place: Path) -> None:
    values = (("N", 4096), ("M", 512))
    both, half = (Subject(str(place), n, values, "ascend910b3") for n in ("both", "halves"))
    gather = Subject(str(place), "gather", values, "ascend910b3")
    choice = Choice((("BM", 64),))
    whole = predict(both, choice)
    parts = predict(Subject(str(place), "halves", values[:1], "ascend910b3"), Choice())
    assert predict(half, Choice()).cycles == parts.cycles
    assert whole.cycles
    assert parts.cycles
    assert whole.cycles > parts.cycles
    assert set(whole.tiles) == {"BN", "BM"}
    assert predict(gather, choice).cycles


def test_answers_are_kept_by_content(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, choice = scale(place), Choice()
    first = kept.answer(subject, choice)
    monkeypatch.setattr(kept, "predict", lambda *_: pytest.fail("it was asked before"))
    assert kept.answer(subject, choice) == first
    elsewhere = place.with_name("moved.tile")
    elsewhere.write_text(TEXT)
    assert kept.answer(scale(elsewhere), choice) == first
    changed = place.with_name("changed.tile")
    changed.write_text(TEXT.replace("* s", "* s + 1"))
    keys = {
        kept.key(scale(p, M=m), Choice((("BM", b),)))
        for p in (place, changed) for m in (3, 4) for b in (1, 2)
    }  # fmt: skip
    assert len(keys) == 8


def test_a_broken_answer_is_asked_again(place: Path) -> None:
    subject = scale(place)
    first = kept.answer(subject, Choice())
    (file,) = (place.parent / "cache" / "tune").glob("*.json")
    file.write_text('{"cyc')
    assert kept.answer(subject, Choice()) == first


def test_the_search_finds_the_best_of_all(place: Path) -> None:
    subject = scale(place)
    found = search(subject, starts=(Choice((("BM", 1),), bare=True),), limit=60)
    every = [
        predict(subject, Choice((("BM", m), ("BN", n)), bare=True)).cycles
        for m in (2, 8, 32) for n in (64, 512, 1024, 4096)
    ]  # fmt: skip
    best = min(cycles for cycles in every if cycles is not None)
    assert found.best.cycles <= best * 1.02
    assert len(found.tried) <= 60
    assert [t.cycles for t in found.tried] == sorted(t.cycles for t in found.tried)


def test_alternatives_hold_and_fixed_sizes_stay(place: Path) -> None:
    subject = scale(place)
    found = search(subject, {"BM": (1, 8)}, fixed={"BN"}, limit=50)
    assert {t.answer.tiles["BM"] for t in found.tried} == {1, 8}
    assert {t.answer.tiles["BN"] for t in found.tried} == {64}


def test_processes_give_what_one_gives(place: Path) -> None:
    alone = search(scale(place), starts=(Choice(bare=True),), limit=12)
    (cache,) = (place.parent / "cache").glob("tune")
    for file in cache.iterdir():
        file.unlink()
    together = search(scale(place), starts=(Choice(bare=True),), limit=12, jobs=2)
    assert together == alone


def test_no_more_than_the_limit_is_asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count: list[Choice] = []

    def answer(subject: Subject, choice: Choice) -> Answer:
        count.append(choice)
        return Answer(1000.0 - len(count), {"BM": 8, "BN": 8})

    monkeypatch.setattr(searching, "answer", answer)
    search(scale(place), limit=7)
    assert len(count) == 7


def test_what_a_schedule_leaves_open(place: Path) -> None:
    module, _ = load_checked(place)
    assert opened(module, "scale", "ascend910b3") == (
        {"BM": (1, 8), "BN": (64, 512)},
        frozenset(),
    )
    assert opened(module, "scale", "ascend310p") == ({}, frozenset())
    assert opened(module, "both", "ascend910b3") == ({}, frozenset({"BN"}))
    text = pasted(module, "scale", "ascend910b3", {"BM": 8, "BN": 512})
    assert text == "schedule scale for ascend910b3:\n    BM = 8, BN = 512\n    cores 20\n"
    steps = pasted(module, "both", "ascend910b3", {"BM": 8, "BN": 512})
    assert steps == (
        "schedule halves for ascend910b3:\n    BN = 512\n\n"
        "schedule gather for ascend910b3:\n    BM = 8\n"
    )


def test_the_command(place: Path) -> None:
    result = asked(f"{place}:scale", "M=256", "N=1024", "--top", "2")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("scale T=f32 M=256 N=1024 s=2.0 on ascend910b3: 5 plans")
    assert lines[1].startswith("  as built")
    assert [line[:4] for line in lines[2:4]] == ["  1.", "  2."]
    again = place.with_name("again.tile")
    pasted_text = "\n".join(lines[5:]) + "\n"
    again.write_text(TEXT + "\n" + pasted_text)
    load_checked(again)
    built = predict(scale(again), Choice())
    assert f"{built.cycles:,.0f}" in lines[2]
    assert "cores 20" in pasted_text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--chip", "cuda.sm80"), "no chip `cuda.sm80` with a cycle model"),
        (("Q=3",), "nothing is called `Q`"),
    ],
)
def test_what_it_cannot_do(place: Path, words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(cli, ["tune", f"{place}:scale", *words])
    assert result.exit_code == 1
    assert said in result.output + str(result.exception)


def test_sizes_on_the_command_line_hold(place: Path) -> None:
    result = asked(f"{place}:scale", "M=256", "N=1024", "BM=2", "--free", "--limit", "9")
    assert all("BM = 2," in line for line in result.stdout.splitlines()[1:5])
