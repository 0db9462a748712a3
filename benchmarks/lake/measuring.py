"""Cells of the table: a question to a server, measured with one client and with several."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.lake.client import Client
from benchmarks.lake.closed_loop import Load, interleaved
from benchmarks.lake.questions import Question
from benchmarks.lake.servers import Row, Server

CLIENTS = (1, 8)


@dataclass(frozen=True)
class Cell:
    """A question and the server that it is put to."""

    question: Question
    server: Server

    @property
    def client(self) -> Client:
        """What puts it."""
        found = self.server.client(self.question)
        assert found is not None, f"{self.server.name} is not asked {self.question.name}"
        return found


@dataclass(frozen=True)
class Measured:
    """What was seen of a cell: a load for each of `CLIENTS`."""

    question: Question
    server: str
    loads: tuple[Load, ...]


async def measure(cells: Sequence[Cell]) -> list[Measured]:
    """Measure cells in turns, so that they can be set against one another."""
    clients = [cell.client for cell in cells]
    calls = {str(place): client.call for place, client in enumerate(clients)}
    loads = [await interleaved(calls, count) for count in CLIENTS]
    for client in clients:
        client.close()
    return [
        Measured(cell.question, cell.server.name, tuple(load[str(place)] for load in loads))
        for place, cell in enumerate(cells)
    ]


async def answer(cell: Cell) -> list[Row]:
    """The rows that a server answers with."""
    client = cell.client
    try:
        return cell.server.rows(await client.send())
    finally:
        client.close()
