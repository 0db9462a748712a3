# Sourced by start.sh and test.sh, in the project's folder: a Python 3.11 or newer, and .venv with pinned packages.

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  return 1
}

is_installed() {
  cat requirements.txt "$1" | cmp -s - ".venv/installed-$1" 2>/dev/null
}

# install_packages FILE: nothing to do when .venv was filled from just this file, or from the tests' file, which has more.
install_packages() {
  local file=$1 python
  if .venv/bin/python -c '' >/dev/null 2>&1 && { is_installed "$file" || is_installed requirements-dev.txt; }; then
    return
  fi
  python=$(find_python) || die "Python 3.11 or newer is needed and was not found (python3 here: $(python3 --version 2>&1 || true))"
  [ -w . ] || die "cannot write to $PWD, where .venv and .env are to be made"
  if ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    "$python" -m venv --clear .venv >/dev/null || die "cannot make .venv; on Debian: apt-get install python3-venv"
  fi
  say "Installing the packages of $file into .venv (a minute or two, this once) …"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r "$file" \
    || die "the packages cannot be installed; what pip said is above"
  cat requirements.txt "$file" > ".venv/installed-$file"
}
