"""Winners of searches beside a file: what builds take of them, and files that are broken."""

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tiledsl import load
from tiledsl.check import load_module
from tiledsl.check.winners import check_winners, fingerprint, winners
from tiledsl.cli import cli, main
from tiledsl.diagnostics import CompileError
from tiledsl.driver import check_file, load_checked
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.errors import ScheduleWarning
from tiledsl.tuning import Answer, Choice, Search, Subject, kept, model
from tiledsl.tuning.searching import Tried
from tiledsl.tuning.writing import keep

TEXT = """
kernel scale[T in (f32, f16)](x: T[M, N], s: f32) -> (y: T[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = x[m, n] * s

schedule scale for ascend910b:
    tune BM in (1, 8), BN in (64, 512)
    where BM * BN <= 4096
    cores 20

test scale:
    for T in (f32, f16), M in (3), N in (5), s in (2.0)

kernel halves(x: f32[N]) -> (y: f32[N]):
    grid n in N by BN
    y[n] = x[n] / 2

op twice(x: f32[N]) -> (y: f32[N]):
    temp h: f32[N]
    halves(x) -> (h)
    halves(h) -> (y)

test twice:
    for N in (64)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TILEDSL_CACHE", str(tmp_path / "cache"))
    kept._sources.cache_clear()
    model.forget()
    path = tmp_path / "tuned.tile"
    path.write_text(TEXT)
    return path


Write = Callable[..., None]


@pytest.fixture
def write(place: Path) -> Write:
    """Write winners for `scale`, each with some values of its own, in TOML."""

    def written(*tables: Mapping[str, str]) -> None:
        text = fingerprint(load_module(place).kernels["scale"].item)
        base = {
            "target": '"ascend910b3"', "types": '{ T = "f32" }', "dims": "{ M = 256, N = 1024 }",
            "tiles": "{ BM = 2, BN = 256 }", "text": f'"{text}"',
        }  # fmt: skip
        lines = [
            "".join(f"{key} = {value}\n" for key, value in (base | dict(table)).items() if value)
            for table in tables
        ]
        place.with_suffix(".tune.toml").write_text("".join(f"[[scale]]\n{t}\n" for t in lines))

    return written


def built(
    place: Path, kernel: str = "scale", target: str = "ascend910b3", *, types: str = "f32",
    tiles: Mapping[str, int] | None = None, dims: Mapping[str, int] | None = None,
) -> list[dict[str, int]]:  # fmt: skip
    """Return the tile sizes of each launch of what is built."""
    one = load_checked(place)[1][kernel]
    generics = {"T": types} if one.generics else {}
    graph = one.instance(first_binding(one.header, generics, {}, dims or {}))
    return [dict(compiled.tiles) for compiled in one.compiled(graph, target, tiles or {})]


def asked(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), catch_exceptions=False)


# ---- what builds take ---------------------------------------------------------------------------


def test_builds_take_winners_before_the_choices(place: Path, write: Write) -> None:
    assert built(place) == [{"BM": 1, "BN": 64}]
    write({})
    assert built(place) == [{"BM": 2, "BN": 256}]
    assert built(place, tiles={"BM": 4}) == [{"BM": 4, "BN": 256}]
    assert built(place, tiles={"*": 16}) == [{"BM": 16, "BN": 16}]
    x = np.ones((3, 5), np.float32)
    np.testing.assert_array_equal(load(place)["scale"](x, 2.0), x * 2)


def test_a_schedule_that_sets_a_size_holds(place: Path, write: Write) -> None:
    place.write_text(TEXT.replace("tune BM in (1, 8), BN in", "BM = 8\n    tune BN in"))
    write({})
    assert built(place) == [{"BM": 8, "BN": 256}]


def test_one_chip_its_family_and_others(place: Path, write: Write) -> None:
    own = {"target": '"ascend910b1"', "tiles": "{ BM = 2, BN = 128 }"}
    write({}, own)
    assert built(place, target="ascend910b1") == [{"BM": 2, "BN": 128}]
    assert built(place, target="ascend910b4") == [{"BM": 2, "BN": 256}]  # the first in the file
    assert built(place, target="numpy") == [{"BM": 2, "BN": 256}]
    write(own)
    assert built(place) == [{"BM": 2, "BN": 128}]
    without = built(place, target="ascend310p"), built(place, target="cuda.sm80")
    write({"target": '"cuda.sm80"'})
    assert built(place, target="ascend310p") == without[0]
    assert built(place, target="cuda.sm80") == [{"BM": 2, "BN": 256}] != without[1]


def test_element_types_are_equal(place: Path, write: Write) -> None:
    write({}, {"types": '{ T = "f16" }', "tiles": "{ BM = 2, BN = 512 }"})
    assert built(place, types="f16") == [{"BM": 2, "BN": 512}]
    assert built(place) == [{"BM": 2, "BN": 256}]


def test_pinned_dims_decide_among_several(place: Path, write: Write) -> None:
    write({}, {"dims": "{ M = 4, N = 8 }", "tiles": "{ BM = 4, BN = 8 }"})
    assert built(place) == [{"BM": 2, "BN": 256}]
    assert built(place, dims={"N": 8}) == [{"BM": 4, "BN": 8}]
    assert built(place, dims={"N": 8, "M": 5}) == [{"BM": 2, "BN": 256}]


def test_winners_hold_as_far_as_they_fit(place: Path, write: Write) -> None:
    place.write_text(TEXT.replace("    where BM * BN <= 4096\n", ""))
    write({"tiles": "{ BM = 4096, BN = 64 }"})
    (sizes,) = built(place)
    assert sizes["BN"] == 64
    assert 64 < sizes["BM"] < 4096


def test_winners_that_a_where_excludes_are_left(place: Path, write: Write) -> None:
    write({"tiles": "{ BM = 64, BN = 512 }"})
    with pytest.warns(ScheduleWarning, match="W603.*`where` lines") as caught:
        assert built(place) == [{"BM": 1, "BN": 64}]
    assert "tiledsl tune" in str(caught[0].message)


def test_stale_winners_are_left_with_a_warning(place: Path, write: Write) -> None:
    write({"parameters": "{ s = 2.0 }"})
    place.write_text(TEXT.replace("    y[m, n] = x[m, n] * s", "    y[m, n] =  x[m, n]*s # now"))
    assert built(place) == [{"BM": 2, "BN": 256}]  # the same words
    place.write_text(TEXT.replace("x[m, n] * s", "x[m, n] * s + 1"))
    with pytest.warns(ScheduleWarning, match="W603") as caught:
        assert built(place) == [{"BM": 1, "BN": 64}]
    command = f"`tiledsl tune {place}:scale T=f32 M=256 N=1024 s=2.0 --chip ascend910b3 --write`"
    assert command in str(caught[0].message)
    (warning,) = check_file(place)
    assert (warning.code, repr(warning.span)) == (
        "W603",
        f"{place.with_suffix('.tune.toml')}:1:1",
    )


def test_a_file_that_is_imported_has_its_own(place: Path, write: Write) -> None:
    write({})
    user = place.with_name("user.tile")
    user.write_text(
        'from "tuned.tile" import scale as times\n\n'
        "op quarter(x: f32[M, N]) -> (y: f32[M, N]):\n"
        "    temp h: f32[M, N]\n    times(x, 0.5) -> (h)\n    times(h, 0.5) -> (y)\n"
    )
    assert built(user, "quarter") == [{"BM": 2, "BN": 256}] * 2


# ---- what `tune --write` writes -----------------------------------------------------------------


def test_what_is_written_is_what_builds_take(place: Path) -> None:
    file = place.with_suffix(".tune.toml")
    words = f"{place}:scale", "M=256", "N=1024", "--write"
    first = asked("tune", *words)
    assert first.exit_code == 0
    assert f"kept in {file}" in first.stdout
    assert built(place) == [{"BM": 8, "BN": 512}]
    (winner,) = winners(load_module(place))
    assert winner.target == "ascend910b3"
    assert winner.types == {"T": "f32"}
    assert winner.values == {"M": 256, "N": 1024, "s": 2.0}
    assert 0 < winner.cycles < winner.before
    assert winner.text == fingerprint(load_module(place).kernels["scale"].item)
    assert not list(place.parent.glob(".*tune*"))
    text = file.read_text()
    assert text.startswith("# ")
    again = asked("tune", *words)
    assert f"as built  {winner.cycles:12,}" in again.stdout  # with the winner
    assert file.read_text() == text


def test_other_winners_stay(place: Path) -> None:
    file = place.with_suffix(".tune.toml")
    asked("tune", f"{place}:scale", "M=256", "N=1024", "--write")
    asked("tune", f"{place}:twice", "N=4096", "--limit", "4", "--write")
    asked("tune", f"{place}:scale", "M=64", "N=1024", "T=f16", "--limit", "3", "--write")
    found = [(w.kernel, *w.values.values()) for w in winners(load_module(place))]
    assert found == [("scale", 256, 1024, 2.0), ("scale", 64, 1024, 2.0), ("halves", 4096)]
    text = file.read_text()
    asked("tune", f"{place}:scale", "M=256", "N=1024", "--write")
    assert file.read_text() == text
    assert check_winners(load_module(place)) == []


def test_steps_of_an_op_have_winners_each(place: Path, write: Write) -> None:
    user = place.with_name("user.tile")
    user.write_text(
        'from "tuned.tile" import scale\nfrom std.elementwise import vector_add\n\n'
        "op add(x: f32[N]) -> (y: f32[N]):\n    vector_add(x, x) -> (y)\n\n"
        "test add:\n    for N in (8)\n\n"
        "kernel less(x: f32[M, N]) -> (y: f32[M, N]):\n    grid m in M by BK, n in N by BL\n"
        "    y[m, n] = x[m, n] - 1\n\n"
        "op both(x: f32[M, N]) -> (y: f32[M, N]):\n"
        "    temp h: f32[M, N]\n    scale(x, 0.5) -> (h)\n    less(h) -> (y)\n\n"
        "test both:\n    for (M, N) in ((8, 8), (2, 3))\n"
    )
    result = asked("tune", f"{user}:both", "M=256", "N=1024", "--limit", "8", "--write")
    assert result.exit_code == 0
    library = asked("tune", f"{user}:add", "N=64", "--limit", "2", "--write")
    assert library.exit_code == 0
    assert "`vector_add` is of the library" in library.output
    assert [w.kernel for w in winners(load_module(place))] == ["scale"]
    (less,) = winners(load_module(user))
    assert (less.kernel, less.values) == ("less", {"M": 256, "N": 1024})
    (own,) = winners(load_module(place))
    assert built(user, "both") == [dict(own.tiles), dict(less.tiles)]


@pytest.mark.parametrize(
    ("file", "words", "said"),
    [
        ("{}:scale", ("--free",), "not with --free"),
        ("std:elementwise:vector_add", (), "the library keeps no winners"),
    ],
)
def test_what_is_not_written(place: Path, file: str, words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(cli, ["tune", file.format(place), *words, "--write"])
    assert result.exit_code == 2
    assert said in result.output
    assert not place.with_suffix(".tune.toml").exists()


CUT = """
kernel f(a: f16[M, K], b: f16[K, N]) -> (c: f16[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    c[m, n] = f16(exp(acc))

schedule f for ascend910b:
    tune BM in (512, 64), BN in (512, 64), BK in (64, 128)
    where BM * BK <= 512 * 64
    place acc in gm
"""


def test_a_first_choice_that_does_not_fit(place: Path) -> None:
    place.write_text(CUT.replace("    place acc in gm\n", ""))
    result = asked("tune", f"{place}:f", "M=256", "N=256", "K=256", "--write")
    assert "S001" in result.stdout.splitlines()[1]
    (winner,) = winners(load_module(place))
    assert winner.before == 0
    assert built(place, "f") == [dict(winner.tiles)]


def test_a_kernel_that_is_cut(place: Path) -> None:
    place.write_text(CUT)
    asked("tune", f"{place}:f", "M=256", "N=256", "K=256", "--write")
    (winner,) = winners(load_module(place))
    assert winner.kernel == "f"
    assert set(winner.tiles) == {"BM", "BN", "BK"}
    parts = built(place, "f")
    assert parts == [dict(winner.tiles), {n: winner.tiles[n] for n in ("BM", "BN")}]
    place.with_suffix(".tune.toml").unlink()
    # A part has no `BK`, and still makes the choice of the whole.
    place.write_text(CUT.replace("512 * 64", "64 * 16"))
    with pytest.raises(CompileError, match="S132"):
        built(place, "f", tiles={"BM": 512})
    parts = built(place, "f", tiles={"BK": 16, "BN": 64})
    assert [sizes["BM"] for sizes in parts] == [64, 64]


def test_what_is_built_by_itself_may_be_the_fastest(
    place: Path, write: Write
) -> None:
    write({"text": '"stale"', "parameters": "{ s = 2.0 }"}, {"dims": "{ M = 3, N = 3 }"})
    slow = [("BM", 1), ("BN", 1)]
    subject = Subject(str(place), "scale", (("T", "f32"), ("M", 256), ("N", 1024), ("s", 2.0)),
                      "ascend910b3")  # fmt: skip
    tried = Tried(Choice(tuple(slow)), Answer(1.0, dict(slow)))
    with pytest.warns(ScheduleWarning, match="W603"):
        found = keep(subject, Choice(), Search(tried, (tried,)))
    assert found.new == ()
    (text,) = found.files.values()  # the other stays, what was stale for these sizes is gone
    assert "stale" not in text
    assert "{ M = 3, N = 3 }" in text


def test_a_search_does_not_overwrite_what_it_cannot_read(place: Path) -> None:
    place.with_suffix(".tune.toml").write_text("[[scale]\n")
    with pytest.raises(CompileError, match="S133"):
        asked("tune", f"{place}:scale", "M=256", "N=1024", "--write")
    assert place.with_suffix(".tune.toml").read_text() == "[[scale]\n"


# ---- files that are broken ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "where", "said"),
    [
        ({"tiles": "{ BM = 0 }"}, "5:11", "`BM` is from 1 to 1,048,576"),
        ({"tiles": "{ BN = 4, BM = 99999999999 }"}, "5:19", "`BM` is from 1 to 1,048,576"),
        ({"tiles": "{ BM = true }"}, "5:11", "`BM` is a whole number"),
        ({"tiles": "{ BM = 1.5 }"}, "5:11", "`BM` is a whole number"),
        ({"tiles": "[1]"}, "5:1", "`tiles` is a table"),
        ({"tiles": "{ BQ = 4 }"}, "5:11", "`BQ` is no tile size; there are BM, BN"),
        ({"types": '{ T = "f31" }'}, "3:11", "`f31` is no element type"),
        ({"types": '{ U = "f32" }'}, "3:11", "`U` is no element type; there are T"),
        ({"types": "{ T = 3 }"}, "3:11", "`T` is a text"),
        ({"target": '"tpu"'}, "2:1", "there is no target `tpu`; there are ascend310p"),
        ({"target": ""}, "1:1", "`target` is missing"),
        ({"dims": "{ N = 1.5 }"}, "4:10", "`N` is a whole number"),
        ({"cycles": "-1"}, "7:1", "`cycles` is a whole number"),
        ({"parameters": '{ s = "x" }'}, "7:16", "`s` is a number"),
        ({"speed": "3"}, "7:1", "`speed` is none of target, types"),
    ],
)
def test_a_broken_winner(
    place: Path, write: Write, table: Mapping[str, str], where: str, said: str
) -> None:
    write(table)
    with pytest.raises(CompileError) as caught:
        built(place)
    (error,) = caught.value.diagnostics
    assert repr(error.span) == f"{place.with_suffix('.tune.toml')}:{where}"
    assert error.code == "S133"
    assert said in error.message
    assert check_file(place) == [error]


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("[[scale]\n", "1:8", "no TOML: expected"),
        ("\n\nscale = \n", "3:9", "no TOML: invalid value"),
        ('[[scale]]\ntarget = "', "2:11", "no TOML"),
        ("scale = 3\n", "1:1", "`[[scale]]`"),
        ("\n[nowhere]\n", "2:2", "`[[nowhere]]`"),
        ("[[nowhere]]\n", "1:1", "`nowhere` is no kernel of"),
        ("# x\n  [[twice]]\n", "2:3", "`twice` is an op: its steps are kernels"),
        ("x = " + "[" * 60_000, "1:1", "nests too deeply"),
        ("x = " + "9" * 5_000, "1:1", "a number is too long"),
        ("a." * 400_000 + "b = 1\n", "1:1", "more than 200 points"),
        ("# " + "x" * (1 << 20), "1:1", "more than 1,048,576 bytes"),
        ("\0", "1:1", "no TOML"),
        (b"x = 1\n\xff", "1:1", "byte 0xff in line 2 is not UTF-8"),
    ],
)
def test_a_broken_file(place: Path, text: str | bytes, where: str, said: str) -> None:
    file = place.with_suffix(".tune.toml")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CompileError) as caught:
        built(place)
    (error,) = caught.value.diagnostics
    assert (error.code, repr(error.span)) == ("S133", f"{file}:{where}")
    assert said in error.message


def test_what_is_no_plain_file(place: Path) -> None:
    file = place.with_suffix(".tune.toml")
    file.symlink_to(file.name)
    with pytest.raises(CompileError, match="cannot be read: Too many levels"):
        built(place)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(CompileError, match="this is no plain file"):
        built(place)
    file.unlink()
    file.symlink_to("nothing.toml")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert built(place) == [{"BM": 1, "BN": 64}]


@pytest.mark.parametrize("command", ["build", "check"])
def test_the_commands_end_with_status_1(
    place: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.with_suffix(".tune.toml").write_text("[[scale]\n")
    words = ("build", f"{place}:scale", "-t", "ascend910b3") if command == "build" else ("check",
             str(place))  # fmt: skip
    monkeypatch.setattr("sys.argv", ["tiledsl", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert "tuned.tune.toml:1:8: error[S133]: no TOML" in capsys.readouterr().err
