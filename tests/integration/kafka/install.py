"""Fetch Apache Kafka's jars by Maven: `python -m tests.integration.kafka.install`, once for each list of jars."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CACHE = Path.home() / ".cache" / "lakeport-tests"
POM = FOLDER / "pom.xml"
LIST = FOLDER / "jars.sha256"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
INSTALL_SECONDS = 300
HOW_TO_GET_KAFKA = (
    "Kafka's jars or Java are missing; on Debian: apt-get install default-jre-headless maven, "
    "then python -m tests.integration.kafka.install"
)


def jars() -> Path:
    """The folder of the jars of this list."""
    return CACHE / f"kafka-{hashlib.sha256(LIST.read_bytes()).hexdigest()[:12]}"


def is_installed() -> bool:
    """Whether they and Java are here; the folder takes its name when all are checked."""
    return jars().is_dir() and shutil.which("java") is not None


def main() -> int:
    """Fetch them where Maven is there; one sentence and 1 when they are not what the list says."""
    if is_installed():
        return 0
    if shutil.which("mvn") is None or shutil.which("java") is None:
        sys.stderr.write(f"{HOW_TO_GET_KAFKA}; tests that need it are skipped\n")
        return 0
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / f"{jars().name}.part"
    try:
        _fetch(folder)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        sys.stderr.write(f"Kafka's jars cannot be fetched: {error}\n")
        return 1
    folder.rename(jars())
    return 0


def _fetch(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    command = ["mvn", "-B", "-q", "-f", str(POM), PLUGIN, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
    wanted = dict(line.split()[::-1] for line in LIST.read_text().splitlines())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    if found != wanted:
        raise ValueError(f"not as listed: {sorted(set(found.items()) ^ set(wanted.items()))}")


if __name__ == "__main__":
    sys.exit(main())
