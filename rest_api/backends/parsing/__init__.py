"""Parsing of data files nobody vouches for, in a child process with limits, into one Parquet file.

`Parser.parse(source, format_of(name), target)` is all a caller needs. The child (`child.py`) gets two open files and
no paths, no environment and no other descriptor, and takes on its limits before it reads a byte.

What a value becomes without a table to fit:

- CSV: the narrowest of boolean (`true`, `false`), int64, double and timestamp that holds every value of the whole
  file, else text. "007", " 7", "+7", more digits than a double keeps and mixed columns stay text. A bare empty field
  is null; a quoted one is an empty text, and null in a column of another type. Empty lines are skipped.
- JSON, NDJSON: numbers and booleans are what they are, texts are timestamps where every one of them is. A column with
  an object or array, with integers beyond 64 bits or with several kinds of value is text: texts as they stand, all
  else as its JSON. A member that is left out is null.
- Parquet: types stay; dictionaries, views and unsigned integers become plain ones, and lists, structs and maps become
  JSON text.

Times are RFC 3339 with at most six decimals of a second, from year 1000 to 9999, and are kept as microseconds in UTC;
one without a zone is taken to be in UTC. A column without any value is text.
"""

from rest_api.backends.parsing.files import ExpectedColumn, Format, Kind, Parsed, format_of
from rest_api.backends.parsing.limits import Limits
from rest_api.backends.parsing.parser import Parser, parse

__all__ = ["ExpectedColumn", "Format", "Kind", "Limits", "Parsed", "Parser", "format_of", "parse"]
