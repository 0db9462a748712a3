"""Commands of an operator: `python -m rest_api.cli COMMAND`."""

import os
import re
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
from dotenv import dotenv_values, set_key
from flask_migrate import revision, upgrade
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from rest_api.database import create_engine_for, utc_now
from rest_api.errors import Refusal
from rest_api.observability import configure_logging
from rest_api.services import events, relays, users
from rest_api.services.passwords import MIN_PASSWORD_CHARACTERS, generate_password, hash_password
from rest_api.settings import Settings, SettingsError

DOTENV = Path(".env")
KEPT_SIGNING_KEYS = 3


def load_settings() -> Settings:
    """The settings, or one line per mistake and exit code 2."""
    try:
        return Settings.load(os.environ, DOTENV)
    except SettingsError as error:
        for mistake in error.mistakes:
            click.echo(f"setting {mistake}", err=True)
        sys.exit(2)


@click.group()
def main() -> None:
    """Operate Lakeport's core."""


@main.command("init-env")
def init_env() -> None:
    """Write .env (mode 0600) with random secrets; what is there is kept."""
    if not DOTENV.exists():
        DOTENV.touch(mode=0o600)
    DOTENV.chmod(0o600)
    known = dotenv_values(DOTENV)
    for name, make in NEW_SECRETS.items():
        if not known.get(name):
            set_key(DOTENV, name, make(), quote_mode="never")


@main.command()
def check() -> None:
    """Read the settings and say what is wrong with them."""
    load_settings()
    click.echo("settings are fine")


@main.command()
def migrate() -> None:
    """Bring the database to the newest migration."""
    settings = load_settings()
    configure_logging("WARNING")
    _make_folders(settings)
    from rest_api.app import MIGRATIONS, build_app

    app, *_ = build_app(settings)
    try:
        with app.app_context():
            upgrade(directory=str(MIGRATIONS))
    except OperationalError as error:
        raise click.ClickException("the database cannot be reached; see DATABASE_URL") from error


@main.command("new-migration")
@click.argument("message")
def new_migration(message: str) -> None:
    """Write a migration from what the models say to the database that is there."""
    settings = load_settings()
    from rest_api.app import MIGRATIONS, build_app

    app, *_ = build_app(settings)
    with app.app_context():
        revision(directory=str(MIGRATIONS), message=message, autogenerate=True)


@main.command("create-admin")
def create_admin() -> None:
    """Create the first administrator, unless there are users; a generated password is shown this once."""
    settings = load_settings()
    password = settings.admin_password or generate_password()
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise click.ClickException(f"ADMIN_PASSWORD needs at least {MIN_PASSWORD_CHARACTERS} characters")
    with _session(settings) as session:
        if users.count_users(session) > 0:
            return
        users.create_user(session, "admin", hash_password(password), "admin")
        session.commit()
    shown = "as given in ADMIN_PASSWORD" if settings.admin_password else password
    click.echo(f"administrator: admin   password: {shown}")


@main.command("set-up")
@click.pass_context
def set_up(context: click.Context) -> None:
    """Do init-env, migrate and create-admin in one process, as every start does."""
    for command in (init_env, migrate, create_admin):
        context.invoke(command)


@main.command("create-user")
@click.argument("username")
@click.option("--role", type=click.Choice(["reader", "editor", "admin"]), default="reader", show_default=True)
def create_user(username: str, role: str) -> None:
    """Create a user with a generated password, shown this once."""
    settings = load_settings()
    password = generate_password()
    try:
        with _session(settings) as session:
            users.create_user(session, username, hash_password(password), role)
            session.commit()
    except Refusal as refusal:
        raise click.ClickException(refusal.detail) from refusal
    click.echo(f"{role}: {username}   password: {password}")


@main.command()
@click.option("--seed", default=7, show_default=True, help="other numbers, other data")
def demo(seed: int) -> None:
    """Make the demo data that is missing; the users' passwords are shown this once."""
    settings = load_settings()
    from rest_api.demo.command import make_demo

    with _session(settings) as session:
        make_demo(settings, session, seed)


@main.command("rotate-signing-key")
def rotate_signing_key() -> None:
    """Put a new signing key first in .env; tokens signed with the newest old ones stay valid. Restart to use it."""
    known = dotenv_values(DOTENV).get("JWT_SECRETS") or ""
    keys = [new_signing_key(), *filter(None, known.split(","))][:KEPT_SIGNING_KEYS]
    set_key(DOTENV, "JWT_SECRETS", ",".join(keys), quote_mode="never")
    DOTENV.chmod(0o600)
    click.echo(f"new tokens are signed with {keys[0].split(':')[0]} after the next start")


@main.command()
@click.option("--from", "begin", required=True, metavar="SEQUENCE|TIME", help="first event, or time of the first event")
@click.option("--topic", "topics", multiple=True, help="only to this topic; without it to all lakeport.*")
def relay(begin: str, topics: tuple[str, ...]) -> None:
    """Have the worker publish again what was sent since; who reads knows it by its event-id."""
    settings = load_settings()
    if not settings.event_brokers:
        raise click.ClickException("EVENTS_URL names no brokers, so nothing is published")
    streams = {each.topic: each for each in relays.STREAMS}
    unknown = set(topics) - streams.keys()
    if unknown:
        raise click.ClickException(f"nothing is published to {min(unknown)}; expected one of {', '.join(streams)}")
    first = _place(begin)
    with create_engine_for(settings.database_url).begin() as connection:
        for topic in topics or [each for each in streams if each.startswith("lakeport.")]:
            click.echo(f"{topic}: again from {streams[topic].rewind(connection, first)}")


def _place(begin: str) -> int | datetime:
    """A sequence, or a time; one without a zone is UTC."""
    if re.fullmatch("[0-9]{1,18}", begin):
        return int(begin)
    try:
        at = datetime.fromisoformat(begin)
    except ValueError as error:
        raise click.ClickException("--from takes a sequence or a time such as 2026-11-01T00:00:00Z") from error
    return at.replace(tzinfo=at.tzinfo or UTC)


def new_signing_key() -> str:
    """A new `kid:secret`, the kid telling when it was made."""
    return f"{utc_now():%Y%m%dT%H%M%S}{secrets.token_hex(2)}:{secrets.token_urlsafe(48)}"


NEW_SECRETS: dict[str, Callable[[], str]] = {
    "JWT_SECRETS": new_signing_key,
    "AUDIT_KEY": lambda: secrets.token_urlsafe(48),
    "MASK_KEY": lambda: secrets.token_urlsafe(48),
    "CURSOR_KEY": lambda: secrets.token_urlsafe(48),
}


def _make_folders(settings: Settings) -> None:
    for folder in (settings.data_dir, settings.heads_dir, settings.data_dir / "lake"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _session(settings: Settings) -> Session:
    session = Session(create_engine_for(settings.database_url), expire_on_commit=False)
    events.install(session)
    return session


if __name__ == "__main__":
    main()
