"""What jobs do, one type a file; adding a type is adding a file and a line here."""

from collections.abc import Mapping

from rest_api.settings import Settings
from rest_api.tasks.audit_retention import AuditRetention
from rest_api.tasks.audit_verification import AuditVerification
from rest_api.tasks.purge import Purge
from rest_api.tasks.task import Task


def all_tasks(settings: Settings) -> Mapping[str, Task]:
    """Every type of job by its name."""
    tasks: tuple[Task, ...] = (
        AuditRetention(settings.audit_key.encode(), settings.audit_retention_days),
        AuditVerification(settings.audit_key.encode(), settings.heads_dir),
        Purge(settings.event_retention_days, settings.login_window_seconds),
    )
    return {task.type: task for task in tasks}
