"""`python -m integration.pentaho.check`: it passes the route's files, and says of each small mistake where it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from integration.pentaho.check import check, main
from tests.integration.bases import Base, synced
from tests.integration.pentaho.mutants import JOB, MUTANTS, SYNC, Mutant
from tests.integration.pentaho.route import FILES, Pentaho
from tests.live import LiveCore


def test_nothing_is_wrong_with_the_routes_files() -> None:
    files = sorted(FILES.glob("*.k[tj][rb]"))
    result = CliRunner().invoke(main, [*map(str, files)])
    assert (result.exit_code, result.output) == (0, f"{len(files)} files, nothing wrong\n")
    assert {path.name for path in files} >= {SYNC, JOB, "read_window.ktr"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_small_mistake_is_found_and_said_where(mutant: Mutant, tmp_path: Path) -> None:
    path = mutant.write(tmp_path / "route")
    checked = path if path.suffix != ".properties" else path.with_name(JOB)
    result = CliRunner().invoke(main, [str(checked)])
    assert result.exit_code == 1
    said = [str(finding) for finding in check(checked) if finding.where == mutant.where]
    assert [line for line in said if mutant.sentence in line], result.output
    assert set(said) <= set(result.output.splitlines())


@pytest.mark.parametrize("text", ["", "<job", "<workflow/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_what_is_no_transformation_and_no_job_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.ktr"
    path.write_text(text)
    result = CliRunner().invoke(main, [str(path), str(tmp_path / "nowhere.kjb")])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 2, result.output
    assert "Traceback" not in result.output


def test_a_way_out_that_the_checker_misses_loses_rows_at_exit_0(
    live_core: LiveCore, base: Base, origin: str, tmp_path: Path
) -> None:
    lost = next(each for each in MUTANTS if each.sentence == "such rows are lost")
    job = lost.write(tmp_path / "route").with_name(JOB)
    base.fill(range(3))
    route = Pentaho(live_core, tmp_path, base, origin, job=job)
    reader = {"username": f"reader_{origin}", "password": "a long password", "role": "reader"}
    live_core.call("POST", "/users", reader, live_core.log_in("admin", live_core.admin_password))
    ran = replace(route, username=reader["username"], password=reader["password"]).run()
    assert (ran.code, synced(live_core, origin)) == (0, {})


def test_a_header_from_before_the_batch_is_missing_in_the_last_one(
    live_core: LiveCore, base: Base, origin: str, tmp_path: Path
) -> None:
    before = Mutant(SYNC, "", "<to>Batch</to>", "<to>Token</to>", "", "")
    path = before.write(tmp_path / "route")
    text = path.read_text().replace("<send_true_to>Batch</send_true_to>", "<send_true_to>Token</send_true_to>")
    for source, target, other in [("Batch", "Token", "Number batches"), ("Token", "Number batches", "Batch")]:
        old = f"<from>{source}</from>\n      <to>{target}</to>"
        text = text.replace(old, f"<from>{source}</from>\n      <to>{other}</to>")
    path.write_text(text)
    said = [str(finding) for finding in check(path)]
    assert any("'authorization', which is null in the last batch" in line for line in said), said
    base.fill(range(25))
    ran = Pentaho(live_core, tmp_path, base, origin, job=path.with_name(JOB), more={"BATCH_SIZE": "10"}).run()
    assert (ran.code, "status = 401" in ran.told) == (1, True), ran.told
    assert len(synced(live_core, origin)) == 20
