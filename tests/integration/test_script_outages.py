"""The script while something else ends or fails: the core, base B behind it, base A, the token, the script itself."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from integration import core_client
from tests import live
from tests.integration.bases import Base, postgresql_base, sqlite_base, synced, synced_in, times_created
from tests.integration.faulty_proxy import (
    BATCH,
    FOREIGN,
    RETRY_AFTER_SECONDS,
    Interfere,
    at_batch,
    faults_of_batches,
    faulty_proxy,
)
from tests.integration.mortal_postgresql import MortalPostgreSQL, mortal_postgresql
from tests.integration.script import Script
from tests.live import LiveCore
from tests.servers import HOW_TO_GET_POSTGRESQL, find_binaries, free_port

ROWS = range(3_000)
TOKEN_SECONDS = "2"


@pytest.fixture(scope="module")
def mortal() -> Iterator[MortalPostgreSQL]:
    """A PostgreSQL that may be killed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(HOW_TO_GET_POSTGRESQL)
    with mortal_postgresql(binaries) as server:
        yield server


@pytest.mark.scenario("source_down_midway", "script")
def test_a_source_that_goes_away_ends_the_run_and_the_next_goes_on(
    live_core: LiveCore, mortal: MortalPostgreSQL, tmp_path: Path, origin: str
) -> None:
    url = mortal.make_database()
    with postgresql_base(url) as base:
        base.fill(range(6_000))
        script = Script(live_core, tmp_path, url, origin)
        with faulty_proxy(live_core.url, 0, 0) as proxy:
            through = replace(script, target=proxy.url)
            proxy.interfere = at_batch(1, mortal.kill)
            away = through.run()
            assert (away.code, "Base A cannot be read" in away.told) == (5, True), away.told
            mortal.start()
            assert through.run().code == 0
        base.engine.dispose()
        assert synced(live_core, origin) == base.rows()
    assert set(times_created(live_core, origin).values()) == {1}


@pytest.mark.scenario("core_database_down", "script")
@pytest.mark.scenario("token_ends", "script")
def test_base_b_killed_and_tokens_that_end_midway_are_outlived(
    mortal: MortalPostgreSQL, tmp_path: Path, origin: str
) -> None:
    url = mortal.make_database()
    at = live.core(tmp_path / "core", DATABASE_URL=url, ACCESS_TOKEN_SECONDS=TOKEN_SECONDS)
    with sqlite_base(tmp_path, origin) as base, at as core:
        base.fill(ROWS)
        script = Script(core, tmp_path, base.url, origin)
        with faulty_proxy(core.url, 0, 0) as proxy:
            proxy.interfere = _dying(mortal)
            ran = replace(script, target=proxy.url).run("--patience", "60")
        assert ran.code == 0, ran.told
        assert sum(path == "/auth/token" for _, path in proxy.calls) > 1
        assert synced_in(url, origin) == base.rows()


def _dying(mortal: MortalPostgreSQL) -> Interfere:
    """Base B dies at the second batch, and is back when calls have failed and the token of before has ended."""
    kill, calls_since, died_at = at_batch(2, mortal.kill), count(1), []

    def interfere(path: str, body: bytes) -> str:
        kill(path, body)
        if mortal.is_dead:
            died_at.append(time.monotonic())
            if next(calls_since) >= 4 and time.monotonic() > died_at[0] + float(TOKEN_SECONDS):
                mortal.start()
        return ""

    return interfere


@pytest.mark.scenario("token_ends", "script")
def test_a_call_whose_token_ended_on_the_way_is_made_with_another(script: Script, base: Base) -> None:
    base.fill(range(10))
    revoked = iter([True])

    def revoke(path: str, body: bytes) -> str:
        if path == BATCH and next(revoked, False):
            script.core.call("PUT", "/users/me/password", *_same_password(script.core))
        return ""

    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = revoke
        assert replace(script, target=proxy.url).run().code == 0
    assert [path for _, path in proxy.calls] == ["/auth/token", BATCH, "/auth/token", BATCH]


def _same_password(core: LiveCore) -> tuple[dict[str, str], str]:
    password = core.admin_password
    return {"old": password, "new": password}, core.log_in("admin", password)


@pytest.mark.scenario("core_busy", "script")
def test_a_busy_core_is_left_alone_for_as_long_as_it_asks(script: Script, base: Base) -> None:
    base.fill(range(10))
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = faults_of_batches("busy")
        assert replace(script, target=proxy.url).run().code == 0
    first, second = (at for at, path in proxy.calls if path == BATCH)
    assert second - first >= RETRY_AFTER_SECONDS
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.scenario("core_slow", "script")
def test_an_answer_that_comes_too_late_is_asked_for_again(
    script: Script, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_client, "TIMEOUT_SECONDS", (5, 2))
    base.fill(range(10))
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = faults_of_batches("slow")
        ran = replace(script, target=proxy.url).run()
    assert (ran.code, "10 unchanged" in ran.told) == (0, True), ran.told
    assert set(times_created(script.core, script.origin).values()) == {1}


@pytest.mark.scenario("wrong_schema", "script")
def test_an_answer_of_something_else_confirms_nothing(script: Script, base: Base) -> None:
    base.fill(range(10))
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        through = replace(script, target=proxy.url)
        proxy.interfere = lambda path, _: "foreign" if path == BATCH else ""
        assert through.run("--patience", "0.5").code == 6
        proxy.interfere = faults_of_batches(*FOREIGN)
        assert through.run().code == 0
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.scenario("role_too_low", "script")
def test_a_user_who_may_not_write_ends_the_run_and_parks_nothing(script: Script, base: Base) -> None:
    base.fill(range(10))
    ran = script.run(LAKEPORT_TOKEN=script.core.add_user("reader"))
    assert (ran.code, "The core refused" in ran.told) == (7, True), ran.told
    assert script.run().code == 0
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.scenario("terminated", "script")
def test_a_run_that_is_terminated_goes_on_where_it_was(script: Script, base: Base) -> None:
    base.fill(ROWS)
    started: list[subprocess.Popen[bytes]] = []
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        through = replace(script, target=proxy.url)
        proxy.interfere = at_batch(2, lambda: os.kill(started[0].pid, signal.SIGTERM))
        started.append(through.started())
        started[0].communicate(timeout=60)
        assert started[0].returncode == -signal.SIGTERM
        assert through.run().code == 0
    assert synced(script.core, script.origin) == base.rows()
    assert set(times_created(script.core, script.origin).values()) == {1}


def test_a_person_who_is_tired_of_waiting_for_the_core_ends_the_run_at_once(script: Script, base: Base) -> None:
    base.fill(range(10))
    waiting = replace(script, target=f"http://127.0.0.1:{free_port()}").started("--patience", "300")
    assert waiting.stderr is not None
    assert b"The core is away" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    told = last_words(waiting)
    assert "interrupted" in told, told
    assert waiting.returncode == 130


def last_words(process: "subprocess.Popen[bytes]") -> str:
    """What it writes to its end; where that does not come, what each thread of it does."""
    try:
        return process.communicate(timeout=20)[1].decode()
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.communicate()[1].decode()


def test_a_state_belongs_to_no_target_before_something_was_confirmed(script: Script, base: Base) -> None:
    base.fill(range(10))
    with faulty_proxy(script.core.url, 0, 0, outage=range(100)) as proxy:
        assert replace(script, target=proxy.url).run("--patience", "0.3").code == 6
    assert script.run().code == 0
    assert synced(script.core, script.origin) == base.rows()
