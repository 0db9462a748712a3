"""The types that texts have, found over a whole file."""

import pyarrow as pa
import pyarrow.compute as pc

from rest_api.backends.parsing.conversion import REASONS, TIMESTAMP, from_text

# What a type keeps of a text is less than the text where these do not match: leading zeros, signs, digits.
_KEPT = {
    pa.bool_(): None,
    pa.int64(): "^(?:0|-?[1-9][0-9]{0,18})$",
    pa.float64(): r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?$",
    TIMESTAMP: None,
}
# Integers beyond 2^53, and more than some 17 significant digits.
_TOO_PRECISE = r"^-?(?:[1-9][0-9]{15,}$|[0.]*[1-9][0-9.]{18,})"


class TextColumn:
    """What is known of one column of texts after the batches it was shown."""

    def __init__(self) -> None:
        self._possible = list(_KEPT)
        self._has_values = False

    def observe(self, texts: pa.Array) -> None:
        """Drops the types that do not hold every one of these."""
        if not self._possible:
            return
        present = texts.drop_null().filter(pc.not_equal(texts.drop_null(), ""))
        self._has_values = self._has_values or len(present) > 0
        self._possible = [type_ for type_ in self._possible if _holds(present, type_)]

    def type(self) -> pa.DataType:
        """The narrowest that holds all of it, text if it never had a value."""
        return self._possible[0] if self._possible and self._has_values else pa.string()


def _holds(texts: pa.Array, type_: pa.DataType) -> bool:
    pattern = _KEPT[type_]
    if pattern and not _all_match(texts, pattern):
        return False
    if pa.types.is_floating(type_) and _any_matches(texts, _TOO_PRECISE):
        return False
    try:
        from_text(texts, type_)
    except REASONS:
        return False
    return True


def _all_match(texts: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(texts, pattern)).as_py() is not False


def _any_matches(texts: pa.Array, pattern: str) -> bool:
    return pc.any(pc.match_substring_regex(texts, pattern)).as_py() is True
