"""Folders of plain files: `reference/stores` (CSV, one file a region) and `reference/exchange_rates` (Parquet)."""

import csv
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from rest_api.demo.catalogue import COUNTRIES, Country
from rest_api.demo.delta import to_arrow
from rest_api.demo.moments import DAYS
from rest_api.demo.randomness import stream

# Country, then its cities with latitude and longitude.
CITIES: dict[str, dict[str, str]] = {
    "western_europe": {
        "FR": "Paris 48.86 2.35,Lyon 45.76 4.84,Nantes 47.22 -1.55,Lille 50.63 3.06",
        "DE": "Berlin 52.52 13.41,Hamburg 53.55 9.99,Leipzig 51.34 12.37",
        "GB": "London 51.51 -0.13,Leeds 53.80 -1.55,Cardiff 51.48 -3.18",
        "NL": "Utrecht 52.09 5.12,Rotterdam 51.92 4.48",
        "CH": "Zürich 47.38 8.54,Genève 46.20 6.14",
    },
    "southern_europe": {
        "ES": "Madrid 40.42 -3.70,Bilbao 43.26 -2.93,Sevilla 37.39 -5.98",
        "IT": "Torino 45.07 7.69,Bologna 44.49 11.34,Napoli 40.85 14.27",
        "PT": "Lisboa 38.72 -9.14,Porto 41.15 -8.61",
    },
    "north_and_east": {
        "SE": "Malmö 55.61 13.00,Uppsala 59.86 17.64",
        "PL": "Kraków 50.06 19.94,Gdańsk 54.35 18.65,Wrocław 51.11 17.04",
    },
    "overseas": {
        "US": "Boston 42.36 -71.06,Austin 30.27 -97.74,Seattle 47.61 -122.33",
        "CA": "Montréal 45.50 -73.57,Québec 46.81 -71.21",
        "JP": "Osaka 34.69 135.50,Sapporo 43.06 141.35",
    },
}
RATES = pa.schema([("day", pa.date32()), ("per_euro", pa.decimal128(18, 6))])


@dataclass(frozen=True)
class Store:
    """One row of `reference/stores`."""

    store_id: str
    name: str
    city: str
    country: str
    latitude: float
    longitude: float
    opened_on: date
    square_metres: int


@dataclass(frozen=True)
class Rate:
    """What one euro was worth on a day."""

    day: date
    per_euro: Decimal


def build_stores(folder: Path, seed: int) -> None:
    """Write one CSV file per region, all with the same columns."""
    random = stream(seed, "stores")
    folder.mkdir(parents=True)
    number = 0
    for region, countries in CITIES.items():
        stores = []
        for country, cities in countries.items():
            for city in cities.split(","):
                number += 1
                stores.append(_make_store(number, country, city, random))
        _write_csv(folder / f"{region}.csv", stores)


def _make_store(number: int, country: str, city: str, random: Random) -> Store:
    name, latitude, longitude = city.split(" ")
    quarter = random.choice(("Market", "Station", "Harbour", "Old Town", "University"))
    opened_on = date(1998, 1, 1) + timedelta(days=random.randrange(10_000))
    size = random.randrange(80, 1_600, 10)
    return Store(
        f"s-{number:03}", f"{name} {quarter}", name, country, float(latitude), float(longitude), opened_on, size
    )


def _write_csv(path: Path, stores: list[Store]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(stores[0])))
        writer.writeheader()
        writer.writerows(asdict(store) for store in stores)


def build_exchange_rates(folder: Path, seed: int, until: datetime) -> None:
    """Write one Parquet file per currency under `currency=…`, a rate for each day."""
    markets = {country.currency: country for country in COUNTRIES if country.currency != "EUR"}
    for currency, country in sorted(markets.items()):
        partition = folder / f"currency={currency}"
        partition.mkdir(parents=True)
        pq.write_table(to_arrow(_make_rates(seed, country, until.date()), RATES), partition / "rates.parquet")


def _make_rates(seed: int, country: Country, today: date) -> list[Rate]:
    random, rate, rates = stream(seed, f"rates:{country.currency}"), country.per_euro, []
    for age in range(DAYS, -1, -1):
        rate *= 1 + random.gauss(0, 0.003)
        rates.append(Rate(today - timedelta(days=age), Decimal(round(rate * 1_000_000)).scaleb(-6)))
    return rates
