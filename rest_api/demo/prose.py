"""Short articles that read like articles: a kind and a subject are drawn, then title and sentences."""

from dataclasses import dataclass
from random import Random

from rest_api.demo.phrases import KINDS, NAMES, NUMBERS, PLACES, SEASONS, WEEKDAYS, Kind
from rest_api.demo.subjects import SUBJECTS, Subject

MONTHS = ("November", "February")


@dataclass(frozen=True, slots=True)
class Draft:
    """An article before it has an author and a time."""

    title: str
    content: str


def write_drafts(random: Random, count: int) -> list[Draft]:
    """`count` drafts, no two with the same title."""
    drafts: dict[str, Draft] = {}
    while len(drafts) < count:
        draft = _write(random.choice(KINDS), random.choice(SUBJECTS), random)
        drafts.setdefault(draft.title, draft)
    return list(drafts.values())


def _write(kind: Kind, subject: Subject, random: Random) -> Draft:
    # Names and places stay the same throughout an article; the other words change from sentence to sentence.
    cast = _draw_cast(random)
    title = _fill(random.choice(kind.titles), subject, cast, random)
    paragraphs = [
        " ".join(_fill(sentence, subject, cast, random) for sentence in random.sample(sentences, count))
        for count, sentences in kind.paragraphs
    ]
    return Draft(title, "\n\n".join(paragraphs))


def _draw_cast(random: Random) -> dict[str, str]:
    season = random.choice(SEASONS)
    return {
        "name": random.choice(NAMES),
        "place": random.choice(PLACES),
        "weekday": random.choice(WEEKDAYS),
        "season": season,
        "season_low": season if season in MONTHS else season.lower(),
    }


def _fill(template: str, subject: Subject, cast: dict[str, str], random: Random) -> str:
    text = template.format(
        topic=subject.topic,
        people=subject.people,
        part=random.choice(subject.parts),
        tool=random.choice(subject.tools),
        trouble=random.choice(subject.troubles),
        cure=random.choice(subject.cures),
        number=random.choice(NUMBERS),
        **cast,
    )
    return text[0].upper() + text[1:]
