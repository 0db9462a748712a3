"""Settings: read once, checked all at once, and never shown."""

from pathlib import Path

import pytest

from rest_api.settings import Settings, SettingsError

SECRETS = {
    "JWT_SECRETS": "k1:" + "a" * 40,
    "AUDIT_KEY": "b" * 40,
    "MASK_KEY": "c" * 40,
    "CURSOR_KEY": "d" * 40,
}

PASSWORDS = {
    "DATABASE_URL": "postgresql://u:hush@h/d",
    "EVENTS_SSL_PASSWORD": "hush",
    "EVENTS_SASL_PASSWORD": "hush",
}


def mistakes(**more: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.load({**SECRETS, **more})
    return caught.value.mistakes


def test_all_mistakes_are_told_at_once_each_with_its_name() -> None:
    found = mistakes(AUDIT_KEY="short", JOB_LEASE_SECONDS="soon", TRUSTED_PROXIES="somewhere", LAKE_SQL_TABLES="users")
    assert [mistake.split(":")[0] for mistake in found] == [
        "AUDIT_KEY",
        "TRUSTED_PROXIES",
        "LAKE_SQL_TABLES",
        "JOB_LEASE_SECONDS",
    ]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("EVENTS_URL", "kafka://localhost", "kafka://host:port"),
        ("EVENTS_URL", "kafka://localhost:9092,", "kafka://host:port"),
        ("EVENTS_URL", "kafka://localhost:99999", "kafka://host:port"),
        ("EVENTS_URL", "kafka://localhost:9092/topic", "nothing after"),
        ("EVENTS_URL", "kafka://name:secret@localhost:9092", "EVENTS_SASL_USERNAME"),
        ("EVENTS_URL", "kafak://localhost:9092", "did you mean kafka://"),
        ("EVENTS_SSL_CAFILE", "/nowhere/ca.pem", "no such file"),
        ("EVENTS_SASL_MECHANISM", "GSSAPI", "SCRAM-SHA-512"),
        ("STORAGE_URL", "s3://bucket", "not in this release"),
        ("DATABASE_URL", "postgres://localhost/x", "did you mean postgresql://"),
        ("DATABASE_URL", "nonsense", "expected"),
        ("JWT_SECRETS", "nokid", "kid:secret"),
        ("JWT_SECRETS", "a:" + "x" * 40 + ",a:" + "y" * 40, "every kid once"),
        ("LOG_LEVEL", "LOUD", "INFO"),
    ],
)
def test_a_mistake_says_what_is_expected(name: str, value: str, word: str) -> None:
    assert any(mistake.startswith(name) and word in mistake for mistake in mistakes(**{name: value}))


def test_a_broker_that_asks_for_a_login_needs_all_of_it() -> None:
    found = mistakes(EVENTS_SECURITY_PROTOCOL="SASL_SSL", EVENTS_SASL_USERNAME="lakeport")
    assert [mistake.split(":")[0] for mistake in found] == ["EVENTS_SASL_MECHANISM", "EVENTS_SASL_PASSWORD"]


def test_a_wrong_url_of_the_event_log_is_not_shown() -> None:
    assert "hush" not in " ".join(mistakes(EVENTS_URL="kafka://lakeport:hush@broker:9092"))


@pytest.mark.parametrize(
    ("url", "brokers"),
    [
        ("", ()),
        ("outbox://", ()),
        ("kafka://broker:9092", ("broker:9092",)),
        ("kafka://10.0.0.1:9092,[::1]:9093/", ("10.0.0.1:9092", "[::1]:9093")),
    ],
)
def test_the_url_of_the_event_log_names_its_brokers(url: str, brokers: tuple[str, ...]) -> None:
    assert Settings.load({**SECRETS, "EVENTS_URL": url}).event_brokers == brokers


def test_a_missing_secret_is_told() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({})
    assert {mistake.split(":")[0] for mistake in caught.value.mistakes} == set(SECRETS)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("LOG_LEVEL=DEBUG\nJOB_LEASE_SECONDS=7\n")
    settings = Settings.load({**SECRETS, "LOG_LEVEL": "ERROR"}, dotenv)
    assert (settings.log_level, settings.job_lease_seconds) == ("ERROR", 7)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    shown = repr(Settings.load({**SECRETS, "ADMIN_PASSWORD": "e" * 40, **PASSWORDS}))
    assert not any(letter * 40 in shown for letter in "abcde")
    assert "hush" not in shown
