"""The command line of `./start.sh`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class Options:
    """What a person asked for; `data_dir` is as given, None when not given."""

    host: str
    port: int
    gateway_port: int
    data_dir: str | None
    with_demo: bool


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line. A mistake ends the program with one sentence and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="start.sh",
        description="Set Lakeport up and run it: the REST core, the GraphQL gateway, the worker, "
        "and Prometheus where it is installed. Ctrl-C stops everything. "
        "Starting again keeps all data and secrets.",
        allow_abbrev=False,
    )
    parser.add_argument("--no-demo", action="store_true", help="start without making demo data and demo users")
    parser.add_argument("--port", type=_port, default=5000, metavar="N", help="port of the REST core (%(default)s)")
    parser.add_argument(
        "--gateway-port", type=_port, default=8000, metavar="N", help="port of the GraphQL gateway (%(default)s)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other machines in (%(default)s)"
    )
    parser.add_argument("--data-dir", metavar="FOLDER", help="database, lake, indexes and logs (./var)")
    given = parser.parse_args(arguments)
    if given.port == given.gateway_port:
        parser.error("--port and --gateway-port must differ")
    return Options(given.host, given.port, given.gateway_port, given.data_dir, not given.no_demo)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to {HIGHEST_PORT}, not {text!r}")
    return int(text)
