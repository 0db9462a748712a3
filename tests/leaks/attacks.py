"""Requests against every data route of the API description, with a column in every position."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from rest_api.openapi import operations
from tests.leaks.twins import FILES, TABLE, Principal, hashed, last4

DATA = re.compile("/(data|analytics|grants)(/|$)")
STRANGERS = ("user_nam", "USER_NAME", "Amount", "user_secret", "user_secrets", "nosuch", "n", "file_index", "\x00row")
VALUES: dict[str, tuple[Any, ...]] = {
    "transaction_id": ("t0050", hashed("t0050")),
    "timestamp": ("2026-10-03T00:00:00Z", "2026"),
    "user_id": (3, 999),
    "user_name": ("Ada Lovelace", hashed("Ada Lovelace"), last4("Ada Lovelace")),
    "product_id": ("p2", hashed("p2")),
    "amount": (100.25, hashed("37.25")),
    "country": ("FR", "DE"),
    "status": ("completed", "eted"),
    "customer_rating": (3,),
    "original_timestamp": ("2026-10-02T00:00:00Z", "2026"),
    "replay_id": ("r9", hashed("r9")),
}
OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is")
ELSEWHERE = ("sales.orders", "sales.nobody", "user_secrets", f"{TABLE}_quarantine")
WINDOW = "window=30d&at=2026-10-20T00:00:00Z"
REQUIRED = {"window": "30d", "x": "5", "step": "1h", "from": "0", "to": "2"}
COLUMNS = (
    "transaction_id",
    "timestamp",
    "user_id",
    "user_name",
    "amount",
    "country",
    "status",
    "original_timestamp",
    "replay_id",
    "product_id",
)


@dataclass(frozen=True)
class Attack:
    """One request; `operation` is the route it is made for."""

    operation: str
    method: str
    url: str
    body: Any = None

    @property
    def told(self) -> str:
        return f"{self.method} {self.url} {json.dumps(self.body) if self.body is not None else ''}"


def attacks(description: dict[str, Any], principal: Principal) -> list[Attack]:
    """All attacks of a principal, on each data route that the description has."""
    found: list[Attack] = []
    for path, method, operation in operations(description):
        if DATA.match(path):
            found += _against(path, method.upper(), operation, principal)
    return found


def _against(path: str, method: str, operation: dict[str, Any], principal: Principal) -> Iterator[Attack]:
    name = operation["operationId"]
    if (
        "post" in name
        and name.endswith(("_restore", "_rows", "_files", "_upload", "datasets"))
        and _may_write(principal)
    ):
        return  # it would change what the three lakes have in common
    for url in _urls(path, method):
        for query, body in _asked(name, url, operation, principal):
            yield Attack(name, method, f"{url}{'?' if query else ''}{query}", body)


def _may_write(principal: Principal) -> bool:
    return principal.name in ("admin", "write only")


def _urls(path: str, method: str) -> list[str]:
    if "{dataset}" in path:
        hidden = ("hidden_one", "hidden_two", "vault.hidden_two", "hidden_on", "transaction", "no.such")
        return [path.replace("{dataset}", each) for each in (TABLE, FILES, *hidden)]
    # Who manages may take back his own grants: then there would be nothing left to attack.
    numbers = ("777",) if method == "DELETE" else ("1", "2", "777")
    return [path.replace("{grant_id}", number) for number in numbers] if "{" in path else [path]


def _asked(name: str, url: str, operation: dict[str, Any], principal: Principal) -> Iterator[tuple[str, Any]]:
    is_of_hidden = not any(f"/{each}/" in f"{url}/" for each in (TABLE, FILES)) and "/datasets/" in url
    if name.endswith(("get_data_datasets_dataset_rows", "_export")):
        yield from (((query, None) for query in _queries(url)) if not is_of_hidden else _few())
    elif name.endswith("_query"):
        yield from ((("", body) for body in _bodies()) if not is_of_hidden else [("", {}), ("", {"version": 1})])
    elif name.startswith("get_analytics"):
        yield from ((query, None) for query in _figures(name))
    elif name.endswith("_diff"):
        yield from ((query, None) for query in _diffs())
    elif name == "post_grants_explain":
        yield from (("", body) for body in _questions(principal))
    elif name == "post_grants":
        yield from (("", body) for body in _offers())
    elif name == "put_data_datasets_dataset":
        yield from (("", {"description": "d", **said}) for said in _sayings())
    elif name.endswith("_accesses"):
        yield from ((query, None) for query in ("", "rows=gt.61", "rows=is.null", "username=eq.root", "limit=1"))
    elif name == "get_data_datasets":
        yield from ((query, None) for query in ("", "limit=1", "limit=100", "cursor=x", *_by_name()))
    else:
        yield from _generic(operation)


def _by_name() -> Iterator[str]:
    asked = ",".join((TABLE, FILES, *ELSEWHERE))
    yield from (
        f"name=in.({asked})",
        f"select=rows,bytes,version,columns&name=in.({asked})",
        "select=name,rows&limit=2",
    )


def _few() -> Iterator[tuple[str, Any]]:
    yield from (
        (query, None) for query in ("", "version=1", "version=99", "as_of=2020-01-01", "select=secret", "nosuch=1")
    )


def _generic(operation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    needed = [each for each in operation.get("parameters", []) if each.get("required") and each.get("in") == "query"]
    query = urlencode({each["name"]: REQUIRED.get(each["name"], each.get("example", "1")) for each in needed})
    if "requestBody" not in operation:
        yield query, None
        yield f"{query}&limit=1", None
        return
    yield query, {}
    yield query, {"version": 0}
    yield query, {"version": 99}
    yield query, {"rows": [{"transaction_id": "t1", "user_secret": 1}]}


def _conditions() -> Iterator[tuple[str, str, str]]:
    for column in (*COLUMNS, *STRANGERS):
        for value in VALUES.get(column, ("1",)):
            for op in OPERATORS:
                yield column, op, _operand(op, value)


def _operand(op: str, value: Any) -> str:
    return {"in": f"({value},0)", "like": f"*{value}", "ilike": f"*{value}*".upper(), "is": "null"}.get(op, str(value))


def _queries(url: str) -> Iterator[str]:
    is_table = f"/{TABLE}/" in url
    yield from (
        "",
        "limit=3",
        "count=exact",
        "count=estimated",
        "page=2",
        "limit=1&page=61",
        "cursor=x",
        "version=1&as_of=2020-01-01",
    )
    versions = ("version=0", "version=1", "version=9", "as_of=2000-01-01", "as_of=2100-01-01")
    yield from versions
    for column in (*COLUMNS, *STRANGERS):
        given = urlencode({"c": column})[2:]
        yield f"select={given}"
        yield f"select={given}&order={given}.desc&limit=2"
        yield f"order={given}&select=transaction_id"
        yield f"order=status,{given}.desc&count=exact"
        yield f"limit_per={given}&limit=1"
        yield f"limit_per={given}&limit=2&order=amount.desc"
        yield from (f"{version}&select={given}&order={given}.desc" for version in (versions if is_table else ()))
    for column, op, value in _conditions():
        yield urlencode({column: f"{op}.{value}"})
        yield urlencode({column: f"not.{op}.{value}", "count": "exact", "order": "timestamp.desc"})
        yield urlencode({"or": f"({column}.{op}.{value},status.eq.pending)", "limit": 2})
        yield urlencode({"and": f"({column}.not.{op}.{value},or(status.eq.pending,currency.eq.EUR))", "count": "exact"})


def _bodies() -> Iterator[dict[str, Any]]:
    yield from ({}, {"count": "exact"}, {"version": 0}, {"limit": 2}, {"where": {}}, {"order": [{"column": "n"}]})
    for column in (*COLUMNS, *STRANGERS):
        yield {"select": [column], "order": [{"column": column, "direction": "desc"}], "limit": 3}
        yield {"limit_per": column, "limit": 1}
        for value in VALUES.get(column, ("1",)):
            for op in OPERATORS:
                operand: Any = [value] if op == "in" else None if op == "is" else value
                yield {"where": {column: {op: operand}}, "count": "exact", "limit": 2}
                yield {"where": {"or": [{column: {"not": {op: operand}}}, {"status": {"eq": "pending"}}]}, "limit": 4}


def _figures(name: str) -> Iterator[str]:
    more = "&x=4" if name.endswith("top_products") else "&step=2h" if name.endswith("series") else ""
    yield WINDOW + more
    yield f"window=40d&at=2026-10-05T00:00:00Z{more}&version=0"
    yield f"{WINDOW}{more}&limit=2"
    yield f"{WINDOW}{more}&version=77"
    for column, op, value in _conditions():
        yield f"{WINDOW}{more}&{urlencode({column: f'{op}.{value}'})}"
        yield f"{WINDOW}{more}&{urlencode({'or': f'({column}.not.{op}.{value},status.eq.pending)'})}"


def _diffs() -> Iterator[str]:
    for before in range(4):
        for after in range(3):
            yield f"from={before}&to={after}"
            yield f"from={before}&to={after}&limit=3"


def _questions(principal: Principal) -> Iterator[dict[str, Any]]:
    for dataset in (TABLE, FILES, "hidden_one", "nosuch", "vault.hidden_two"):
        for privilege in ("read", "write", "export", "manage"):
            yield {"dataset": dataset, "privilege": privilege}
        for column in (*COLUMNS, *STRANGERS[:5]):
            yield {"dataset": dataset, "columns": [column]}
            yield {"dataset": dataset, "columns": [column], "principal": "ed"}


def _offers() -> Iterator[dict[str, Any]]:
    for target in ({"dataset": TABLE}, {"dataset": FILES}, {"dataset": "hidden_one"}, {"path": "/vault"}):
        base = {"principal": "ed", "privileges": ["read"], **target}
        yield base
        for column in (*COLUMNS, *STRANGERS[:5]):
            yield {**base, "columns": [column], "filter": "country=eq.FR"}
            yield {**base, "columns": ["amount"], "filter": f"country=eq.FR&{column}=eq.3"}
            yield {**base, "columns": ["amount"], "masks": {column: "year"}, "filter": "country=eq.FR"}


def _sayings() -> Sequence[dict[str, Any]]:
    columns = (*COLUMNS, *STRANGERS[:5])
    return [{}, *({"key": [column]} for column in columns), *({"time_column": column} for column in columns)]
