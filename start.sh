#!/usr/bin/env bash
# Set Lakeport up and run it; ./start.sh --help says how.
set -euo pipefail
export LAKEPORT_CALLED_FROM=$PWD
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
. launcher/environment.sh
install_packages requirements.txt
exec .venv/bin/python -m launcher "$@"
