"""What the demo shops sell, where, and to whom: products, countries, customers."""

from dataclasses import dataclass
from itertools import product
from random import Random

from faker import Faker

from rest_api.demo.randomness import cumulative, stream

CUSTOMERS = 2_000
TASTES = 8
"""A customer's taste is `user_id % 8`; a product pleases the taste `number % 8`, whatever its category."""


@dataclass(frozen=True, slots=True)
class Product:
    """Something sold; `euros` is its price at home."""

    number: int
    product_id: str
    name: str
    category: str
    euros: float

    @property
    def taste(self) -> int:
        return self.number % TASTES


@dataclass(frozen=True, slots=True)
class Country:
    """A market: its currency, what a euro is there, and how people pay."""

    code: str
    currency: str
    per_euro: float
    locale: str
    customers: float
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Customer:
    """A buyer at home in a country; `zeal` is how often he buys compared with others."""

    user_id: int
    name: str
    home: Country
    zeal: float

    @property
    def taste(self) -> int:
        return self.user_id % TASTES


ONLINE = ("credit_card", "debit_card", "paypal", "mobile_wallet")
COUNTRIES = (
    Country("FR", "EUR", 1.0, "fr_FR", 18, (*ONLINE, "gift_card")),
    Country("DE", "EUR", 1.0, "de_DE", 16, ("paypal", "bank_transfer", "debit_card", "credit_card")),
    Country("GB", "GBP", 0.86, "en_GB", 12, ONLINE),
    Country("US", "USD", 1.09, "en_US", 14, (*ONLINE, "gift_card")),
    Country("ES", "EUR", 1.0, "es_ES", 9, ONLINE),
    Country("IT", "EUR", 1.0, "it_IT", 8, (*ONLINE, "cash_on_delivery")),
    Country("NL", "EUR", 1.0, "nl_NL", 5, ("bank_transfer", "paypal", "credit_card")),
    Country("PT", "EUR", 1.0, "pt_PT", 4, ONLINE),
    Country("PL", "PLN", 4.3, "pl_PL", 4, ("bank_transfer", "mobile_wallet", "cash_on_delivery")),
    Country("SE", "SEK", 11.4, "sv_SE", 3, ("mobile_wallet", "bank_transfer", "credit_card")),
    Country("CH", "CHF", 0.95, "de_CH", 3, (*ONLINE, "bank_transfer")),
    Country("CA", "CAD", 1.48, "fr_CA", 2, ONLINE),
    Country("JP", "JPY", 163.0, "ja_JP", 2, ("credit_card", "mobile_wallet", "gift_card")),
)

# Category, the range of its prices in euros, then its words: five qualities times six things.
SHELVES = (
    (
        "books",
        8,
        45,
        "Illustrated Pocket Annotated Collected Vintage",
        "Atlas Novel Cookbook Biography Anthology Almanac",
    ),
    (
        "music",
        9,
        320,
        "Acoustic Live Remastered Portable Studio",
        "Album Headphones Ukulele Turntable Songbook Metronome",
    ),
    ("kitchen", 6, 240, "Copper Enamelled Bamboo Ceramic Folding", "Kettle Skillet Grater Teapot Scale Grinder"),
    ("garden", 4, 180, "Hardy Galvanised Oak Solar Trellised", "Planter Lantern Trowel Bench Hose Birdhouse"),
    ("outdoor", 12, 420, "Alpine Lightweight Waterproof Insulated Trail", "Tent Backpack Stove Jacket Flask Hammock"),
    ("toys", 5, 90, "Wooden Magnetic Musical Giant Glow", "Puzzle Train Blocks Kite Robot Marbles"),
    (
        "electronics",
        15,
        900,
        "Wireless Compact Smart Rugged Silent",
        "Speaker Keyboard Tracker Projector Charger Camera",
    ),
    ("clothing", 10, 160, "Merino Linen Organic Quilted Striped", "Scarf Shirt Jumper Socks Cardigan Cap"),
    ("beauty", 4, 75, "Botanical Gentle Mineral Overnight Citrus", "Cream Shampoo Serum Soap Balm Mask"),
    ("stationery", 2, 60, "Dotted Marbled Refillable Brass Leather", "Notebook Pen Planner Ruler Stapler Folder"),
)


def make_products(seed: int) -> tuple[Product, ...]:
    """300 products, 30 of each category, in an order that mixes the categories."""
    random = stream(seed, "products")
    shelved = [
        (f"{quality} {thing}", category, round(_price(random, low, high), 2))
        for category, low, high, qualities, things in SHELVES
        for quality, thing in product(qualities.split(), things.split())
    ]
    random.shuffle(shelved)
    return tuple(Product(n, f"p-{n:03}", *words) for n, words in enumerate(shelved, start=1))


def _price(random: Random, low: float, high: float) -> float:
    return float(low * (high / low) ** random.random())


def make_customers(seed: int) -> tuple[Customer, ...]:
    """2,000 customers with names of their country, the keenest buying dozens of times as often as the mildest."""
    random = stream(seed, "customers")
    weights = cumulative([country.customers for country in COUNTRIES])
    names = {country.code: _name_maker(seed, country) for country in COUNTRIES}
    homes = random.choices(COUNTRIES, cum_weights=weights, k=CUSTOMERS)
    return tuple(
        Customer(user_id, _full_name(names[home.code]), home, random.lognormvariate(0, 0.8))
        for user_id, home in enumerate(homes, start=1)
    )


def _name_maker(seed: int, country: Country) -> Faker:
    maker = Faker(country.locale)
    maker.seed_instance(f"{seed}:{country.code}")
    return maker


def _full_name(maker: Faker) -> str:
    return f"{maker.first_name()} {maker.last_name()}"
