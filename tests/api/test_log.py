"""What an operator reads in the log of a core: one line a call, in logfmt."""

import time
from pathlib import Path

from tests.live import LiveCore, call, core


def lines_of(live: LiveCore, request_id: str) -> list[dict[str, str]]:
    """The log's lines of a call, each by its keys; the first is waited for, as it is written behind the answer."""
    marked = f"request_id={request_id}"
    deadline = time.monotonic() + 10
    while marked not in live.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    lines = [line for line in live.log.read_text().splitlines() if marked in line]
    return [dict(part.split("=", 1) for part in line.split(" ")) for line in lines]


def test_each_call_writes_one_line(live_core: LiveCore) -> None:
    token = live_core.add_user("reader")
    headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "read-1"}
    call("GET", f"{live_core.url}/articles?limit=1", headers=headers)
    (line,) = lines_of(live_core, "read-1")
    expected = {"level": "info", "event": "request", "method": "GET", "route": "/articles", "status": "200"}
    assert {name: line[name] for name in expected} == expected
    assert line["at"].endswith("Z")
    assert float(line["ms"]) > 0
    assert list(line)[:3] == ["at", "level", "event"]


def test_lines_below_the_level_that_is_set_are_not_written(tmp_path: Path) -> None:
    with core(tmp_path, LOG_LEVEL="WARNING") as live:
        call("GET", f"{live.url}/nothing", headers={"X-Request-ID": "refused-1"})
        assert "event=request" not in live.log.read_text()
