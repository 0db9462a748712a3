"""The kinds of demo article, and the sentences, names and places they are made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of article: titles to choose from, then for each paragraph how many of its sentences are drawn."""

    titles: tuple[str, ...]
    paragraphs: tuple[tuple[int, tuple[str, ...]], ...]


OPENINGS = (
    "It began with {trouble}.",
    "Most {people} in {place} can tell a story about {trouble}.",
    "{season} is the time when {topic} shows its difficult side.",
    "Ask {name}, who has spent {number} years on {topic}, and the answer is always the same: look at the {part} first.",
    "There are two sorts of {people}: those who have met {trouble}, and those who will.",
    "A visit to {place} changed how we think about {topic}.",
    "For {number} weeks we kept notes on {part}, and some of what we found surprised us.",
)
ADVICE = (
    "The first step is {cure}; it costs little and shows results within {number} days.",
    "Good {tool} help, but they do not replace attention.",
    "We would rather have {number} well-kept {part} than twice as many that nobody looks after.",
    "{name} suggests {cure} before buying new {tool}.",
    "What works in {place} need not work elsewhere, so try it on a few {part} first.",
    "If you can do only one thing this {season_low}, try {cure}.",
    "Beginners tend to watch the {tool}; experienced {people} watch the {part}.",
    "Nothing about {cure} is new, yet few {people} do it every week.",
    "Keep the {tool} where you use them, or they will not be used.",
)
EVIDENCE = (
    "Of {number} {people} we asked, more than half had given up on {tool} within a year.",
    "The difference was plain: fewer problems with {part}, and {number} hours saved a month.",
    "In {place} the same change took {number} months and one long argument.",
    "Not everything improved; {trouble} still costs us a day now and then.",
    "{name} measured it twice, because the first result looked too good.",
    "The notes from {place} agree with ours on {part}, but not on {tool}.",
    "We counted {number} cases in one {season_low}, nearly all of them avoidable.",
)
CLOSINGS = (
    "Next {season_low} we shall see whether it holds.",
    "It is not a cure for everything, but it is a beginning.",
    "If you have tried something better, write to us; {name} reads every letter.",
    "The {tool} can wait. Start with the {part}.",
    "In the end {topic} rewards patience more than talent.",
    "Until then, {people} in {place} will go on {cure}.",
    "We shall come back to {part} in a later article.",
)

KINDS = (
    Kind(
        (
            "{topic}: a beginner's guide to {part}",
            "How to look after {part} in {season_low}",
            "Getting started with {tool}",
            "A first year of {topic}",
            "{part} for people who are short of time",
        ),
        ((2, OPENINGS), (3, ADVICE), (1, CLOSINGS)),
    ),
    Kind(
        (
            "What {trouble} taught us about {topic}",
            "After {trouble}: notes from {place}",
            "The day we lost {number} {part}",
            "How {people} in {place} dealt with {trouble}",
        ),
        (
            (
                1,
                (
                    "It was a {weekday} in {season_low} when {name} noticed that something was wrong.",
                    "Nobody in {place} expected {trouble}, least of all on a {weekday}.",
                    "The trouble started small: {number} {part} that did not look right.",
                ),
            ),
            (
                2,
                (
                    "At first everyone blamed the {tool}.",
                    "Within {number} hours it was clear that this was {trouble}.",
                    "{name} stopped all other work and went through the {part} one by one.",
                    "Three things had gone wrong at once, and each of them alone would have been harmless.",
                    "The {tool} had shown it for days, but no one had looked.",
                ),
            ),
            (2, EVIDENCE),
            (
                2,
                (
                    "Since then the rule in {place} has been {cure}.",
                    "We now begin every {weekday} by {cure}.",
                    "Had we kept {cure}, it would have been a footnote.",
                    "The lesson is short: {cure} comes first.",
                ),
            ),
        ),
    ),
    Kind(
        (
            "A talk with {name} about {topic}",
            "{name}: “{cure} is half the work”",
            "{number} questions for {name} on {part}",
        ),
        (
            (
                1,
                (
                    "{name} has worked in {topic} for {number} years, most of them in {place}.",
                    "We met {name} in {place} on a rainy {weekday}, between two appointments.",
                ),
            ),
            (
                2,
                (
                    "How did it begin? “With {trouble}, like everything.”",
                    "What do people get wrong? “They buy {tool} before they understand {part}.”",
                    "Is it harder than it looks? “Only in {season_low}.”",
                    "What would you do differently? “I would start with {cure}.”",
                ),
            ),
            (
                2,
                (
                    "And the future? “Fewer {tool}, better {part}.”",
                    "Do you ever get bored? “Of {part}? Never.”",
                    "Any advice for young {people}? “Find someone in {place} who lets you make mistakes.”",
                    "One last word? “Mind the {part}; the rest follows.”",
                ),
            ),
        ),
    ),
    Kind(
        (
            "{part} or {tool}: where to spend first",
            "Is {cure} worth it?",
            "Two ways to think about {part}",
            "Why {people} disagree about {tool}",
        ),
        ((1, OPENINGS), (2, EVIDENCE), (2, ADVICE), (1, CLOSINGS)),
    ),
    Kind(
        (
            "Notes from {place}: {topic} in {season_low}",
            "A {weekday} among {people}",
            "{place} and its {part}",
            "News from {topic}: {season_low}",
        ),
        (
            (
                2,
                (
                    "In {place} the day begins early, with {tool} and strong coffee.",
                    "{number} {people} came to {place} this {season_low}, more than ever before.",
                    "You hear {place} before you see it: {people} talking about {part}.",
                    "The newest thing in {place} is an old one: {cure}.",
                ),
            ),
            (3, EVIDENCE),
            (1, CLOSINGS),
        ),
    ),
    Kind(
        (
            "A checklist for {topic} in {season_low}",
            "{number} small things that help with {part}",
            "Before you buy {tool}",
        ),
        ((1, OPENINGS), (4, ADVICE), (1, CLOSINGS)),
    ),
)

PLACES = (
    "Utrecht",
    "Porto",
    "Leipzig",
    "the valley",
    "Uppsala",
    "a village near Lyon",
    "Bologna",
    "the old harbour",
    "Gdańsk",
    "Galway",
    "Lucerne",
    "the north of Spain",
    "Tartu",
    "a suburb of Montréal",
    "Sapporo",
    "Aarhus",
)
NAMES = (
    "Amina Diallo",
    "Tomasz Nowak",
    "Clara Weiss",
    "João Ferreira",
    "Ingrid Dahl",
    "Marco Rinaldi",
    "Yuki Tanaka",
    "Sofie Jansen",
    "Ravi Menon",
    "Eleanor Byrne",
    "Luc Moreau",
    "Hana Novotná",
    "Mateo Ibáñez",
    "Greta Lindholm",
    "Samuel Osei",
    "Nadia Haddad",
)
SEASONS = ("Spring", "Summer", "Autumn", "Winter", "Early spring", "Late summer", "November", "February")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NUMBERS = ("three", "five", "six", "seven", "nine", "ten", "twelve", "fourteen", "twenty", "thirty", "forty")
