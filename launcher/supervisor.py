"""Keep the services running: lines prefixed and kept, restarts after a death, an end that leaves nobody."""

import logging
import os
import queue
import shlex
import shutil
import signal
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from honcho.colour import get_colours
from honcho.printer import Message, Printer
from honcho.process import Process

from launcher.checks import CannotStart
from launcher.services import Service
from launcher.stopping import StopSwitch

READY_SECONDS = 60.0
PUMP_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0
TERM_SECONDS = 3.5
KILL_SECONDS = 1.0
LOG_BYTES = 10 * 1024 * 1024
LOG_FILES = 3


def restart_delay_seconds(deaths: int) -> float:
    """How long to wait after so many deaths in a row: 1, 2, 4 … and at most 30 seconds."""
    return float(min(2 ** min(deaths - 1, 10), LONGEST_DELAY_SECONDS))


@dataclass
class Run:
    """One life of a service after another; `pid` is its process and the group of all that it starts."""

    service: Service
    colour: str
    log: RotatingFileHandler
    pid: int | None = None
    is_running: bool = False
    is_told_to_end: bool = False
    deaths: int = 0
    started_at: float = 0.0
    restart_at: float | None = None


class Supervisor:
    """Runs services, each by a honcho process on a thread, in a session of its own."""

    def __init__(self, services: list[Service], home: Path, logs_dir: Path) -> None:
        logs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        colours = get_colours()
        self._home = home
        self._logs_dir = logs_dir
        self._events: queue.Queue[Message] = queue.Queue()
        self._printer = Printer(width=max(len(service.name) for service in services))
        self._runs = {service.name: Run(service, next(colours), _log_file(logs_dir, service)) for service in services}
        self._is_stopping = False

    def start(self, stop: StopSwitch) -> None:
        """Start everything and wait until it answers. Raises CannotStart, or Stopped."""
        for run in self._runs.values():
            self._launch(run)
        deadline = time.monotonic() + READY_SECONDS
        waiting = list(self._runs.values())
        while waiting:
            stop.check()
            self._pump()
            waiting = [run for run in waiting if not self._is_ready(run)]
            if waiting and time.monotonic() > deadline:
                raise CannotStart(
                    f"{waiting[0].service.name} is not ready after {READY_SECONDS:.0f} s; {self._see(waiting[0])}"
                )

    def keep_running(self, stop: StopSwitch) -> None:
        """Pass lines on and restart what dies, until Stopped is raised."""
        while True:
            stop.check()
            self._pump()
            for run in self._runs.values():
                if run.restart_at is not None and time.monotonic() >= run.restart_at:
                    self._launch(run)

    def stop(self) -> None:
        """End everything within five seconds: asked first, then killed with all that it started."""
        self._is_stopping = True
        deadline = time.monotonic() + TERM_SECONDS
        while self._is_any_running() and time.monotonic() < deadline:
            for run in self._runs.values():
                _ask_to_end(run)
            self._pump()
        for run in self._runs.values():
            _kill_group(run)
        deadline = time.monotonic() + KILL_SECONDS
        while self._is_any_running() and time.monotonic() < deadline:
            self._pump()
        for run in self._runs.values():
            run.log.close()

    def _launch(self, run: Run) -> None:
        run.is_running, run.pid, run.restart_at = True, None, None
        run.started_at = time.monotonic()
        process = Process(
            _shell_command(run.service.command),
            name=run.service.name,
            colour=run.colour,
            env=run.service.environment,
            cwd=str(self._home),
        )
        threading.Thread(target=process.run, args=(self._events,), name=run.service.name, daemon=True).start()

    def _pump(self) -> None:
        """Take in what happened, waiting a moment for it."""
        for run in self._runs.values():
            if run.is_running and _is_leader_dead(run):
                # The children of a killed server keep its port and its pipe: they must go before it can come again.
                _kill_group(run)
        try:
            message = self._events.get(timeout=PUMP_SECONDS)
            while True:
                self._take(message)
                message = self._events.get_nowait()
        except queue.Empty:
            return

    def _take(self, message: Message) -> None:
        run = self._runs[message.name]
        if message.type == "start":
            run.pid = message.data["pid"]
        elif message.type == "line":
            self._write(run, message)
        else:
            self._note_end(run, message.data["returncode"])

    def _write(self, run: Run, message: Message) -> None:
        run.log.emit(logging.makeLogRecord({"msg": message.data.decode(errors="replace").rstrip("\n")}))
        # The terminal may be gone when we stop; nothing may keep us from stopping.
        if not self._is_stopping:
            self._printer.write(message)

    def _note_end(self, run: Run, code: int) -> None:
        _kill_group(run)
        run.is_running, run.pid = False, None
        if self._is_stopping:
            return
        was_steady = time.monotonic() - run.started_at > STEADY_SECONDS
        run.deaths = 1 if was_steady else run.deaths + 1
        delay = restart_delay_seconds(run.deaths)
        run.restart_at = time.monotonic() + delay
        print(f"{run.service.name} ended ({_how(code)}); starting it again in {delay:.0f} s", flush=True)

    def _is_ready(self, run: Run) -> bool:
        if not run.is_running:
            if run.service.is_essential:
                raise CannotStart(f"{run.service.name} ended while it started; {self._see(run)}")
            return True
        return run.service.ready_url is None or _answers(run.service.ready_url)

    def _is_any_running(self) -> bool:
        return any(run.is_running for run in self._runs.values())

    def _see(self, run: Run) -> str:
        return f"see its lines above and in {self._logs_dir / run.service.name}.log"


def _log_file(logs_dir: Path, service: Service) -> RotatingFileHandler:
    return RotatingFileHandler(
        logs_dir / f"{service.name}.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", errors="replace"
    )


def _shell_command(command: tuple[str, ...]) -> str:
    """For honcho's shell, which the program replaces; where Linux can, it ends with us even if we are killed."""
    dying_with_us = ("setpriv", "--pdeathsig=TERM") if shutil.which("setpriv") else ()
    return f"exec {shlex.join([*dying_with_us, *command])}"


def _is_leader_dead(run: Run) -> bool:
    """Whether the process has ended, leaving it for its thread to wait for."""
    if run.pid is None:
        return False
    try:
        return os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _ask_to_end(run: Run) -> None:
    if run.is_running and run.pid is not None and not run.is_told_to_end:
        run.is_told_to_end = True
        try:
            os.kill(run.pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def _kill_group(run: Run) -> None:
    if run.pid is None:
        return
    try:
        os.killpg(run.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _answers(url: str) -> bool:
    """Whether a server says it is ready; a refusal of a caller without a token is an answer too."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except OSError:
        return False


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
