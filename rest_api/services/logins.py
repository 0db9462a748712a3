"""Failed logins: counted in the database, so that the limit holds across processes and restarts."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from sqlalchemy import Connection, Engine, delete, func, insert, select, text

from rest_api.database import utc_now
from rest_api.errors import RateLimited
from rest_api.models.token import LoginFailure


@dataclass(frozen=True)
class LoginGate:
    """Admits a login attempt, or refuses it for a while.

    An attempt counts as failed before the password is looked at and is taken back on success; so attempts
    made at the same moment cannot pass the limit together.
    """

    engine: Engine
    failures_per_account: int
    failures_per_address: int
    window_seconds: int

    def admit(self, username: str, address: str) -> None:
        """Count an attempt. Raises RateLimited with the seconds after which the oldest one is forgotten."""
        address, now = place_of(address), utc_now()
        with self.engine.begin() as connection:
            self._take_turn(connection, address)
            oldest = self._oldest_that_blocks(connection, username, address, now)
            if oldest is None:
                attempt = {"username": username, "address": address, "at": now}
                connection.execute(insert(LoginFailure).values(attempt))
        if oldest is not None:
            seconds = int((oldest + timedelta(seconds=self.window_seconds) - now).total_seconds()) + 1
            raise RateLimited("Too many failed logins; try again later", retry_after_seconds=max(1, seconds))

    def clear(self, username: str, address: str) -> None:
        """Forget the failures of an account at an address after a login that succeeded."""
        address = place_of(address)
        with self.engine.begin() as connection:
            connection.execute(
                delete(LoginFailure).where(LoginFailure.username == username, LoginFailure.address == address)
            )

    def _take_turn(self, connection: Connection, address: str) -> None:
        if connection.dialect.name != "postgresql":
            return
        lock = int.from_bytes(hashlib.blake2b(address.encode(), digest_size=8).digest(), signed=True)
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": lock})

    def _oldest_that_blocks(
        self, connection: Connection, username: str, address: str, now: datetime
    ) -> datetime | None:
        since = now - timedelta(seconds=self.window_seconds)
        recent = (LoginFailure.address == address, LoginFailure.at > since)
        summary = select(func.count(), func.min(LoginFailure.at))
        of_address = connection.execute(summary.where(*recent)).one()
        of_account = connection.execute(summary.where(*recent, LoginFailure.username == username)).one()
        if of_account[0] >= self.failures_per_account:
            return of_account[1]
        return of_address[1] if of_address[0] >= self.failures_per_address else None


def place_of(address: str) -> str:
    """What attempts from an address are counted under: of IPv6 the /64, which one client has to himself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
