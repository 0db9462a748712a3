#!/usr/bin/env bash
# Check everything and run all tests. ./test.sh PATH… gives its arguments to pytest and skips the rest.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
. launcher/environment.sh
install_packages requirements-dev.txt
export PATH="$PWD/.venv/bin:$PATH"
python -m launcher.web_assets
python -m tests.npm.install
python -m tests.integration.jars
if [ $# -gt 0 ]; then
  exec python -m pytest "$@"
fi
ruff check .
ruff format --check .
mypy
lint-imports
python -m pytest -n 2 --cov --cov-report=term
