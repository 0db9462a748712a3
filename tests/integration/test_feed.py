"""The feed of made-up shops: live figures for a newcomer, straight to the core or by a topic."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from deltalake import DeltaTable

from integration.envelopes import Message
from integration.feed import run_name
from integration.kafka_client import read_topic
from integration.shops import FAULTS, Shops
from rest_api.database import utc_now
from rest_api.demo.transactions import QUARANTINE, SCHEMA
from tests.api.lake import append
from tests.integration.kafka.running import Kafka
from tests.live import ROOT, LiveCore, core
from tests.servers import free_port

WAIT_SECONDS = 60.0
NOW = utc_now()


@pytest.fixture(scope="module")
def shop_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCore]:
    """A core with an empty table of transactions, its quarantine, and a user `shops` who may write into the table."""
    folder = tmp_path_factory.mktemp("shops")
    append(folder / "lake" / "transactions", SCHEMA.empty_table())
    append(folder / "lake" / "transactions_quarantine", QUARANTINE.empty_table())
    with core(folder) as live:
        admin = live.log_in("admin", live.admin_password)
        said = {"key": ["transaction_id"], "time_column": "timestamp"}
        shops = {"username": "shops", "password": "correct horse battery", "role": "reader"}
        assert live.call("PUT", "/data/datasets/transactions", said, admin)[0] == 200
        assert live.call("POST", "/users", shops, admin)[0] == 201
        grant = {"principal": "shops", "dataset": "transactions", "privileges": ["write"]}
        assert live.call("POST", "/grants", grant, admin)[0] == 201
        yield live


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "COVERAGE_PROCESS_START", "COVERAGE_FILE")
        if name in os.environ
    }
    login = {"LAKEPORT_USERNAME": "shops", "LAKEPORT_PASSWORD": "correct horse battery"}
    return {**kept, "PYTHONPATH": str(ROOT), **login, **more}


@contextmanager
def feeding(target: str, *options: str, **env: str) -> Iterator["subprocess.Popen[str]"]:
    """The command as a newcomer runs it, ended with the block."""
    command = [sys.executable, "-u", "-m", "integration.feed", "--target", target, *options]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(**env), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def fed(target: str, *options: str, **env: str) -> tuple[int, str, str]:
    """How a feed that ends by itself ended, and what it said."""
    with feeding(target, *options, **env) as process:
        said, complaint = process.communicate(timeout=WAIT_SECONDS)
        return process.returncode, said, complaint


def rows(live: LiveCore, name: str = "transactions") -> int:
    return int(DeltaTable(live.data_dir / "lake" / name).to_pyarrow_table().num_rows)


def test_live_figures_move_and_wrong_events_are_kept(shop_core: LiveCore) -> None:
    good, bad = rows(shop_core), rows(shop_core, "transactions_quarantine")
    code, said, complaint = fed(shop_core.url, "--rate", "200", "--corrupt", "0.2", "--seed", "7", "--count", "200")
    assert (code, complaint) == (0, "")
    accepted, quarantined = rows(shop_core) - good, rows(shop_core, "transactions_quarantine") - bad
    assert accepted + quarantined == 200
    assert 20 < quarantined < 60
    assert said.splitlines()[-1].endswith(f"/s, 200 sent: {accepted} accepted, {quarantined} quarantined")
    admin = shop_core.log_in("admin", shop_core.admin_password)
    spent = shop_core.call("GET", "/analytics/spend?window=5m", token=admin)[1]["data"]
    assert sum(each["transactions"] for each in spent) >= accepted


def test_feeds_that_begin_in_the_same_second_sell_under_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    assert len({run_name() for _ in range(20)}) == 20


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_with_the_batch_that_is_on_its_way(shop_core: LiveCore, number: int, code: int) -> None:
    before = rows(shop_core)
    with feeding(shop_core.url, "--rate", "50", "--corrupt", "0") as process:
        deadline = time.monotonic() + WAIT_SECONDS
        while rows(shop_core) == before and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        said, complaint = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, complaint) == (code, "")
    assert said.splitlines()[-1].endswith(f"{rows(shop_core) - before} accepted")


def test_what_keeps_it_from_selling_is_a_sentence_and_a_code(shop_core: LiveCore) -> None:
    cases: dict[str, tuple[int, tuple[str, ...], Mapping[str, str]]] = {
        "no credentials": (2, (), {"LAKEPORT_PASSWORD": ""}),
        "no such rate": (2, ("--rate", "0"), {}),
        "another password": (7, (), {"LAKEPORT_PASSWORD": "another one"}),
        "a dataset that he may not write": (7, ("--dataset", "transactions_quarantine"), {}),
        "no core": (6, ("--target", f"http://127.0.0.1:{free_port()}", "--patience", "0.1"), {}),
        "no broker": (9, (), {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}),
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        ran = {
            case: pool.submit(fed, shop_core.url, "--count", "1", *options, **env)
            for case, (_, options, env) in cases.items()
        }
    for case, (code, _, _) in cases.items():
        ended, _, complaint = ran[case].result()
        assert ended == code, (case, complaint)
        assert "Traceback" not in complaint, case
        assert "horse" not in complaint, case


def test_with_kafka_it_sells_to_the_topic(kafka: Kafka, tmp_path: Path) -> None:
    topic = f"transactions-{free_port()}"
    kafka.make_topics(**{topic: 1})
    servers = ",".join(kafka.servers)
    env = {"KAFKA_BOOTSTRAP_SERVERS": servers, "KAFKA_TOPIC": topic, "LAKEPORT_USERNAME": ""}
    code, said, complaint = fed(
        "http://127.0.0.1:1", "--rate", "50", "--corrupt", "0.5", "--seed", "3", "--count", "40", **env
    )
    assert (code, complaint) == (0, "")
    assert said.splitlines()[-1].endswith("40 sent: 40 published")
    messages = [record.message for record in read_topic({"bootstrap_servers": kafka.servers}, topic)]
    assert len({message.key for message in messages}) == len({_event_id(each) for each in messages}) == 40
    assert 5 < sum(_is_json(message) for message in messages) <= 40


def _event_id(message: Message) -> bytes:
    return dict(message.headers)["event-id"]


def _is_json(message: Message) -> bool:
    try:
        return isinstance(json.loads(message.value or b""), dict)
    except ValueError:
        return False


def test_the_same_seed_sells_the_same() -> None:
    one, same, other = (Shops(seed, "run", 0.3) for seed in (1, 1, 2))
    sold = [[shops.sell(NOW) for _ in range(50)] for shops in (one, same, other)]
    assert sold[0] == sold[1] != sold[2]
    keys = [sale.key for sale in sold[0]]
    assert keys == sorted(set(keys))


def test_each_fault_is_refused_by_the_core(shop_core: LiveCore) -> None:
    right = json.loads(Shops(1, f"faults-{free_port()}", 0).sell(NOW).text)
    token = shop_core.log_in("shops", "correct horse battery")
    events = [{"raw": fault(right)} for fault in FAULTS] + [{"raw": json.dumps(right)}]
    status, told = shop_core.call("POST", "/data/datasets/transactions/rows", {"events": events}, token)
    assert status == 201
    outcomes = [each["outcome"] for each in told["outcomes"]]
    assert outcomes == ["quarantined"] * len(FAULTS) + ["accepted"], told
