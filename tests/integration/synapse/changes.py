"""What tests of the WSO2 route send, and what they look at."""

import json
from typing import Any

from tests.integration.synapse.running import Synapse


def upsert(synapse: Synapse, key: str, version: int, **more: Any) -> dict[str, Any]:
    """A change as base A's systems send it."""
    names = {"op": "upsert", "origin": synapse.origin, "external_id": key, "external_version": version}
    return {**names, "title": f"title {version}", "content": "text", **more}


def outcomes(answer: tuple[int, str]) -> list[str]:
    """What became of each operation, by the core's answer."""
    status, text = answer
    assert status == 200, text
    return [each["outcome"] for each in json.loads(text)["data"]]


def of_base_a(synapse: Synapse) -> dict[str, tuple[str, str]]:
    """What base B has of base A's rows, which have numbers, not of what clients sent."""
    return {key: texts for key, texts in synapse.articles().items() if key.isdigit()}


def used(synapse: Synapse) -> str:
    """The token that was used last."""
    return synapse.door.batches[-1].headers["Authorization"]
