"""Every route × every kind of caller, generated from the API description: a route without a rule fails here."""

import re
from typing import Any

import pytest
from flask import Flask

from rest_api.openapi import operations
from tests.conftest import Caller, log_in

CALLERS = ("nobody", "expired", "disabled", "reader", "editor", "admin")
RANK = {"reader": 1, "editor": 2, "admin": 3}
NEEDED = {"anyone": 0, **RANK}
# What each operation asks for, written down by hand: a new route must be added here on purpose.
RULES = {
    "get_analytics_spend": "reader",
    "get_analytics_spend_series": "reader",
    "get_analytics_spend_by_user_and_type": "reader",
    "get_analytics_top_products": "reader",
    "get_data_datasets_dataset_export": "reader",
    "get_data_datasets_dataset_accesses": "reader",
    "get_articles": "reader",
    "post_articles": "editor",
    "post_articles_batch": "editor",
    "get_articles_digest": "reader",
    "post_articles_digest": "reader",
    "get_articles_article_id": "reader",
    "put_articles_article_id": "editor",
    "patch_articles_article_id": "editor",
    "delete_articles_article_id": "editor",
    "post_auth_token": "anyone",
    "post_auth_revoke": "reader",
    "get_auth_me": "reader",
    "get_users": "reader",
    "post_users": "admin",
    "get_users_username": "admin",
    "patch_users_username": "admin",
    "put_users_me_password": "reader",
    "get_groups": "admin",
    "post_groups": "admin",
    "get_groups_name": "admin",
    "delete_groups_name": "admin",
    "put_groups_name_members_username": "admin",
    "delete_groups_name_members_username": "admin",
    "get_data_datasets": "reader",
    "get_data_datasets_dataset": "reader",
    "put_data_datasets_dataset": "reader",
    "get_data_datasets_dataset_rows": "reader",
    "post_data_datasets_dataset_query": "reader",
    "post_data_datasets_dataset_rows": "reader",
    "post_data_upload": "reader",
    "get_grants": "reader",
    "post_grants": "reader",
    "get_grants_grant_id": "reader",
    "delete_grants_grant_id": "reader",
    "post_grants_explain": "reader",
    "get_data_datasets_dataset_versions": "reader",
    "get_data_datasets_dataset_diff": "reader",
    "post_data_datasets_dataset_restore": "reader",
    "post_transactions_transaction_id_replay": "reader",
    "post_transactions_replay": "reader",
    "get_replays": "reader",
    "get_replays_replay_id": "reader",
    "get_replays_replay_id_events": "reader",
    "get_events": "reader",
    "get_jobs": "reader",
    "post_jobs": "admin",
    "get_jobs_job_id": "reader",
    "delete_jobs_job_id": "reader",
    "get_audit": "admin",
    "get_audit_verify": "admin",
    "get_health": "anyone",
    "get_health_live": "anyone",
    "get_health_ready": "anyone",
    "get_metrics": "anyone",
}


@pytest.fixture
def callers(app: Flask) -> dict[str, dict[str, str]]:
    """The headers of each kind of caller; the expired and the disabled one were somebody once."""
    admin = log_in(app, "root")
    admin.post("/users", {"username": "gone", "password": "a long enough one", "role": "admin"})
    headers = {role: log_in(app, name).headers for role, name in {"reader": "rita", "editor": "ed"}.items()}
    disabled = log_in(app, "gone", "a long enough one").headers
    admin.patch("/users/gone", {"disabled": True})
    revoked = log_in(app, "root")
    revoked.post("/auth/revoke")
    return {"nobody": {}, "expired": revoked.headers, "disabled": disabled, "admin": admin.headers, **headers}


def described(app: Flask) -> list[tuple[str, str, dict[str, Any]]]:
    return list(operations(app.test_client().get("/openapi.json").json or {}))


def test_every_route_has_its_rule_written_down(app: Flask) -> None:
    found = {operation["operationId"]: operation["x-role"] for _, _, operation in described(app)}
    assert found == RULES


def test_every_route_admits_just_those_its_rule_names(app: Flask, callers: dict[str, Any]) -> None:
    wrong = []
    for path, method, operation in described(app):
        needed = NEEDED[RULES[operation["operationId"]]]
        concrete = re.sub(r"\{\w+\}", "999999", path)
        for kind in CALLERS:
            if (method, path, kind) == ("post", "/auth/revoke", kind) and kind in RANK:
                continue  # it would end the caller's login; its own tests call it
            answer = app.test_client().open(concrete, method=method.upper(), headers=callers[kind])
            rank = RANK.get(kind)
            if not _is_as_ruled(answer.status_code, needed, rank):
                wrong.append((method, path, kind, answer.status_code))
    assert wrong == []


def _is_as_ruled(status: int, needed: int, rank: int | None) -> bool:
    if needed == 0:
        return status not in (401, 403)
    if rank is None:
        return status == 401
    if rank < needed:
        return status == 403
    return status != 401


def test_refusals_are_recorded_with_who_was_refused(admin: Caller, reader: Caller) -> None:
    reader.post("/users", {})
    entries = admin.get("/audit?username=rita&path=/users&select=status,method").json["data"]
    assert entries[0] == {"status": 403, "method": "POST"}
