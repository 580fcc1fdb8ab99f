"""What data sets there are: where they come from, under which licence, and which files they consist of."""

from llamabench.data.sources.model import ITEM_KINDS, Edition, Home, Source, SourceFile
from llamabench.data.sources.table import SOURCES, STARTER_KINDS, find_editions, find_published, find_source

__all__ = [
    "ITEM_KINDS",
    "SOURCES",
    "STARTER_KINDS",
    "Edition",
    "Home",
    "Source",
    "SourceFile",
    "find_editions",
    "find_published",
    "find_source",
]
