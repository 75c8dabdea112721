"""The example of the sepia filter, on a small image."""

import pytest
import sepia as example


def test_the_filter_and_its_gradient() -> None:
    image, slope = example.rows_of((1, 33, 20))
    assert isinstance(image["error"], float)
    assert isinstance(slope["error"], float)
    assert image["error"] < 1e-3
    assert slope["error"] < 4e-3


def test_the_gradient_is_that_of_the_filter() -> None:
    (row,) = example.differences()
    assert isinstance(row["error"], float)
    assert row["error"] < 1e-6


def test_the_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sepia.py", "--small"])
    example.main()
    assert "| gradient | 1 x 3 x 64 x 80 |" in capsys.readouterr().out
