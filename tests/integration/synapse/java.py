"""Java for the tests: classes compiled by the compiler that each Debian runtime has in its image."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.integration.jars import SYNAPSE

COMPILER = ("java", "-XX:TieredStopAtLevel=1", "-m", "jdk.compiler/com.sun.tools.javac.Main")
COMPILE_SECONDS = 120


def compile_java(sources: Iterable[Path], target: Path) -> None:
    """Compile against Synapse's jars; every warning that is not about them is an error."""
    options = ("-encoding", "UTF-8", "-Xlint:all,-classfile,-path,-processing", "-Werror", "-proc:none")
    path = os.pathsep.join(map(str, SYNAPSE.place.iterdir()))
    command = [*COMPILER, *options, "-cp", path, "-d", str(target), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMPILE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
