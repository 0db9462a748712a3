"""The WSO2 route on a real Apache Synapse, with a core that fails, logins that are refused, and an end at any moment.

It is killed twice at moments chosen by LAKEPORT_SEED; with LAKEPORT_FULL=1 twenty times.
"""

import json
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bases import times_created
from tests.integration.synapse.changes import of_base_a, outcomes, upsert, used
from tests.integration.synapse.core_door import Answer, Behaviour, Call, answering, faithful, short_lived, slow
from tests.integration.synapse.running import Synapse
from tests.live import call
from tests.servers import free_port

KILLS = 20 if os.environ.get("LAKEPORT_FULL") == "1" else 2
CHANCE = random.Random(os.environ.get("LAKEPORT_SEED", "1"))


# A core that fails


@pytest.mark.scenario("core_fails", "synapse")
def test_what_the_core_fails_at_is_not_confirmed_but_stored_and_forwarded_once_it_works(synapse: Synapse) -> None:
    secret = b"Traceback: postgresql://user:password@host"
    synapse.door.behaviour = answering(Answer(500, secret, {"Content-Type": "application/json"}))
    status, text = synapse.send({"operations": [upsert(synapse, "stored", 1, title="kept é")]})
    assert (status, json.loads(text)["code"]) == (503, "unavailable")
    tried = synapse.events("stored.answered, status = 500")
    synapse.wait_for(lambda: synapse.events("stored.answered, status = 500") > tried)
    assert "stored" not in synapse.articles()
    synapse.door.behaviour = faithful
    synapse.wait_for(lambda: "stored" in synapse.articles())
    assert synapse.articles()["stored"] == ("kept é", "text")


@pytest.mark.scenario("core_down_midway", "synapse")
def test_while_the_core_is_away_the_endpoint_is_suspended_and_afterwards_all_comes(synapse: Synapse) -> None:
    before = synapse.confirmed()
    synapse.door.close()
    synapse.base.execute("update articles set content = 'during the outage' where id < 10")
    body = {"operations": [upsert(synapse, "outage", 1)]}
    suspended = synapse.events("articles.fault, code = 303001")
    synapse.wait_for(
        lambda: synapse.send(body)[0] == 503 and synapse.events("articles.fault, code = 303001") > suspended
    )
    begun = time.monotonic()
    assert synapse.send(body)[0] == 503
    assert time.monotonic() - begun < 1
    assert synapse.confirmed() == before
    synapse.door.open()
    synapse.wait_until_in_step()
    synapse.wait_for(lambda: "outage" in synapse.articles())
    assert outcomes(synapse.send(body)) == ["unchanged"]
    assert of_base_a(synapse) == synapse.base.rows()


@pytest.mark.scenario("core_slow", "synapse")
def test_a_core_that_is_slow_is_given_up_and_what_it_did_all_the_same_is_harmless(synapse: Synapse) -> None:
    synapse.door.behaviour = slow(5)
    body = {"operations": [upsert(synapse, "slow", 1)]}
    synapse.base.execute("update articles set content = 'slowly' where id = 2")
    begun = time.monotonic()
    status, text = synapse.send(body)
    assert (status, json.loads(text)["code"]) == (503, "unavailable")
    assert time.monotonic() - begun < 4.9
    synapse.door.behaviour = faithful
    synapse.wait_until_in_step()
    synapse.wait_for(lambda: synapse.send(body)[0] == 200)
    assert of_base_a(synapse) == synapse.base.rows()
    assert times_created(synapse.core, synapse.origin)["slow"] == 1


@pytest.mark.scenario("core_busy", "synapse")
def test_a_busy_core_tells_the_client_when_to_come_again_and_base_a_waits(synapse: Synapse) -> None:
    before = synapse.confirmed()
    problem = b'{"code": "rate_limited"}'
    headers = {"Content-Type": "application/json", "Retry-After": "7"}
    synapse.door.behaviour = answering(Answer(429, problem, headers))
    body = {"operations": [upsert(synapse, "busy", 1)]}
    status, text, answered = call("POST", f"{synapse.url}/lakeport/articles", body, {"X-Lakeport-Key": synapse.key})
    assert (status, text, answered["retry-after"]) == (429, problem.decode(), "7")
    batches = len(synapse.door.batches)
    synapse.base.execute("update articles set content = 'later' where id = 3")
    synapse.wait_for(lambda: len(synapse.door.batches) > batches)
    assert synapse.confirmed() == before
    synapse.door.behaviour = faithful
    synapse.wait_until_in_step()
    assert synapse.articles()["3"] == ("Title 3", "later")


