"""Why a route stops: each reason is a sentence for a person and an exit code for a scheduler."""

ROWS_PARKED = 3
DIFFERENCES_FOUND = 4


class Stop(Exception):
    """The base of all reasons; the text is one plain sentence without secrets."""

    exit_code = 1


class Misconfigured(Stop):
    """An option, the mapping, a URL or the environment is wrong: nobody needs to try again before it is changed."""

    exit_code = 2


class Away(Stop):
    """Something is away that comes back by itself."""


class SourceAway(Away):
    """Base A cannot be read at the moment."""

    exit_code = 5


class CoreAway(Away):
    """The core did not answer, or not usably, for as long as was waited."""

    exit_code = 6


class CoreRefused(Stop):
    """The core knows the caller not, or does not let him do it."""

    exit_code = 7


class AlreadyRunning(Stop):
    """Another copy works on the same origin."""

    exit_code = 8
