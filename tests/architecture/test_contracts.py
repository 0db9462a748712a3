"""The import contracts of pyproject.toml hold, and each of them breaks when it is violated."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract["name"] for contract in CONFIGURATION["contracts"]}
# Where a line is added, the line, and the contract that must break.
VIOLATIONS = [
    ("rest_api/errors.py", "import rest_api.models", "layers"),
    ("rest_api/models/article.py", "import rest_api.services.events", "layers"),
    ("rest_api/services/articles.py", "import rest_api.limits", "layers"),
    ("rest_api/auth.py", "import rest_api.problems", "layers"),
    ("rest_api/services/jobs.py", "import rest_api.tasks", "layers"),
    ("rest_api/tasks/purge.py", "import rest_api.limits", "layers"),
    ("rest_api/door.py", "import rest_api.resources.articles", "layers"),
    ("rest_api/resources/articles.py", "import rest_api.app", "layers"),
    ("rest_api/app.py", "import rest_api.cli", "layers"),
    ("rest_api/unplaced.py", "", "layers"),
    ("rest_api/services/articles.py", "from flask import g", "web"),
    ("rest_api/query/values.py", "import werkzeug", "web"),
    ("rest_api/models/article.py", "import flask_sqlalchemy", "web"),
    ("graphql_gateway/types/article.py", "from rest_api import errors", "clients"),
    ("launcher/setup.py", "import rest_api.settings", "clients"),
    ("launcher/setup.py", "import graphql_gateway.settings", "clients"),
    ("rest_api/openapi.py", "import launcher.options", "clients"),
    ("integration/sources.py", "import rest_api.models", "clients"),
    ("launcher/setup.py", "import integration.rows", "clients"),
    ("graphql_gateway/health.py", "import requests", "requests"),
    ("integration/sources.py", "import requests", "requests"),
    ("rest_api/services/events.py", "from requests import Session", "requests"),
    ("integration/delivery.py", "from kafka import KafkaProducer", "kafka"),
    ("rest_api/services/publishing.py", "from kafka import KafkaProducer", "kafka"),
    ("rest_api/cli.py", "from deltalake import DeltaTable", "lake-drivers"),
    ("launcher/setup.py", "import pyarrow.parquet", "lake-drivers"),
    ("rest_api/database.py", "import psycopg", "database-drivers"),
]


def broken_contracts(folder: Path) -> set[str]:
    """The names of the contracts that the packages in a folder break."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE))
    assert set(verdicts) == set(CONTRACTS.values()), done.stdout + done.stderr
    return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A copy of everything that the contracts speak of."""
    for package in CONFIGURATION["root_packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(packages: Path) -> None:
    assert broken_contracts(packages) == set()


@pytest.mark.parametrize(("path", "line", "contract"), VIOLATIONS)
def test_a_violation_breaks_its_contract_and_no_other(packages: Path, path: str, line: str, contract: str) -> None:
    with (packages / path).open("a") as module:
        module.write(f"\n{line}\n")
    assert broken_contracts(packages) == {CONTRACTS[contract]}


def test_every_contract_has_a_violation_that_breaks_it() -> None:
    assert {contract for _, _, contract in VIOLATIONS} == set(CONTRACTS)
