"""Asks a server again and again, until its input ends, and prints how long each answer took, in seconds.

A process of its own: what else a test does must not keep it waiting.
"""

import http.client
import json
import select
import sys
import time

PAUSE_SECONDS = 0.02
TIME_OUT_SECONDS = 60


def main(host: str, port: int, path: str) -> None:
    """Raises RuntimeError for any other answer than 200."""
    taken: list[float] = []
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        begun = time.perf_counter()
        connection = http.client.HTTPConnection(host, port, timeout=TIME_OUT_SECONDS)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"answered with {answer.status}")
        taken.append(time.perf_counter() - begun)
    json.dump(taken, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
