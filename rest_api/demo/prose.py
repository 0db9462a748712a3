"""Short articles that read like articles: a subject, an occasion, a few paragraphs that hang together."""

from dataclasses import dataclass
from random import Random

PLACES = (
    "the northern lake", "the reservoir", "the old harbour", "the river mouth", "the upland bog", "the salt marsh",
    "the mill pond", "the flood plain", "the mountain lake", "the canal basin", "the quarry lake", "the delta",
)  # fmt: skip
MATTERS = (
    ("water levels", "gauge", "centimetres", "higher"),
    ("water temperature", "buoy", "tenths of a degree", "warmer"),
    ("the reed beds", "survey plot", "square metres", "wider"),
    ("visiting swans", "count", "birds", "more numerous"),
    ("the algae bloom", "sample", "micrograms a litre", "denser"),
    ("oxygen near the bottom", "probe", "milligrams a litre", "richer"),
    ("the ice cover", "bore hole", "centimetres", "thicker"),
    ("the pike population", "net", "fish", "larger"),
    ("boat traffic", "lock register", "boats a day", "heavier"),
    ("the water's clarity", "white disc", "centimetres", "clearer"),
)
SEASONS = ("spring", "early summer", "a dry August", "autumn", "the first frost", "midwinter", "the thaw")
TITLES = (
    "{Matter} at {place} after {season}",
    "What {season} did to {place}",
    "Notes from {place}: {matter}",
    "Counting again: {matter} in {season}",
    "{Place} in {season}, measured",
    "Why {matter} surprised us at {place}",
)
OPENINGS = (
    "We went out to {place} twice a week through {season}, always before eight.",
    "Nobody had looked at {matter} here for some years, so {season} seemed a good time to begin.",
    "The {instrument} at {place} has been read by hand since {year}, and {season} gave it something to say.",
    "This began with a question from a reader who walks along {place} every day.",
)
FINDINGS = (
    "The mean over {days} days was {value} {unit}, which makes it {comparison} than in {year}.",
    "Between the first and the last reading lay {value} {unit}; the {instrument} was checked on both days.",
    "On {days} of the days the {instrument} agreed with the one across the water to within {small} {unit}.",
    "Set beside {year}, {matter} came out {comparison}, by {value} {unit}.",
)
DOUBTS = (
    "The wind was from the west for most of it, and that alone explains a part.",
    "Two readings are missing because the path was under water.",
    "One {instrument} is not many. We would like a second one before we call it a trend.",
    "An earlier note gave a larger figure; it had counted the same morning twice.",
)
ENDINGS = (
    "The readings are open to everybody; write to us if yours say something else.",
    "We shall look again after the next full season.",
    "If you pass {place}, look at the far bank: it shows there first.",
    "The table with every reading is kept with this article.",
)


@dataclass(frozen=True)
class Draft:
    """An article before it is anybody's."""

    title: str
    content: str


def write_drafts(random: Random, count: int) -> list[Draft]:
    """So many drafts; titles that would come twice are numbered."""
    drafts, seen = [], dict[str, int]()
    for _ in range(count):
        draft = _write(random)
        seen[draft.title] = seen.get(draft.title, 0) + 1
        number = seen[draft.title]
        drafts.append(draft if number == 1 else Draft(f"{draft.title} ({number})", draft.content))
    return drafts


def _write(random: Random) -> Draft:
    matter, instrument, unit, comparison = random.choice(MATTERS)
    place = random.choice(PLACES)
    words = {
        "matter": matter,
        "Matter": matter[0].upper() + matter[1:],
        "place": place,
        "Place": place[0].upper() + place[1:],
        "season": random.choice(SEASONS),
        "instrument": instrument,
        "unit": unit,
        "comparison": comparison,
        "year": random.randrange(1962, 2021),
        "days": random.randrange(9, 60),
        "value": random.randrange(11, 480),
        "small": random.randrange(2, 9),
    }
    first = f"{random.choice(OPENINGS)} {random.choice(FINDINGS)}"
    second = f"{random.choice(FINDINGS)} {random.choice(DOUBTS)}"
    body = "\n\n".join((first, second, random.choice(ENDINGS)))
    return Draft(random.choice(TITLES).format(**words), body.format(**words))
