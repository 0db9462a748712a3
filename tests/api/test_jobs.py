"""`/jobs` as those see it who ask for jobs."""

from tests.conftest import Caller

NEW = {"type": "audit_verification"}


def test_a_job_waits_under_its_location(admin: Caller) -> None:
    made = admin.post("/jobs", NEW)
    assert made.status_code == 202
    job = admin.get(made.headers["Location"]).json
    assert job["state"] == "queued"
    assert job["progress"] == {"done": 0, "total": None, "unit": "steps"}
    assert (job["result"], job["problem"], job["started_at"], job["finished_at"]) == (None, None, None, None)
    assert [each["id"] for each in admin.get("/jobs?state=queued&select=id").json["data"]] == [job["id"]]


def test_a_job_is_seen_by_its_owner_and_administrators(admin: Caller, reader: Caller) -> None:
    path = admin.post("/jobs", NEW).headers["Location"]
    assert reader.get(path).status_code == 404
    assert reader.delete(path).status_code == 404
    assert reader.get("/jobs").json["data"] == []
    assert [each["type"] for each in admin.get("/events?type=job.*").json["data"]] == ["job.queued"]
    assert reader.get("/events?type=job.*").json["data"] == []


def test_only_administrators_ask_for_jobs(editor: Caller) -> None:
    assert editor.post("/jobs", NEW).status_code == 403


def test_a_waiting_job_is_cancelled_once(admin: Caller) -> None:
    path = admin.post("/jobs", NEW).headers["Location"]
    cancelled = admin.delete(path)
    assert (cancelled.status_code, cancelled.json["state"]) == (202, "cancelled")
    assert cancelled.json["finished_at"]
    again = admin.delete(path)
    assert (again.status_code, again.json["code"]) == (409, "job_finished")


def test_an_unknown_type_names_the_nearest(admin: Caller) -> None:
    answer = admin.post("/jobs", {"type": "audit_verify"})
    assert (answer.status_code, answer.json["did_you_mean"]) == (400, "audit_verification")


def test_an_argument_nobody_asked_for_is_refused(admin: Caller) -> None:
    answer = admin.post("/jobs", {**NEW, "arguments": {"before": "now"}})
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == "arguments.before"


def test_the_same_job_asked_for_twice_with_a_key_is_one(admin: Caller) -> None:
    first, second = (admin.post("/jobs", NEW, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert admin.get("/jobs?count=exact").json["count"] == 1
