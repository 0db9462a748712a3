"""Users, groups, grants, audit, jobs and events in the graph."""

import pytest

from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake

DENIED = ["users", "groups", "auditEntries"]


@pytest.fixture(scope="module")
def admin(lake: LiveLake) -> GraphQL:
    """The administrator."""
    return lake.admin()


@pytest.fixture(scope="module")
def nora(lake: LiveLake) -> GraphQL:
    """An editor without grants."""
    return lake.user("nora", role="editor")


def test_everybody_is_told_who_he_is(admin: GraphQL, nora: GraphQL) -> None:
    me = "{ me { username role groups policy } }"
    assert [client.result(me)["role"] for client in (admin, nora)] == ["ADMIN", "EDITOR"]
    assert admin.result(me)["policy"] != nora.result(me)["policy"]


def test_an_administrator_reads_users_with_their_accounts(admin: GraphQL, nora: GraphQL) -> None:
    asked = """{ users(where: {username: {in: ["admin", "nora"]}}, orderBy: {username: ASC}) {
        totalCount nodes { username account { role disabledAt } } } }"""
    accounts = [{"role": "ADMIN", "disabledAt": None}, {"role": "EDITOR", "disabledAt": None}]
    nodes = [{"username": name, "account": each} for name, each in zip(("admin", "nora"), accounts, strict=True)]
    assert admin.result(asked) == {"totalCount": 2, "nodes": nodes}


@pytest.mark.parametrize("name", DENIED)
def test_others_read_no_accounts_groups_and_audit(nora: GraphQL, name: str) -> None:
    assert nora.error(f"{{ {name} {{ nodes {{ id }} }} }}")["extensions"]["code"] == "FORBIDDEN"


def test_a_user_is_created_changed_and_refused_a_name_that_is_taken(admin: GraphQL) -> None:
    create = """mutation { createUser(username: "olaf", password: "correct horse", role: READER) {
        success code user { username } } }"""
    assert admin.result(create) == {"success": True, "code": None, "user": {"username": "olaf"}}
    assert admin.result(create)["code"] == "CONFLICT"
    change = """mutation { changeUser(username: "olaf", role: EDITOR, disabled: true) {
        user { account { role disabledAt } } } }"""
    account = admin.result(change)["user"]["account"]
    assert account["role"] == "EDITOR"
    assert account["disabledAt"] is not None


def test_who_logs_out_is_refused_from_then_on(lake: LiveLake) -> None:
    pia = lake.user("pia")
    changed = pia.result(
        'mutation { changePassword(old: "correct horse pia", new: "a horse of another colour") { success } }'
    )
    assert changed == {"success": True}
    assert pia.result("mutation { logout { success } }") == {"success": True}
    for asked in ("{ me { id } }", "{ __typename }", "{ __schema { queryType { name } } }", "{ nonsense }"):
        assert pia.error(asked)["extensions"]["code"] == "UNAUTHENTICATED"


def test_groups_have_members_and_go(admin: GraphQL, nora: GraphQL) -> None:
    made = admin.result('mutation { createGroup(name: "readers") { group { name members } } }')
    assert made["group"] == {"name": "readers", "members": []}
    assert admin.result('mutation { addMember(group: "readers", username: "nora") { success code } }')["success"]
    assert admin.result('mutation { addMember(group: "readers", username: "nobody") { code } }')["code"] == "NOT_FOUND"
    listed = admin.result("{ groups(first: 100) { totalCount nodes { name members } } }")
    assert {"name": "readers", "members": ["nora"]} in listed["nodes"]
    assert listed["totalCount"] == len(listed["nodes"])
    assert admin.result('{ group(name: "readers") { members } }') == {"members": ["nora"]}
    assert nora.result("{ me { groups } }") == {"groups": ["readers"]}
    assert admin.result('mutation { removeMember(group: "readers", username: "nora") { success } }')["success"]
    assert admin.result('mutation { deleteGroup(name: "readers") { success } }')["success"]
    assert admin.error('{ group(name: "readers") { id } }')["extensions"]["code"] == "NOT_FOUND"


def test_a_grant_is_given_explained_and_taken_back(lake: LiveLake, admin: GraphQL) -> None:
    quin = lake.user("quin")
    give = """mutation { giveGrant(grant: {principal: "quin", dataset: "payments", privileges: [READ],
        columns: ["id", "card"], filter: "country=eq.FR", masks: {card: "last4"}}) {
        grant { id privileges columns filter masks isSleeping } } }"""
    given = admin.result(give)["grant"]
    told = {"privileges": ["READ"], "columns": ["id", "card"], "filter": "country=eq.FR", "masks": {"card": "last4"}}
    assert given == {"id": given["id"], **told, "isSleeping": False}
    why = 'explainAccess(dataset: "payments", columns: ["amount"]) { allowed view { columns { name mask } } }'
    explained = quin.result(f"{{ {why} }}")
    assert explained == {
        "allowed": False,
        "view": {"columns": [{"name": "id", "mask": None}, {"name": "card", "mask": "last4"}]},
    }
    assert quin.result("{ grants { nodes { id } } }")["nodes"] == [{"id": given["id"]}]
    granted = '{ dataset(name: "payments") { grants(where: {principal: {eq: "quin"}}) { principal isSleeping } } }'
    assert admin.result(granted) == {"grants": [{"principal": "quin", "isSleeping": False}]}
    revoke = "mutation ($id: Int!) { revokeGrant(id: $id) { success code } }"
    assert quin.result(revoke, id=given["id"])["success"] is False
    assert admin.result(revoke, id=given["id"])["success"]
    assert quin.result("{ grants { nodes { id } } }")["nodes"] == []


def test_the_audit_tells_who_did_what_and_that_it_is_whole(admin: GraphQL) -> None:
    asked = """{ auditEntries(first: 1, where: {path: {eq: "/users"}, status: {eq: 201}}) {
        nodes { method user { username } body } } }"""
    (entry,) = admin.result(asked)["nodes"]
    assert (entry["method"], entry["user"]) == ("POST", {"username": "admin"})
    assert "correct horse" not in entry["body"]
    assert admin.result("{ verifyAudit { ok problems { detail } } }") == {"ok": True, "problems": []}


def test_a_job_is_started_seen_by_its_owner_and_cancelled(admin: GraphQL, nora: GraphQL) -> None:
    job = admin.result(
        'mutation { startJob(type: "audit_verification") { job { id state progress { done total } } } }'
    )["job"]
    assert job["state"] == "QUEUED"
    assert nora.error("query ($id: Int!) { job(id: $id) { id } }", id=job["id"])["extensions"]["code"] == "NOT_FOUND"
    cancelled = admin.result("mutation ($id: Int!) { cancelJob(id: $id) { job { state } } }", id=job["id"])
    assert cancelled["job"]["state"] == "CANCELLED"
    states = admin.result('{ jobs(where: {type: {eq: "audit_verification"}}) { nodes { id state } } }')["nodes"]
    assert {"id": job["id"], "state": "CANCELLED"} in states


def test_events_are_paged_by_their_sequence_and_seen_by_who_may(admin: GraphQL, nora: GraphQL) -> None:
    asked = """query ($after: String) { events(types: ["user.*"], first: 1, after: $after) {
        nodes { type sequence } pageInfo { endCursor hasNextPage } } }"""
    first = admin.result(asked)
    second = admin.result(asked, after=first["pageInfo"]["endCursor"])
    assert first["pageInfo"]["hasNextPage"]
    assert int(second["nodes"][0]["sequence"]) > int(first["nodes"][0]["sequence"])
    assert nora.result(asked)["nodes"] == []
