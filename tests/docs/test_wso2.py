"""`docs/INTEGRATION.md` names every setting of the WSO2 route, its entrances, and how many mistakes are found."""

import re

from integration.wso2.project import read_project
from tests.integration.synapse.running import ROUTE
from tests.integration.test_wso2_project import MUTANTS, TWIN_MUTANTS
from tests.live import ROOT

SECTION = (ROOT / "docs" / "INTEGRATION.md").read_text(encoding="utf-8").split("\n## WSO2\n")[1].split("\n## ")[0]
TABLE = re.findall(r"^\| (`[A-Z_`, ]+`) \|", SECTION, re.MULTILINE)


def test_every_setting_is_described_and_nothing_else() -> None:
    java = "".join(path.read_text(encoding="utf-8") for path in (ROUTE / "src" / "main" / "java").rglob("*.java"))
    artifacts = "".join(path.read_text(encoding="utf-8") for path in (ROUTE / "src" / "main" / "wso2mi").rglob("*.*"))
    read = {*re.findall(r'(?:setting|getenv)\("(\w+)"\)', java), *re.findall(r"\$SYSTEM:(\w+)", artifacts)}
    assert {name for row in TABLE for name in re.findall(r"\w+", row)} == read


def test_every_entrance_is_described() -> None:
    project = read_project(ROUTE)
    names = {each for kind in ("proxy", "task", "inboundEndpoint") for each in project.names(kind)}
    assert {name for name in names if name not in SECTION} == set()


def test_the_numbers_of_mistakes_and_artifacts_are_right() -> None:
    assert f"refuse {len(TWIN_MUTANTS)} mistakes" in SECTION.replace("\n", " ")
    assert f"each of {len(MUTANTS)} in the project" in SECTION
    assert f"{len(read_project(ROUTE).artifacts)} artifacts, nothing wrong" in SECTION
