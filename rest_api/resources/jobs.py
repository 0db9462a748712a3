"""`/jobs`: long work, done by the worker."""

from typing import Any

from flask import current_app
from marshmallow import fields, validate

from rest_api.auth import Rule, allow, current_principal
from rest_api.errors import FieldError, Invalid, unknown
from rest_api.models.job import STATES, Job
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.sql import Page, Source
from rest_api.request import session
from rest_api.resources.listing import lists
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services import jobs
from rest_api.services.events import Watcher
from rest_api.tasks import all_tasks

JOBS = Shape(
    name="jobs",
    columns=(
        Column("id", ColumnType.INTEGER, "number of the job"),
        Column("type", ColumnType.TEXT, "what it does"),
        Column("state", ColumnType.TEXT, ", ".join(STATES)),
        Column("progress", ColumnType.JSON, "how far it is"),
        Column("result", ColumnType.JSON, "what it came to"),
        Column("problem", ColumnType.JSON, "why it failed"),
        Column("created_at", ColumnType.TIMESTAMP, "when it was asked for"),
        Column("started_at", ColumnType.TIMESTAMP, "when a worker first took it"),
        Column("finished_at", ColumnType.TIMESTAMP, "when it ended"),
    ),
    key=("id",),
    default_order=(Order("id", descending=True),),
)
ASKABLE = ("audit_retention", "audit_verification", "change_recovery", "purge", "table_maintenance")
"""Types that are asked for here; others by what they are about."""
JOB_PATH = "/<id:job_id>"
blueprint = Blueprint("jobs", __name__, url_prefix="/jobs", description="Long work, done by the worker")


class ProgressSchema(WireSchema):
    """How far a job is."""

    done = fields.Integer(metadata={"example": 0})
    total = fields.Integer(allow_none=True, metadata={"description": "null while it is not known"})
    unit = fields.String(metadata={"example": "entries"})


class JobSchema(WireSchema):
    """A job."""

    id = fields.Integer(metadata={"example": 1})
    type = fields.String(metadata={"example": "audit_verification"})
    state = fields.String(validate=validate.OneOf(STATES), metadata={"example": "queued"})
    progress = fields.Nested(ProgressSchema, metadata={"description": "how far it is"})
    result = fields.Dict(allow_none=True, metadata={"description": "what it came to, once it has succeeded"})
    problem = fields.Dict(allow_none=True, metadata={"description": "why it failed, with `code` and `detail`"})
    created_at = Time(metadata={"description": "when it was asked for"})
    started_at = Time(allow_none=True, metadata={"description": "when a worker first took it"})
    finished_at = Time(allow_none=True, metadata={"description": "when it ended"})


class NewJobSchema(WireSchema):
    """A job to be done."""

    type = fields.String(
        required=True,
        validate=validate.Length(1, 64),
        metadata={
            "example": "audit_verification",
            "description": f"{', '.join(ASKABLE[:-1])} or {ASKABLE[-1]}",
            "enum": [*ASKABLE],
        },
    )
    arguments = fields.Dict(
        keys=fields.String(),
        metadata={"example": {}, "description": "what the type asks for; none does yet", "maxProperties": 0},
    )


@blueprint.route("", methods=["GET"])
@lists(JOBS, JobSchema)
@allow(Rule.READER)
def list_jobs(query: Query) -> Page:
    """List jobs, the newest first: one's own, and for administrators all."""
    return Source.of(Job, JOBS, *jobs.visible(_watcher())).page(session(), query)


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewJobSchema)
@blueprint.response(202, JobSchema)
@allow(Rule.ADMIN)
def create_job(body: dict[str, Any]) -> tuple[Job, int, dict[str, str]]:
    """Ask for a job; the worker checks once more that its owner may have it run."""
    arguments = body.get("arguments", {})
    check_arguments(body["type"], arguments)
    job = jobs.enqueue(session(), body["type"], arguments, current_principal().id)
    return job, 202, {"Location": f"/jobs/{job.id}"}


@blueprint.route(JOB_PATH, methods=["GET"])
@blueprint.response(200, JobSchema)
@allow(Rule.READER, refuses=(404,))
def read_job(job_id: int) -> Job:
    """Read one job: its state, how far it is, what it came to."""
    return jobs.find_job(session(), job_id, _watcher())


@blueprint.route(JOB_PATH, methods=["DELETE"])
@blueprint.response(202, JobSchema)
@allow(Rule.READER, refuses=(404, 409))
def cancel_job(job_id: int) -> tuple[Job, int, dict[str, str]]:
    """Cancel a job: a waiting one ends at once, a running one within two seconds."""
    job = jobs.cancel_job(session(), job_id, _watcher())
    return job, 202, {"Location": f"/jobs/{job.id}"}


def check_arguments(job_type: str, arguments: dict[str, Any]) -> None:
    """Raises Invalid for a type or an argument that is not known, naming the nearest."""
    tasks = all_tasks(current_app.extensions["lakeport"].settings)
    if job_type not in ASKABLE:
        raise unknown("type", job_type, ASKABLE)
    known = tasks[job_type].parameters
    for name in arguments:
        if name not in known:
            detail = f"Jobs of the type {job_type} take {', '.join(known) or 'no arguments'}"
            raise Invalid(detail, errors=[FieldError(f"arguments.{name[:100]}", detail)])


def _watcher() -> Watcher:
    caller = current_principal()
    return Watcher(caller.id, caller.may(Rule.ADMIN))
