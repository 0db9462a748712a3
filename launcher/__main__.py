"""`python -m launcher`, called by `./start.sh` once the packages are there."""

import os
import sys
from pathlib import Path

from launcher import checks
from launcher.checks import CannotStart
from launcher.greeting import greet
from launcher.installation import Installation
from launcher.monitoring import find_prometheus
from launcher.options import Options, parse
from launcher.services import services
from launcher.setup import set_up
from launcher.stopping import Stopped, StopSwitch
from launcher.supervisor import Supervisor


def main() -> int:
    """Run Lakeport until somebody stops it: 0. What keeps it from starting is one sentence: 1."""
    options = parse()
    stop = StopSwitch()
    stop.install()
    try:
        run(options, stop)
    except CannotStart as refusal:
        print(f"start.sh: {refusal}", file=sys.stderr)
        return 1
    except Stopped:
        print("Lakeport has stopped.")
    return 0


def run(options: Options, stop: StopSwitch) -> None:
    """Check, set up and keep running. Raises CannotStart, or Stopped in the end."""
    installation = Installation.of(options, Path.cwd(), os.environ)
    os.umask(0o077)
    checks.make_writable(installation.data_dir)
    with checks.lock(installation.data_dir):
        _check_ports(installation)
        passwords = set_up(installation, stop, with_demo=options.with_demo)
        program, line = find_prometheus(installation.prometheus_port)
        print(line, flush=True)
        supervisor = Supervisor(services(installation, program), installation.home, installation.logs_dir)
        try:
            supervisor.start(stop)
            print(
                greet(installation, passwords, has_prometheus=bool(program), is_plain=not sys.stdout.isatty()),
                flush=True,
            )
            supervisor.keep_running(stop)
        finally:
            supervisor.stop()


def _check_ports(installation: Installation) -> None:
    checks.check_port(installation.address, installation.port, "--port")
    checks.check_port(installation.address, installation.gateway_port, "--gateway-port")
    if installation.worker_metrics_port:
        checks.check_port("127.0.0.1", installation.worker_metrics_port, "the setting WORKER_METRICS_PORT")


if __name__ == "__main__":
    sys.exit(main())
