"""Java programs of the tests, fetched by Maven: `python -m tests.integration.jars`, once for each list of jars."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CACHE = Path.home() / ".cache" / "lakeport-tests"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
INSTALL_SECONDS = 300


@dataclass(frozen=True)
class Jars:
    """What a folder's `pom.xml` asks for, held to the checksums in its `jars.sha256`."""

    program: str
    folder: Path

    @property
    def how_to_get(self) -> str:
        """A sentence for who lacks them."""
        return (
            f"{self.program}'s jars or Java are missing; on Debian: apt-get install default-jre-headless maven, "
            "then python -m tests.integration.jars"
        )

    @property
    def place(self) -> Path:
        """The folder of the jars of this list."""
        return CACHE / f"{self.folder.name}-{hashlib.sha256(self._list.read_bytes()).hexdigest()[:12]}"

    @property
    def are_installed(self) -> bool:
        """Whether they and Java are here; the folder takes its name when all are checked."""
        return self.place.is_dir() and shutil.which("java") is not None

    @property
    def _list(self) -> Path:
        return self.folder / "jars.sha256"

    def fetch(self) -> None:
        """Bring them. Raises OSError, SubprocessError, ValueError when they are not what the list says."""
        CACHE.mkdir(parents=True, exist_ok=True)
        part = CACHE / f"{self.place.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        pom = str(self.folder / "pom.xml")
        command = ["mvn", "-B", "-q", "-f", pom, PLUGIN, f"-DoutputDirectory={part}", "-DincludeScope=runtime"]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
        self._check(part)
        part.rename(self.place)

    def _check(self, part: Path) -> None:
        wanted = dict(line.split()[::-1] for line in self._list.read_text().splitlines())
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in part.iterdir()}
        if found != wanted:
            raise ValueError(f"not as listed: {sorted(set(found.items()) ^ set(wanted.items()))}")


KAFKA = Jars("Kafka", FOLDER / "kafka")
SYNAPSE = Jars("Synapse", FOLDER / "synapse")
CONNECT = Jars("Kafka Connect", FOLDER / "connect")


def main() -> int:
    """Fetch what is missing where Maven is there; one sentence and 1 where it is not what the lists say."""
    missing = [jars for jars in (KAFKA, SYNAPSE, CONNECT) if not jars.are_installed]
    if missing and (shutil.which("mvn") is None or shutil.which("java") is None):
        sys.stderr.writelines(f"{jars.how_to_get}; tests that need it are skipped\n" for jars in missing)
        return 0
    try:
        for jars in missing:
            jars.fetch()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        sys.stderr.write(f"{jars.program}'s jars cannot be fetched: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
