"""`dlt_copy.py SOURCE TARGET`: merge the articles of one SQLite file into another; run by the peers' own Python."""

import sys

import dlt
from dlt.sources.sql_database import sql_table


def main() -> None:
    """Copy them by pages of 1,000."""
    source, target = sys.argv[1:]
    articles = sql_table(credentials=f"sqlite:///{source}", table="articles", chunk_size=1_000)
    articles.apply_hints(write_disposition="merge", primary_key="id")
    destination = dlt.destinations.sqlalchemy(f"sqlite:///{target}")
    options = {"destination": destination, "dataset_name": "main", "pipelines_dir": f"{target}.pipelines"}
    dlt.pipeline("sync", **options).run(articles)


if __name__ == "__main__":
    main()
