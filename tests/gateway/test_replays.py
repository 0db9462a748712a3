"""Replays in the graph: asked for, followed, and refused as the core does."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from rest_api.demo.transactions import QUARANTINE, SCHEMA
from tests import live
from tests.api.lake import transactions
from tests.api.replaying import KEY, TABLE, refused
from tests.gateway.lake import LiveLake
from tests.jobs.test_worker import wait_for

ROWS = 12
ONE = """mutation ($id: String!, $corrections: JSON) {
  replayTransaction(id: $id, corrections: $corrections) {
    success errors code replay { id transactionId counts { total } }
  }
}"""
MANY = "mutation ($where: JSON) { replayTransactions(where: $where) { success code replay { id where } } }"
TOLD = """query ($id: String!) { replay(id: $id) {
  dataset settledAt counts { total matched pending missing diverged deadLettered } job { type state }
  verdicts(first: 5) { totalCount nodes { transactionId verdict reason } pageInfo { hasNextPage } }
  refused: verdicts(verdict: DEAD_LETTERED) { nodes { transactionId } }
} }"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLake]:
    """A core, a gateway and a worker over transactions and a quarantine."""
    folder = tmp_path_factory.mktemp("replays")
    lake = folder / "core" / "lake"
    write_deltalake(lake / "transactions", pa.Table.from_pylist(transactions()[:ROWS], SCHEMA))
    write_deltalake(lake / "transactions_quarantine", pa.Table.from_pylist(refused(), QUARANTINE))
    with (
        live.core(folder / "core") as core,
        live.gateway(core.url, folder / "gateway") as gateway,
        live.worker(folder / "core"),
    ):
        status, _ = core.call("PUT", TABLE, KEY, core.log_in("admin", core.admin_password))
        assert status == 200
        yield LiveLake(core, gateway)


def settled(place: LiveLake, replay_id: str) -> dict[str, Any]:
    """What is told of a replay in the end."""
    admin = place.admin()
    wait_for(lambda: admin.result(TOLD, id=replay_id)["settledAt"] is not None, 60)
    return admin.result(TOLD, id=replay_id)


def test_one_transaction_is_replayed_and_followed(place: LiveLake) -> None:
    asked = place.admin().result(ONE, id="t0003", corrections={"amount": 12.5})
    replay = asked["replay"]
    assert asked == {"success": True, "errors": [], "code": None, "replay": replay}
    assert (replay["transactionId"], replay["counts"]) == ("t0003", {"total": 1})
    told = settled(place, replay["id"])
    assert told["counts"] == {"total": 1, "matched": 1, "pending": 0, "missing": 0, "diverged": 0, "deadLettered": 0}
    assert (told["dataset"], told["job"]) == ("transactions", {"type": "replay", "state": "SUCCEEDED"})
    assert told["verdicts"]["nodes"] == [{"transactionId": "t0003", "verdict": "MATCHED", "reason": None}]


def test_many_are_replayed_and_listed(place: LiveLake) -> None:
    where = {"transaction_id": {"lt": "t0010"}}
    replay = place.admin().result(MANY, where=where)["replay"]
    assert replay["where"] == where
    told = settled(place, replay["id"])
    assert (told["counts"]["total"], told["counts"]["matched"]) == (10, 10)
    assert (told["verdicts"]["totalCount"], len(told["verdicts"]["nodes"])) == (10, 5)
    assert told["verdicts"]["pageInfo"] == {"hasNextPage": True}
    newest = place.admin().result("{ replays(first: 1) { nodes { id counts { matched } job { state } } } }")
    assert newest["nodes"] == [{"id": replay["id"], "counts": {"matched": 10}, "job": {"state": "SUCCEEDED"}}]


def test_what_is_refused_again_is_told_with_its_reason(place: LiveLake) -> None:
    told = settled(place, place.admin().result(ONE, id="q1")["replay"]["id"])
    assert told["counts"]["deadLettered"] == 1
    assert told["refused"]["nodes"] == [{"transactionId": "q1"}]
    assert told["verdicts"]["nodes"][0]["reason"] == "amount: is missing"


def test_refusals_have_the_core_s_codes(place: LiveLake) -> None:
    narrow = place.user("nora", {"dataset": "transactions", "privileges": ["replay"], "masks": {"user_name": "hash"}})

    def code(client: Any, document: str, **variables: Any) -> tuple[bool, str]:
        answer = client.result(document, **variables)
        return answer["success"], answer["code"]

    assert code(place.admin(), ONE, id="nothing") == (False, "NOT_FOUND")
    assert code(place.admin(), ONE, id="../replay") == (False, "NOT_FOUND")
    assert code(place.admin(), ONE, id="t0001", corrections={"amuont": 1}) == (False, "INVALID")
    assert code(narrow, ONE, id="t0001") == (False, "VIEW_TOO_NARROW")
    assert code(narrow, MANY) == (False, "FORBIDDEN")
    replay = place.admin().result(ONE, id="t0001")["replay"]["id"]
    assert narrow.error(TOLD, id=replay)["extensions"]["code"] == "NOT_FOUND"
