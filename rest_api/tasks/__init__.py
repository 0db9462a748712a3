"""What jobs do, one type a file; adding a type is adding a file and a line here."""

from collections.abc import Mapping

from rest_api.backends.catalog import TableLogs
from rest_api.backends.delta import DeltaTables
from rest_api.backends.maintenance.tables import Upkeep
from rest_api.backends.storage.local import LocalStorage
from rest_api.services import relays
from rest_api.settings import Settings
from rest_api.tasks.audit_retention import AuditRetention
from rest_api.tasks.audit_verification import AuditVerification
from rest_api.tasks.change_recovery import ChangeRecovery
from rest_api.tasks.purge import Purge
from rest_api.tasks.replay import SendAgain
from rest_api.tasks.table_maintenance import TableMaintenance
from rest_api.tasks.task import Task


def all_tasks(settings: Settings) -> Mapping[str, Task]:
    """Every type of job by its name."""
    storage = LocalStorage(settings.lake_dir)
    tasks: tuple[Task, ...] = (
        AuditRetention(settings.audit_key.encode(), settings.audit_retention_days),
        AuditVerification(settings.audit_key.encode(), settings.heads_dir),
        ChangeRecovery(TableLogs(storage, DeltaTables())),
        Purge(
            settings.event_retention_days,
            settings.login_window_seconds,
            relays.mark if settings.event_brokers else relays.all_of_them,
        ),
        SendAgain(settings),
        TableMaintenance(Upkeep(storage, settings.version_retention_hours, settings.maintenance_bytes)),
    )
    return {task.type: task for task in tasks}
