"""When things happen: times over the last 90 days with the rhythm of days and weeks, and a busy last hour."""

from datetime import datetime, timedelta

from rest_api.demo.randomness import cumulative, stream

DAYS = 90
LAST_HOUR = 600
"""How many of the transactions fall into the last hour, so that a figure of five minutes has something to show."""
LATEST = timedelta(seconds=3)
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 11, 13, 12, 10, 9, 10, 12, 15, 18, 19, 16, 10, 5)
WEEKDAY_WEIGHTS = (9, 9, 9, 10, 12, 15, 13)


def make_moments(seed: int, until: datetime, count: int) -> list[datetime]:
    """`count` ascending times in UTC, the last one three seconds before `until`."""
    random = stream(seed, "moments")
    begin = until - timedelta(days=DAYS)
    hours = [begin + timedelta(hours=n) for n in range(DAYS * 24 - 1)]
    starts = random.choices(hours, cum_weights=cumulative([_busy(hour, begin) for hour in hours]), k=count - LAST_HOUR)
    moments = [start + timedelta(microseconds=random.randrange(3_600_000_000)) for start in starts]
    seconds = 3_600 - LATEST.total_seconds()
    moments += [until - LATEST - timedelta(seconds=random.random() * seconds) for _ in range(LAST_HOUR - 1)]
    return [*sorted(moments), until - LATEST]


def _busy(hour: datetime, begin: datetime) -> float:
    growth = 1 + (hour - begin) / timedelta(days=DAYS) / 2
    return HOUR_WEIGHTS[hour.hour] * WEEKDAY_WEIGHTS[hour.weekday()] * growth