@pytest.mark.scenario("core_fails", "synapse")
@pytest.mark.scenario("core_cut", "synapse")
@pytest.mark.scenario("core_doubled", "synapse")
def test_answers_that_fail_are_cut_or_come_of_doubled_calls_lose_and_double_nothing(synapse: Synapse) -> None:
    synapse.door.behaviour = unreliable(0.5, random.Random(6))
    for round_number in range(3):
        synapse.base.execute(f"update articles set content = 'round {round_number}' where id between 8 and 20")
        synapse.base.fill(range(300 + round_number, 301 + round_number))
        synapse.wait_until_in_step()
    synapse.door.behaviour = faithful
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[str(key)] for key in (300, 301, 302)} == {1}


def unreliable(share: float, chance: random.Random) -> Behaviour:
    """As the core answers, but a share of the batches fails, is cut off, or is sent twice."""

    def behave(each: Call, ask: Any) -> Answer:
        if each.path != "/articles/batch" or chance.random() > share:
            return faithful(each, ask)
        fault = chance.choice(["refused", "cut", "doubled"])
        if fault == "refused":
            return Answer(500, b"<html>oops</html>", {"Content-Type": "text/html"})
        answer = faithful(each, ask)
        if fault == "doubled":
            return faithful(each, ask)
        return Answer(answer.status, answer.body, answer.headers, len(answer.body) // 2)

    return behave


# The route's login


@pytest.mark.scenario("token_ends", "synapse")
def test_the_token_is_renewed_before_it_ends_and_after_it_was_revoked(synapse: Synapse) -> None:
    body = {"operations": [upsert(synapse, "token", 1)]}
    assert synapse.send(body)[0] == 200
    refused = synapse.events("articles.answered, status = 401") + synapse.events("batch.answered, status = 401")
    synapse.door.behaviour = short_lived(2)
    revoke(synapse)
    synapse.wait_for(lambda: synapse.send(body)[0] == 200)
    first = synapse.door.batches[-1].headers["Authorization"]
    synapse.wait_for(lambda: synapse.send(body)[0] == 200 and used(synapse) != first, 10)
    again = synapse.events("articles.answered, status = 401") + synapse.events("batch.answered, status = 401")
    assert again - refused == 1, "only the revoked token was refused"


def revoke(synapse: Synapse) -> None:
    """End the token that was used last."""
    status, text, _ = call("POST", f"{synapse.core.url}/auth/revoke", headers={"Authorization": used(synapse)})
    assert status == 204, text
    time.sleep(1.1)  # a token that is younger than a second is not forgotten


@pytest.mark.scenario("role_too_low", "synapse")
def test_a_role_that_may_not_write_moves_nothing_and_is_not_told_to_clients(synapse: Synapse) -> None:
    before = synapse.confirmed()
    change_user(synapse, role="reader")
    try:
        status, text = synapse.send({"operations": [upsert(synapse, "role", 1)]})
        assert (status, json.loads(text)["code"]) == (503, "unavailable")
        refused = synapse.events("batch.answered, status = 403")
        synapse.base.execute("update articles set content = 'when I may' where id = 4")
        synapse.wait_for(lambda: synapse.events("batch.answered, status = 403") > refused)
        assert synapse.confirmed() == before
    finally:
        change_user(synapse, role="editor")
    synapse.wait_until_in_step()
    assert synapse.articles()["4"][1] == "when I may"


@pytest.mark.scenario("wrong_password", "synapse")
def test_a_login_that_is_refused_is_not_tried_with_each_message(synapse: Synapse) -> None:
    body = {"operations": [upsert(synapse, "password", 1)]}
    assert synapse.send(body)[0] == 200
    before = synapse.confirmed()
    change_password(synapse, synapse.password, "another pass phrase")
    time.sleep(1.1)  # a token that is younger than a second is not forgotten
    try:
        synapse.wait_for(lambda: synapse.send(body)[0] == 503)
        logins = len(synapse.door.logins)
        synapse.base.execute("update articles set content = 'after the mistake' where id = 5 or id = 8")
        assert {synapse.send(body)[0] for _ in range(20)} == {503}
        assert len(synapse.door.logins) - logins <= 3
        assert synapse.confirmed() == before
    finally:
        change_password(synapse, "another pass phrase", synapse.password)
    synapse.wait_until_in_step()
    assert synapse.articles()["8"][1] == "after the mistake"


def change_user(synapse: Synapse, **change: Any) -> None:
    """Change the route's user as an administrator does."""
    token = synapse.core.log_in("admin", synapse.core.admin_password)
    status, answer = synapse.core.call("PATCH", f"/users/{synapse.username}", change, token)
    assert status == 200, answer


def change_password(synapse: Synapse, old: str, new: str) -> None:
    """Change the route's own password by another login, which ends the route's."""
    token = synapse.core.log_in(synapse.username, old)
    status, answer = synapse.core.call("PUT", "/users/me/password", {"old": old, "new": new}, token)
    assert status == 204, answer


# An end at any moment


@pytest.mark.parametrize(
    "by",
    [
        pytest.param(
            signal.SIGKILL,
            marks=[
                pytest.mark.scenario("killed", "synapse"),
                pytest.mark.scenario("core_down_at_start", "synapse"),
            ],
        ),
        pytest.param(signal.SIGTERM, marks=pytest.mark.scenario("terminated", "synapse")),
    ],
)
def test_what_was_on_its_way_when_it_ended_comes_after_the_next_start(synapse: Synapse, by: signal.Signals) -> None:
    before, batches = synapse.confirmed(), len(synapse.door.batches)
    synapse.door.behaviour = slow(1.5)
    synapse.base.fill(range(400 + by * 10, 405 + by * 10))
    synapse.wait_for(lambda: len(synapse.door.batches) > batches)
    synapse.end(by)
    assert synapse.confirmed() == before
    synapse.door.close()
    synapse.base.execute("update articles set content = 'while it was away' where id = 9")
    synapse.start()
    synapse.door.behaviour = faithful
    synapse.door.open()
    synapse.wait_until_in_step()
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[str(key)] for key in range(400 + by * 10, 405 + by * 10)} == {1}


