"""Passwords: hashing and checking with Argon2id (RFC 9106)."""

import secrets
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_PASSWORD_CHARACTERS = 12
MAX_PASSWORD_CHARACTERS = 256
_HASHER = PasswordHasher()
# One hash takes 64 MiB and a core; more at once would let a flood of logins starve everything else.
_TURNS = BoundedSemaphore(2)
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$+u46oD8eYJDi7lYMbKf6Lw$6IsVfUi6gdDrBIwNZvyX7+7VYfXoCJcFNgqFHcznM8A"


def hash_password(password: str) -> str:
    """The Argon2id hash to store."""
    with _TURNS:
        return _HASHER.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password fits; takes as long when there is no such user (`password_hash` None)."""
    with _TURNS:
        try:
            matches = _HASHER.verify(password_hash or _NOBODY, password)
        except (VerificationError, InvalidHashError):
            return False
    return matches and password_hash is not None


def generate_password() -> str:
    """A random password with 120 bits of entropy."""
    return secrets.token_urlsafe(15)
