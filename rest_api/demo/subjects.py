"""What the demo articles are about: subjects with their own words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """What an article is about; `parts` and `tools` are plurals, `troubles` have their article, `cures` end in -ing."""

    topic: str
    people: str
    parts: tuple[str, ...]
    tools: tuple[str, ...]
    troubles: tuple[str, ...]
    cures: tuple[str, ...]


def _subject(topic: str, people: str, *lists: str) -> Subject:
    return Subject(topic, people, *(tuple(words.split(", ")) for words in lists))


SUBJECTS = (
    _subject(
        "beekeeping",
        "beekeepers",
        "hives, frames, queens, swarms",
        "smokers, veils, feeders",
        "a hungry spring, a wet June, a queen that stopped laying",
        "feeding early, splitting strong colonies, weighing each hive",
    ),
    _subject(
        "sourdough baking",
        "home bakers",
        "starters, loaves, crusts, rye doughs",
        "bannetons, scales, stone ovens",
        "a sluggish starter, a gummy crumb, an oven that runs cold",
        "resting the dough overnight, keeping a log of temperatures, milling small batches",
    ),
    _subject(
        "trail running",
        "runners",
        "climbs, descents, night stages, recovery days",
        "head torches, poles, gaiters",
        "a rolled ankle, an icy ridge, a badly marked fork",
        "walking the steep parts, training on tired legs, scouting the route by day",
    ),
    _subject(
        "data quality",
        "data engineers",
        "checks, schemas, late events, duplicate rows",
        "dashboards, contracts, lineage graphs",
        "a silent unit change, a missing time zone, a feed that sends everything twice",
        "rejecting bad rows at the door, naming an owner for each table, keeping what was refused",
    ),
    _subject(
        "city cycling",
        "commuters",
        "cycle lanes, junctions, cargo bikes, school runs",
        "dynamo lights, panniers, locks",
        "a blocked lane, a stolen wheel, a junction without sight lines",
        "counting riders before building, clearing snow from lanes first, lowering the speed limit",
    ),
    _subject(
        "allotment gardening",
        "plot holders",
        "raised beds, seedlings, compost heaps, old varieties",
        "hoes, cold frames, water butts",
        "a late frost, a plague of slugs, a summer without rain",
        "sowing in short rows, mulching deeply, swapping seeds in autumn",
    ),
    _subject(
        "film photography",
        "photographers",
        "negatives, contact sheets, lenses, darkrooms",
        "light meters, tripods, enlargers",
        "a light leak, an exhausted developer, a jammed shutter",
        "bracketing every shot, writing down the exposure, shooting one roll a week",
    ),
    _subject(
        "database migration",
        "developers",
        "indexes, backfills, foreign keys, old columns",
        "replicas, staging copies, feature switches",
        "a lock held for an hour, a column nobody dared to drop, a backfill that never ended",
        "moving in small steps, writing to both schemas for a while, rehearsing the way back",
    ),
    _subject(
        "boat restoration",
        "volunteers",
        "planks, keels, masts, engines",
        "steam boxes, planes, moisture meters",
        "a rotten stem, a cracked rib, a varnish that never dried",
        "replacing one plank at a time, labelling every screw, drying the hull slowly",
    ),
    _subject(
        "school librarianship",
        "librarians",
        "shelves, reading clubs, picture books, quiet corners",
        "catalogues, beanbags, book trolleys",
        "a budget cut, a leaking roof, a shelf of books that nobody borrows",
        "letting pupils choose, opening before lessons, lending without fines",
    ),
    _subject(
        "bird ringing",
        "ornithologists",
        "warblers, mist nets, breeding records, migration routes",
        "rings, callipers, notebooks",
        "a storm in migration week, a tangled net, an unreadable ring",
        "starting before dawn, measuring every bird twice, sharing records across borders",
    ),
    _subject(
        "event streaming",
        "platform engineers",
        "topics, partitions, consumers, dead letters",
        "brokers, schemas, replay scripts",
        "a consumer that lagged for days, a poisoned message, a clock that ran backwards",
        "making every sink idempotent, alerting on lag instead of errors, replaying from the last good offset",
    ),
    _subject(
        "small-scale cheese making",
        "dairy farmers",
        "curds, rinds, cellars, goats",
        "thermometers, moulds, presses",
        "an acid curd, a dry cellar, a vat that cooled too fast",
        "turning the wheels daily, milking twice in summer, tasting blind with neighbours",
    ),
    _subject(
        "mountain rescue",
        "rescuers",
        "search areas, dogs, radios, night shifts",
        "stretchers, drones, avalanche probes",
        "a flat battery, a phone without signal, a sudden whiteout",
        "asking for the route first, practising in bad weather, turning round in time",
    ),
    _subject(
        "running a repair café",
        "menders",
        "toasters, zips, lamps, headphones",
        "soldering irons, multimeters, sewing machines",
        "a glued case, a missing spare part, a screw with an odd head",
        "opening it together, keeping a shelf of dead machines, writing down each repair",
    ),
    _subject(
        "choir singing",
        "singers",
        "altos, rehearsals, warm-ups, concert halls",
        "tuning forks, scores, recordings",
        "a flat second verse, a cold church, a conductor with flu",
        "humming before singing, seating voices in mixed rows, learning the text aloud",
    ),
    _subject(
        "observability",
        "operators",
        "traces, alerts, histograms, quiet nights",
        "collectors, runbooks, status pages",
        "an alert that everyone ignores, a metric with too many labels, a graph without a unit",
        "paging on symptoms, deleting one alert a month, writing the runbook before the rule",
    ),
    _subject(
        "river swimming",
        "swimmers",
        "currents, weirs, jetties, cold mornings",
        "tow floats, wetsuits, thermos flasks",
        "a swollen river, a slippery bank, a sewage warning",
        "checking the gauge first, getting in slowly, never swimming alone",
    ),
    _subject(
        "urban forestry",
        "tree officers",
        "lime trees, root plates, canopies, planting pits",
        "soil probes, drones, watering bags",
        "a summer of drought, a street full of cables, a fungus in the planes",
        "planting mixed rows, watering young trees for three years, asking residents to adopt a tree",
    ),
    _subject(
        "board game design",
        "designers",
        "prototypes, rule books, player turns, dice",
        "paper cutters, blind tests, spreadsheets",
        "a dominant strategy, a rule that no one remembers, a game that lasts too long",
        "testing with strangers, cutting a third of the rules, playing badly on purpose",
    ),
    _subject(
        "product recommendation",
        "analysts",
        "baskets, ratings, rare products, new customers",
        "notebooks, baselines, offline replays",
        "a model that only repeats bestsellers, a leak from the future, a cold start",
        "splitting by time, keeping popularity as a baseline, explaining each suggestion",
    ),
    _subject(
        "museum conservation",
        "conservators",
        "textiles, frames, storage boxes, loans",
        "humidity loggers, brushes, microscopes",
        "a moth in the store, a flaking surface, a lorry stuck at a border",
        "freezing new arrivals, photographing every crack, lowering the light",
    ),
    _subject(
        "community radio",
        "presenters",
        "playlists, interviews, jingles, morning shows",
        "mixers, field recorders, archives",
        "a dead microphone, a guest who said one word, a mast hit by lightning",
        "recording a spare hour, answering every letter, opening the studio on Sundays",
    ),
    _subject(
        "backup and recovery",
        "administrators",
        "snapshots, restore drills, tapes, retention rules",
        "checksums, offline copies, stopwatches",
        "a backup that was never restored, a key kept on the lost disk, a script that failed quietly",
        "restoring one table a week, keeping a copy offline, timing the whole drill",
    ),
)
