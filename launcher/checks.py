"""What must hold before anything starts; each refusal is one sentence that says what to do."""

import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CannotStart(Exception):
    """Why Lakeport does not start."""


def resolve_host(host: str) -> str:
    """The numeric address of a host of this machine. Raises CannotStart."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotStart(f"--host {host} is no address of this machine") from error
    return str(found[0][4][0])


def check_port(address: str, port: int, option: str) -> None:
    """Bind to the port and let it go again. Raises CannotStart naming the option that changes it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: connections that are still closing do not make a port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CannotStart(_why_not(error, address, port, option)) from error


def is_port_free(address: str, port: int) -> bool:
    """Whether we could listen there now."""
    try:
        check_port(address, port, "")
    except CannotStart:
        return False
    return True


def make_writable(folder: Path) -> None:
    """Make the folder, for us alone, and write into it. Raises CannotStart."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotStart(f"cannot write to {folder} ({error.strerror}); choose another with --data-dir") from error


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder against other starts; the system lets it go however we end. Raises CannotStart."""
    with (folder / "start.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise CannotStart(
                f"{folder} is in use by another start.sh (process {file.read().strip() or 'unknown'}); "
                "stop that one, or give another folder with --data-dir"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _why_not(error: OSError, address: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program; stop it, or choose another port with {option}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"this account may not listen on port {port}; choose another port with {option}"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
        return f"--host {address} is no address of this machine"
    return f"cannot listen on {address} port {port} ({error.strerror}); choose another port with {option}"
