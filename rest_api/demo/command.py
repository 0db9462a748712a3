"""Makes the demo data and shows how to use it."""

import click
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session
from tqdm import tqdm

from rest_api.demo.people import Login, add_people, is_peopled, make_logins
from rest_api.demo.plan import PLACES, Plan
from rest_api.settings import Settings


def make_demo(settings: Settings, session: Session, seed: int) -> None:
    """Make what is missing, with a progress bar; the users' passwords are shown this once."""
    has_people = _look_for_people(session)
    if not all((settings.data_dir / place).exists() for place in PLACES):
        _make_files(settings, seed)
    if has_people:
        return
    plan = Plan.kept_in(settings.data_dir, seed)
    logins = make_logins()
    add_people(session, logins, plan.seed, plan.until)
    _govern(session, settings)
    session.commit()
    _show(logins)


def _look_for_people(session: Session) -> bool:
    try:
        return is_peopled(session)
    except (OperationalError, ProgrammingError) as error:
        raise click.ClickException("the database is not ready; see DATABASE_URL, then run migrate") from error
    finally:
        session.rollback()  # no lock is held while files are built and passwords hashed


def _make_files(settings: Settings, seed: int) -> None:
    from rest_api.demo.build import DemoFiles  # its drivers take a second to load

    try:
        files = DemoFiles(settings.data_dir, Plan.kept_in(settings.data_dir, seed))
        with tqdm(total=files.steps(), desc="demo data", unit=" rows", unit_scale=True, leave=True) as bar:
            files.build(bar.update)
    except OSError as error:
        raise click.ClickException(f"the demo data cannot be written: {error.strerror or error}") from error


def _govern(session: Session, settings: Settings) -> None:
    from rest_api.demo.governance import govern  # its drivers take a second to load

    govern(session, settings.lake_dir)


def _show(logins: list[Login]) -> None:
    for login in logins:
        click.echo(f"{login.role + ':':<8} {login.username:<6} password: {login.password}")
