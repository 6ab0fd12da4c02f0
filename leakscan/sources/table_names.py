"""By which endings of their names the tables are known that list images."""

from __future__ import annotations

TEXTS = (
    ".csv", ".tsv", ".tab", ".psv", ".txt", ".lst", ".list", ".jsonl", ".ndjson", ".json", ".yaml", ".yml",
)  # fmt: skip
"""How the names of tables end that are text."""
LOOSE = (".txt", ".lst", ".list", ".tab")
"""Endings that files of any kind have."""
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
UNREAD = {
    ".xls": "an old Excel workbook", ".xlsb": "a binary Excel workbook", ".ods": "an OpenDocument table",
    ".numbers": "a table of Numbers", ".dta": "a table of Stata", ".sav": "a table of SPSS",
    ".sas7bdat": "a table of SAS", ".rds": "a table of R",
}  # fmt: skip
"""Tables that are not read, and what they are."""
_TABLES = (".parquet", ".pq", ".feather", ".arrow", ".xlsx", ".xlsm")
MANIFEST_SUFFIXES = (*TEXTS, *_TABLES, *UNREAD, *(text + packed for text in TEXTS for packed in PACKED))
"""How the names of manifests end, in lower case."""


def inner_name(name: str) -> str:
    """The name of a packed file without the ending of its compression.

    Example:
        >>> inner_name("films.csv.gz"), inner_name("films.csv")
        ('films.csv', 'films.csv')
    """
    return next((name[: -len(end)] for end in PACKED if name.lower().endswith(end)), name)
