"""What the checker says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A sentence about a step or an entry; `where` is '' where it is about the whole file."""

    file: str
    where: str
    sentence: str

    def __str__(self) -> str:
        place = f"{self.where!r} " if self.where else ""
        return f"{self.file}: {place}{self.sentence}"
