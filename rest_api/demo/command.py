"""Makes the demo data and shows how to use it."""

import click
from sqlalchemy.orm import Session
from tqdm import tqdm

from rest_api.demo.people import Login, add_people, is_peopled, make_logins
from rest_api.demo.plan import PLACES, Plan
from rest_api.settings import Settings


def make_demo(settings: Settings, session: Session, seed: int) -> None:
    """Make what is missing, with a progress bar; the users' passwords are shown this once."""
    if not all((settings.data_dir / place).exists() for place in PLACES):
        _make_files(settings, seed)
    if is_peopled(session):
        return
    plan = Plan.kept_in(settings.data_dir, seed)
    logins = make_logins()
    add_people(session, logins, plan.seed, plan.until)
    session.commit()
    _show(logins)


def _make_files(settings: Settings, seed: int) -> None:
    from rest_api.demo.build import DemoFiles  # its drivers take a second to load

    files = DemoFiles(settings.data_dir, Plan.kept_in(settings.data_dir, seed))
    with tqdm(total=files.steps(), desc="demo data", unit=" rows", unit_scale=True, leave=True) as bar:
        files.build(bar.update)


def _show(logins: list[Login]) -> None:
    for login in logins:
        click.echo(f"{login.role + ':':<8} {login.username:<6} password: {login.password}")
