"""Check the gateway's settings: `python -m graphql_gateway`."""

import os
import sys
from pathlib import Path

from graphql_gateway.limits import Limits
from graphql_gateway.persisted import persisted_documents
from graphql_gateway.settings import Settings, SettingsError


def main() -> int:
    """Say what is wrong with the settings, one line each; 2 when something is."""
    try:
        settings = Settings.load(os.environ, Path(".env"))
        persisted_documents(settings, Limits.of(settings))
    except SettingsError as error:
        sys.stderr.writelines(f"setting {mistake}\n" for mistake in error.mistakes)
        return 2
    sys.stdout.write("settings are fine\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
