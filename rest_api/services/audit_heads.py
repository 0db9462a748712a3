"""How far each audit chain has come, sealed in files outside the database."""

import hmac
import os
from pathlib import Path
from typing import NamedTuple

import orjson

SUFFIX = ".head"
LINE_BYTES = 512
GENESIS = ""
"""What stands in the place of an HMAC before the first entry of a chain."""


class Head(NamedTuple):
    """The last entry of a chain: its number and its HMAC."""

    chain: str
    sequence: int
    hmac: str

    def followed_by(self, link: str) -> "Head":
        """The head after one more entry."""
        return Head(self.chain, self.sequence + 1, link)


def seal(key: bytes, purpose: str, head: Head) -> str:
    """The proof that whoever holds the key said so of a chain: hexadecimal, 64 characters."""
    content = orjson.dumps([purpose, *head])
    return hmac.digest(key, b"seal\x00" + content, "sha256").hex()


class HeadFile:
    """The file of one chain, rewritten in place with every entry."""

    def __init__(self, descriptor: int, key: bytes) -> None:
        self._descriptor = descriptor
        self._key = key

    @classmethod
    def create(cls, folder: Path, chain: str, key: bytes) -> "HeadFile":
        """A new file, mode 0600. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        return cls(os.open(folder / f"{chain}{SUFFIX}", flags, 0o600), key)

    def write(self, head: Head) -> None:
        """Seal a head, in one write of a fixed length, so that a reader never sees half of it. Raises OSError."""
        line = orjson.dumps([*head, seal(self._key, "head", head)])
        os.pwrite(self._descriptor, line.ljust(LINE_BYTES), 0)

    def close(self) -> None:
        """Give the file back to the system."""
        os.close(self._descriptor)


def read_heads(folder: Path, key: bytes) -> tuple[dict[str, Head], list[str]]:
    """The sealed heads by chain, and the names of files that are not what was sealed.

    A file that is still empty belongs to a chain whose first entry was never confirmed.
    """
    heads, broken = {}, []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        line = path.read_bytes().strip()
        head = _read(line, key)
        if head is not None and f"{head.chain}{SUFFIX}" == path.name:
            heads[head.chain] = head
        elif line:
            broken.append(path.stem)
    return heads, broken


def _read(line: bytes, key: bytes) -> Head | None:
    try:
        chain, sequence, link, given = orjson.loads(line)
        head = Head(chain, sequence, link)
        return head if hmac.compare_digest(seal(key, "head", head), given) else None
    except (ValueError, TypeError):
        return None
