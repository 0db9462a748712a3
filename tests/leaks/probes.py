"""Asks servers in turn, again and again until its input ends, and prints how long each answer took, in seconds.

A process of its own: what else a test does must not keep it waiting. Its arguments are the servers' ports; the first
server is probed for its health, and all that the others do is answer (`tests.leaks.bare_server`).
"""

import http.client
import json
import select
import sys
import time

PAUSE_SECONDS = 0.02
TIME_OUT_SECONDS = 60
PATH = "/health/live"


def main(ports: list[int]) -> None:
    """Prints a list for each port. Raises RuntimeError for any other answer than 200."""
    taken: list[list[float]] = [[] for _ in ports]
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        for port, seconds in zip(ports, taken, strict=True):
            seconds.append(_asked(port))
    json.dump(taken, sys.stdout)


def _asked(port: int) -> float:
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIME_OUT_SECONDS)
    connection.request("GET", PATH)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"answered with {answer.status}")
    return time.perf_counter() - begun


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1:]])
