"""The profile's page in a real browser: what it shows, how it zooms, what it tells of a slice."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiledsl
from tiledsl.runtime.profile import Profile, Setting, profile
from tiledsl.simulator.page import page

EXAMPLES = Path(__file__).parent.parent / "examples"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1500,1300",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="needs Chromium and ChromeDriver (apt-get install chromium chromium-driver)",
)


class Browser:
    """A page in Chromium, driven by the WebDriver protocol."""

    def __init__(self, port: int, profile_folder: Path) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile_folder}"]}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
        session = self._send("POST", "/session", {"capabilities": wanted})["sessionId"]
        self.base += f"/session/{session}"

    def open(self, path: Path) -> None:
        self._send("POST", "/url", {"url": path.as_uri()})

    def ask(self, script: str) -> Any:
        return self._send("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def point(self, element: str, x: int, y: int, wheel: int = 0) -> None:
        """Move the mouse over the element's place ``(x, y)`` from its corner; turn the wheel."""
        box = self.ask(f"document.getElementById('{element}').getBoundingClientRect().toJSON()")
        at = {"x": int(box["x"] + x), "y": int(box["y"] + y), "origin": "viewport"}
        mouse = {"type": "pointerMove", "duration": 0, **at}
        actions: list[dict[str, Any]] = [{"type": "pointer", "id": "mouse", "actions": [mouse]}]
        if wheel:
            turn = {"type": "scroll", "deltaX": 0, "deltaY": wheel, "duration": 0, **at}
            actions = [{"type": "wheel", "id": "wheel", "actions": [turn]}]
        self._send("POST", "/actions", {"actions": actions})

    def close(self) -> None:
        self._send("DELETE", "", None)

    def _send(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.base + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with self.opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert DRIVER is not None
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        told = next(line for line in driver.stdout if "successfully on port" in line)
        port = int(told.split()[-1].rstrip("."))
        opened = Browser(port, tmp_path_factory.mktemp("chromium"))
        yield opened
        opened.close()
    finally:
        driver.terminate()
        driver.wait(10)


@pytest.fixture(scope="module")
def found() -> Profile:
    kernel = tiledsl.load(EXAMPLES / "flash_attention.tile")["flash_attention"]
    array = np.zeros((1, 2, 256, 64), np.float16)
    given: dict[str, object] = {"q": array, "k": array, "v": array, "scale": 0.125}
    return profile(kernel, given, Setting(), {}, {}, trials=False)


@pytest.fixture(scope="module")
def shown(browser: Browser, found: Profile, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Return the browser with the page open."""
    path = tmp_path_factory.mktemp("page") / "flash_attention.html"
    path.write_text(page(found.shown()), encoding="utf-8")
    browser.open(path)
    for _ in range(50):
        if browser.ask("document.body.dataset.ready") == "yes":
            return browser
        time.sleep(0.1)
    raise AssertionError("the page's script has not come to its end")


def test_the_page_tells_what_the_profile_tells(shown: Browser, found: Profile) -> None:
    assert found.bottleneck == shown.ask("document.getElementById('bottleneck').textContent")
    (part,) = found.parts
    rows = shown.ask(
        "[...document.querySelectorAll('#ops tbody tr')].map("
        "r => [...r.cells].map(c => c.textContent))"
    )
    assert [row[0] for row in rows] == [row.name for row in part.figures.ops]
    assert sum(float(row[4].rstrip(" %")) for row in rows) == pytest.approx(100, abs=1e-6)
    source = shown.ask("document.getElementById('source').textContent")
    assert "acc = acc * fix + T(p) @ v[b, h, j, d]" in source
    assert shown.ask("document.querySelectorAll('#roofline circle').length") == 2


def test_every_slice_is_drawn(shown: Browser, found: Profile) -> None:
    (part,) = found.parts
    shown.ask("document.getElementById('timeline').ondblclick()")
    drawn = int(shown.ask("document.getElementById('timeline').dataset.drawn"))
    assert drawn == len(part.trace.slices)
    painted = shown.ask(
        "['timeline', 'memory'].map(id => { const c = document.getElementById(id);"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })"
    )
    assert min(painted) > 5000


def test_hovering_tells_of_a_slice_and_marks_its_line(shown: Browser, found: Profile) -> None:
    (part,) = found.parts
    trace = part.trace
    longest = max(trace.slices, key=lambda s: s.end - s.start)
    tracks = shown.ask("launch.tracks.map(t => t[0] + ' ' + t[1])")
    row = tracks.index(f"{longest.core} {longest.queue}")
    width = shown.ask("document.getElementById('timeline').clientWidth")
    middle = (longest.start + longest.end) / 2 / trace.block_cycles
    shown.point("timeline", int(150 + middle * (width - 150)), row * 24 + 12)
    tip = shown.ask("document.getElementById('tip').textContent")
    assert longest.op in tip
    assert f"flash_attention.tile:{longest.line}" in tip
    marked = "document.querySelector('.row.on').dataset.line"
    assert shown.ask(marked) == f"flash_attention.tile:{longest.line}"


def test_the_wheel_zooms(shown: Browser, found: Profile) -> None:
    span = "[+document.getElementById('timeline').dataset.from, "
    span += "+document.getElementById('timeline').dataset.to]"
    shown.ask("document.getElementById('timeline').ondblclick()")
    whole = shown.ask(span)
    assert whole == pytest.approx([0, found.parts[0].trace.block_cycles], abs=0.1)
    shown.point("timeline", 600, 40, wheel=-120)
    near = shown.ask(span)
    assert near[0] > whole[0]
    assert near[1] - near[0] < 0.9 * (whole[1] - whole[0])


def test_the_memory_map_tells_what_lives_where(shown: Browser) -> None:
    shown.ask("document.getElementById('timeline').ondblclick()")
    place = shown.ask(
        "(() => { const area = m => m[5] * (m[7] - m[6]);"
        "const l = launch.lives.reduce((a, b) => area(b) > area(a) ? b : a);"
        "const i = lanes.findIndex(n => n[0] === l[0] && n[1] === l[1]);"
        "const w = document.getElementById('memory').clientWidth;"
        "return [x((l[6] + l[7]) / 2, w), i * (LANE + 6) + LANE -"
        " (l[4] + l[5] / 2) / launch.capacity[l[1]] * LANE, l[5]]; })()"
    )
    shown.point("memory", int(place[0]), int(place[1]))
    assert f"({int(place[2]):,})" in shown.ask("document.getElementById('tip').textContent")


def test_an_op_has_a_page_with_all_its_launches(browser: Browser, tmp_path: Path) -> None:
    source = tmp_path / "pair.tile"
    source.write_text(
        "kernel scaled(x: f32[N]) -> (y: f32[N]):\n    grid i in N by B\n    y[i] = x[i] * 2\n\n"
        "kernel raised(x: f32[N]) -> (y: f32[N]):\n    grid i in N by B\n    y[i] = x[i] + 1\n\n"
        "op both(x: f32[N]) -> (y: f32[N]):\n    temp t: f32[N]\n    scaled(x) -> (t)\n"
        "    raised(t) -> (y)\n",
        encoding="utf-8",
    )
    given: dict[str, object] = {"x": np.zeros(50_000, np.float32)}
    kernel = tiledsl.load(source)["both"]
    path = tmp_path / "both.html"
    shown = profile(kernel, given, Setting(), {}, {}, trials=False).shown()
    path.write_text(page(shown), encoding="utf-8")
    browser.open(path)
    assert browser.ask("document.getElementById('launch').options.length") == 2
    heads = browser.ask(
        "[0, 1].map(i => { show(i); return document.getElementById('head').textContent; })"
    )
    assert heads[0].startswith("scaled on")
    assert heads[1].startswith("raised on")