@pytest.mark.scenario("killed", "synapse")
def test_kills_at_random_moments_lose_and_double_nothing(synapse: Synapse) -> None:
    for number in range(KILLS):
        keys = range(1_000 + 10 * number, 1_010 + 10 * number)
        synapse.base.fill(keys)
        synapse.base.execute(f"update articles set content = 'kill {number}' where id between 8 and 20")
        synapse.base.execute(f"delete from articles where id = {keys[0]}")
        time.sleep(CHANCE.uniform(0, 1.5))
        synapse.end()
        synapse.start()
    synapse.wait_until_in_step()
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[key] for key in synapse.base.rows()} <= {1, 2}, "2 is what was deleted and created again"
    assert {number for key, number in created.items() if key.isdigit() and int(key) >= 1_000} == {1}


@pytest.mark.scenario("two_copies", "synapse")
def test_two_copies_at_once_do_no_harm(synapse: Synapse, tmp_path: Path) -> None:
    second = replace(synapse, folder=tmp_path, port=free_port(), process=None)
    shutil.copytree(synapse.folder / "classes", tmp_path / "classes")
    try:
        second.start()
        for number in range(3):
            synapse.base.fill(range(800 + 10 * number, 810 + 10 * number))
            synapse.wait_until_in_step()
    finally:
        second.end()
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[str(key)] for key in range(800, 830)} == {1}


@pytest.mark.scenario("killed", "synapse")
def test_what_only_the_store_knew_is_lost_with_it_so_that_the_client_was_never_told_it_was_done(
    synapse: Synapse,
) -> None:
    synapse.door.behaviour = answering(Answer(500))
    body = {"operations": [upsert(synapse, "volatile", 1)]}
    assert synapse.send(body)[0] == 503
    synapse.end()
    synapse.door.behaviour = faithful
    synapse.start()
    assert outcomes(synapse.send(body)) == ["created"]


def test_no_log_line_tells_a_secret(synapse: Synapse) -> None:
    log = synapse.log()
    for secret in (synapse.password, synapse.key, "Bearer", *(used(synapse).split()[1:])):
        assert secret not in log
