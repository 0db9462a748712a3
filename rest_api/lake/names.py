"""Names and paths: the dataset `sales.orders` is the folder `/sales/orders`."""

import re

MAX_CHARACTERS = 300
MAX_SEGMENT_BYTES = 255
"""As much as the name of a folder may have on the disks of today."""
QUARANTINE = "_quarantine"
_SEGMENT = re.compile(r"(?![_ ])[^/.=\\\x00-\x1f\x7f\ud800-\udfff]{1,128}(?<! )")
_NEW_SEGMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def is_segment(text: str) -> bool:
    """Whether a folder of this name can be a dataset or lead to one."""
    return _SEGMENT.fullmatch(text) is not None and len(text.encode()) <= MAX_SEGMENT_BYTES


def is_name(text: str) -> bool:
    """Whether a dataset could have this name."""
    return len(text) <= MAX_CHARACTERS and all(is_segment(segment) for segment in text.split("."))


def may_be_created(text: str) -> bool:
    """Whether the core makes a dataset of this name: lower-case ASCII letters, digits, `_` and `-`."""
    return len(text) <= MAX_CHARACTERS and all(_NEW_SEGMENT.fullmatch(segment) for segment in text.split("."))


def is_path(text: str) -> bool:
    """Whether this is a folder of the lake, such as `/sales`; `/` is all of it."""
    return text == "/" or (text.startswith("/") and is_name(name_of(text)) and "." not in text)


def path_of(name: str) -> str:
    """The folder of a dataset."""
    return "/" + name.replace(".", "/")


def name_of(path: str) -> str:
    """The dataset that a folder is."""
    return path.removeprefix("/").replace("/", ".")


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies anywhere below it."""
    return folder in ("/", path) or path.startswith(folder + "/")


def is_quarantine(name: str) -> bool:
    """Whether a dataset holds events that failed validation."""
    return name.endswith(QUARANTINE)
