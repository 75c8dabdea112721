"""The benchmark of the cycle model: it asks what it can, and says why where it cannot."""

from pathlib import Path

import pytest

from benchmarks import cycle_model
from benchmarks.questions import Refusal, question_for

HEAD = "id,source,chip,kernel,shape,dtype,tiles,metric,value,unit,notes\n"
ROWS = (
    "A2-UBBANK-1,s,c,Add,4096,fp32,t,system ticks (50MHz),2390,ticks20ns,n\n"
    "A2-UBBANK-2,s,c,Add,4096,fp32,t,system ticks (50MHz),4167,ticks20ns,n\n"
    "CAL-vexp,s,c,vexp,repeats 1..128,fp32,t,cycles/repeat,2.0,cycles,n\n"
    "A2-DHRY,s,c,Dhrystone,1000,int,t,time,330,us,n\n"
    "NEW-1,s,c,none,1,int,t,time,330,us,n\n"
)


def test_rows_are_asked_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "measured.csv"
    path.write_text(HEAD + ROWS, encoding="utf-8")
    rows = cycle_model.ask(path)
    assert [row.predicted is not None for row in rows] == [True, True, True, False, False]
    assert all(abs(row.error) < 0.01 for row in rows if row.error is not None)
    assert rows[3].reason == "a program of the scalar unit alone"
    assert cycle_model.ladder_steps(rows[:2]) == (1, 1)
    assert "5 rows, 3 asked" in cycle_model.summary(rows)[0]
    assert len(cycle_model.table(rows)) == 7


def test_a_file_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cycle_model.main([str(tmp_path / "none.csv")]) == 1
    assert "is not there" in capsys.readouterr().out


def test_every_question_is_made() -> None:
    line = {"kernel": "vexp", "shape": "1x2x3", "dtype": "fp16"}
    assert not isinstance(question_for("B2-CAT00-1", line), Refusal)
    heads = {**line, "shape": "S0=128 S1=1024 H=128"}
    assert not isinstance(question_for("B2-FAJIT-1", heads), Refusal)
    assert isinstance(question_for("A2-DHRY-1", line), Refusal)
