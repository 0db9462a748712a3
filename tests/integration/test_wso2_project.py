"""The Micro Integrator project is sound, its checker finds what would not be, and Synapse's factories read its twin."""

import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from integration.wso2.check import findings
from integration.wso2.project import ARTIFACTS, SYNAPSE, read_project
from tests.integration.jars import SYNAPSE as JARS
from tests.integration.synapse.java import compile_java
from tests.integration.synapse.running import FAST, ROUTE
from tests.live import ROOT

TWIN = (ROUTE / "synapse" / "synapse.xml").read_text(encoding="utf-8")
CODES = "101500,101501,101503,101504,101505,101507,101508"
FILLED = {**FAST, "CORE_URL": "http://127.0.0.1:9", "PORT": "8290", "HOME_DIR": "."}


@dataclass(frozen=True)
class Mutant:
    """A change of an artifact that the checker must find: old text, new text, and what it says."""

    path: str
    old: str
    new: str
    says: str


MUTANTS = [
    Mutant("sequences/BatchIn.xml", 'key="LakeportSend"', 'key="LakeportSent"', "names the sequence 'LakeportSent'"),
    Mutant("sequences/LakeportSend.xml", 'key="LakeportCore"', 'key="Core"', "names the endpoint 'Core'"),
    Mutant("sequences/ArticlesStore.xml", 'messageStore="A', 'messageStore="B', "names the messageStore"),
    Mutant("sequences/LakeportToken.xml", "lakeport.BearerToken", "lakeport.Bearer", "of which there is no source"),
    Mutant("tasks/ArticlesPoll.xml", 'value="BatchIn"', 'value="Batch"', "sequenceName names the sequence 'Batch'"),
    Mutant("tasks/ArticlesPoll.xml", 'interval="5"', 'interval="0"', "has no trigger"),
    Mutant("tasks/ArticlesPoll.xml", 'name="injectTo"', 'name="inject"', "has no property injectTo"),
    Mutant("endpoints/LakeportCore.xml", "60000</duration>", "</duration>", "timeout/duration is ''"),
    Mutant("endpoints/LakeportCore.xml", "fault</resp", "discard</resp", "no responseAction fault"),
    Mutant("endpoints/LakeportCore.xml", "2.0</", "twice</", "progressionFactor is 'twice'"),
    Mutant("endpoints/LakeportCore.xml", CODES + "</disabled", "</disabled", "disables no error"),
    Mutant("endpoints/LakeportCore.xml", ">0</retries", ">3</retries", "retriesBeforeSuspension is not 0"),
    Mutant("endpoints/LakeportCore.xml", "$SYSTEM:LAKEPORT_BATCH_URL", "http://core:5000/a", "not taken from the env"),
    Mutant("endpoints/LakeportStored.xml", "ns/synapse", "ns/synapses", "begins with <{http://ws.apache.org/ns/syn"),
    Mutant("apis/LakeportSync.xml", ' faultSequence="ArticlesFault"', "", "entrance without faultSequence"),
    Mutant("apis/LakeportSync.xml", 'inSequence="ArticlesIn"', 'inSequence="NotDone"', "NotDone lets everybody in"),
    Mutant("proxy-services/ArticlesSync.xml", "ArticlesFault", "StoredFault", "faults of ArticlesIn are not stored"),
    Mutant("proxy-services/ArticlesSync.xml", 'name="ArticlesSync"', 'name="Articles"', "another name than the file's"),
    Mutant("sequences/BatchIn.xml", ' onError="BatchFault"', "", "may fail, and nobody hears of it"),
    Mutant("sequences/ArticlesRead.xml", 'name="Art', 'onError="StoredFault" name="Art', "hears of already"),
    Mutant("sequences/LakeportSend.xml", "'HTTP_SC'", "'HTTP'", "never reads HTTP_SC"),
    Mutant("sequences/LakeportSend.xml", "<call>", "<send/><call>", "sends and forgets"),
    Mutant("sequences/BatchAnswered.xml", '"200"', '"2[0-9][0-9]"', "confirms a batch at the status"),
    Mutant("sequences/BatchAnswered.xml", 'key="BatchRelease"', 'key="BatchConfirm"', "whatever the status"),
    Mutant("sequences/BatchAnswered.xml", '"400|413|422"', '"400|(413"', "the regex '400|(413' is none"),
    Mutant(
        "sequences/NotDone.xml", "<sequence key", '<property name="FORCE_SC_ACCEPTED"/><sequence key', "answers 202"
    ),
    Mutant("sequences/Respond.xml", "<respond/>", '<sequence key="NotDone"/>', "leads back to itself"),
    Mutant("sequences/BatchConfirm.xml", 'name="sent"', 'name="send"', "other parameters than it takes"),
    Mutant("sequences/BatchConfirm.xml", '"confirmBatch"', '"confirm"', "calls the operation 'confirm'"),
    Mutant("sequences/MessageIn.xml", "title?json_string", "title", "puts payload.title into JSON without"),
    Mutant("sequences/MessageFault.xml", "SET_ROLLBACK_ONLY", "ROLLBACK", "never sets SET_ROLLBACK_ONLY"),
    Mutant(
        "sequences/MessageIn.xml", "<property", '<property name="api.key" value="hunter2"/><property', "written out"
    ),
    Mutant("message-stores/ArticlesStored.xml", "jdbc.JDBCMessageStore", "memory.InMemoryStore", "not a JDBC message"),
    Mutant("message-stores/ArticlesStored.xml", ">LakeportStore<", ">Store<", "names the datasource 'Store'"),
    Mutant("message-processors/ArticlesForwarder.xml", ">-1<", ">4<", "max.delivery.attempts is '4'"),
    Mutant("message-processors/ArticlesForwarder.xml", ">Disabled<", ">Enabled<", "max.delivery.drop is 'Enabled'"),
    Mutant("message-processors/ArticlesForwarder.xml", 'targetEndpoint="LakeportStored"', "", "with a targetEndpoint"),
    Mutant("inbound-endpoints/ArticlesTopic.xml", '"enable.auto.commit">false', '"enable.auto.commit">true', "be lost"),
    Mutant("inbound-endpoints/ArticlesTopic.xml", '"group.id"', '"group"', "has no parameter group.id"),
    Mutant("data-services/LakeportBaseA.dbs", '"local"', '"http https"', "is open to the network"),
    Mutant("data-services/LakeportBaseA.dbs", ":answer)", ":answers)", "do not agree about the parameter answer"),
    Mutant(
        "data-services/LakeportBaseA.dbs", 'href="confirmBatch"', 'href="confirm"', "calls a query that is not there"
    ),
    Mutant("data-sources/LakeportBaseA.xml", "$SYSTEM:BASE_A_PASSWORD", "hunter2", "password is written out"),
    Mutant("data-sources/LakeportBaseA.xml", "$SYSTEM:BASE_A_URL", "jdbc:x://a:b@host/", "holds a login"),
    Mutant("data-sources/LakeportStore.xml", "</datasource>", "", "is not XML"),
    Mutant("data-sources/LakeportStore.xml", "<datasource>", "<!DOCTYPE a><datasource>", "has a DOCTYPE"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project."""
    shutil.copytree(ROUTE / "src", tmp_path / "src")
    return tmp_path


def said(folder: Path) -> list[str]:
    """What the checker says of a project."""
    return [str(each) for each in findings(read_project(folder))]


def test_nothing_is_wrong_with_the_project() -> None:
    command = [sys.executable, "-m", "integration.wso2.check", str(ROUTE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "36 artifacts, nothing wrong\n"), done.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.path}:{mutant.new[:30]}")
def test_the_checker_finds(mutant: Mutant, project: Path) -> None:
    path = project / ARTIFACTS / mutant.path
    text = path.read_text()
    assert mutant.old in text
    path.write_text(text.replace(mutant.old, mutant.new, 1))
    found = said(project)
    assert any(mutant.says in sentence for sentence in found), found


def test_the_checker_finds_what_nobody_names_and_what_is_named_twice(project: Path) -> None:
    folder = project / ARTIFACTS / "sequences"
    (folder / "Left.xml").write_text((folder / "NotDone.xml").read_text())
    found = said(project)
    assert any("'NotDone' within, another name" in each for each in found)
    assert "NotDone: is the name of 2 artifacts of the kind sequence" in found


def test_a_finding_ends_the_checker_with_1_and_a_folder_without_artifacts_with_2(project: Path) -> None:
    (project / ARTIFACTS / "endpoints" / "LakeportStored.xml").unlink()
    command = [sys.executable, "-m", "integration.wso2.check"]
    runs = [
        subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
        for folder in (project, project / "src")
    ]
    assert [run.returncode for run in runs] == [1, 2]
    assert "names the endpoint 'LakeportStored', which is not there" in runs[0].stdout


def test_project_and_twin_have_the_same_entrances_endpoints_stores_and_tasks() -> None:
    twin = fromstring(TWIN)  # noqa: S314  (our own file)
    project = read_project(ROUTE)
    for kind in ("api", "proxy", "endpoint", "task", "messageStore", "messageProcessor"):
        assert project.names(kind) == {each.get("name") for each in twin.findall(SYNAPSE + kind)}, kind


@pytest.fixture(scope="module")
def factories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the classes that have Synapse's factories read, the route's own mediators beside them."""
    if not JARS.are_installed:
        pytest.skip(JARS.how_to_get)
    folder = tmp_path_factory.mktemp("factories")
    compile_java([*ROUTE.rglob("*.java"), JARS.folder / "CheckConfig.java"], folder)
    return folder


TWIN_MUTANTS = [
    Mutant("", "<responseAction>fault", "<responseAction>shrug", "refused"),
    Mutant("", "<progressionFactor>2.0", "<progressionFactor>twice", "refused"),
    Mutant("", "<maximumDuration>60000", "<maximumDuration>long", "refused"),
    Mutant("", ' regex="known"', "", "refused"),
    Mutant("", 'class name="lakeport.Caller"', 'class name="lakeport.Nobody"', "refused"),
    Mutant("", 'name="pauseSeconds"', 'name="pauses"', "refused"),
    Mutant("", "<clone continue", "<cloned continue", "refused"),
    Mutant("", "<source type=", "<source kind=", "refused"),
    Mutant("", " expression=\"get-property('ERROR_CODE')\"", " expression=\"get-property('ERROR_CODE'\"", "refused"),
    Mutant("", '<messageStore name="ArticlesStored"/>', "<messageStore/>", "refused"),
    Mutant("", "<sql>insert into lakeport_answers", "<sq>insert into lakeport_answers", "refused"),
    Mutant("", '<trigger interval="1"/>', '<trigger interval="often"/>', "refused"),
]


def test_synapses_own_factories_read_the_twin_and_refuse_its_mutants(factories: Path, tmp_path: Path) -> None:
    paths = []
    for number, text in enumerate(mutated(string.Template(TWIN).substitute(FILLED))):
        paths.append(tmp_path / f"{number}.xml")
        paths[-1].write_text(text)
    classes = f"{ROUTE / 'synapse'}:{factories}:{JARS.place}/*"
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", classes, "CheckConfig"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=True, timeout=120)
    verdicts = done.stdout.splitlines()
    assert verdicts[0] == "accepted"
    survivors = [
        mutant.new for mutant, verdict in zip(TWIN_MUTANTS, verdicts[1:], strict=True) if verdict == "accepted"
    ]
    assert survivors == []


def mutated(text: str) -> Iterator[str]:
    """The twin as it is, then each mutant."""
    yield text
    for mutant in TWIN_MUTANTS:
        assert mutant.old in text, mutant.old
        yield text.replace(mutant.old, mutant.new, 1)


@pytest.mark.parametrize("name", ["NotDone", "StoredDone"])
def test_what_the_twin_answers_itself_after_a_call_has_a_buffer_of_its_own(name: str) -> None:
    named = fromstring(TWIN).iter(SYNAPSE + "sequence")  # noqa: S314  (our own file)
    assert_answers_in_a_buffer_of_its_own(next(each for each in named if each.get("name") == name))


@pytest.mark.parametrize(("name", "path"), [("NotDone", "."), ("StoredAnswered", f".//{SYNAPSE}default")])
def test_what_the_project_answers_itself_after_a_call_has_a_buffer_of_its_own(name: str, path: str) -> None:
    (sequence,) = (each.root for each in read_project(ROUTE).artifacts if each.name == name)
    branch = sequence.find(path)
    assert branch is not None
    assert_answers_in_a_buffer_of_its_own(branch)


def assert_answers_in_a_buffer_of_its_own(sequence: Element) -> None:
    """In the call's own, Synapse mixed what clients sent: it gives that back twice when the call is given up."""
    *_, before, answer = sequence
    assert answer.get("key") == "Respond"
    assert (before.get("name"), before.get("action"), before.get("scope")) == ("pass-through.pipe", "remove", "axis2")
