"""What samples for a trained run have that its training did not: unknown categories, and empty columns."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lphm.data.schema import FeatureSchema, InputSchema
from lphm.data.words import category_words, word_codes

#: Most categories of a column, and most columns, that are named.
MOST_NAMED = 5


@dataclass
class EmptyColumns:
    """The columns of a table without a single value, gathered part by part."""

    rows: int = 0
    columns: dict[str, bool] = field(default_factory=dict)  # whether each holds categories

    def add(self, samples: pd.DataFrame | np.ndarray, schema: InputSchema) -> None:
        """Take samples as ``schema.encode`` takes them."""
        if not isinstance(schema, FeatureSchema) or not isinstance(samples, pd.DataFrame) or samples.empty:
            return
        words = {column.name for column in schema.categorical}
        before = self.columns if self.rows else dict.fromkeys(schema.columns_of_table)
        self.columns = {name: name in words for name in before if samples[name].isna().all()}
        self.rows += len(samples)

    def lines(self, schema: InputSchema, summary: dict[str, Any]) -> list[str]:
        """A line for each that had a value in every row of the training, by its ``summary.json``."""
        if not isinstance(schema, FeatureSchema):
            return []
        missing = {each["name"]: each["missing"] for each in summary.get("features", [])}
        sources = zip(schema.labels, schema.sources, strict=True)
        gaps = {source for label, source in sources if missing.get(label, 1) > 0}
        rows = "the only row" if self.rows == 1 else f"all {self.rows:,} rows"
        return [
            f"column {name!r} is missing in {rows}, and never was in training; it counts as "
            f"{'an unknown category' if words else 'the mean'}"
            for name, words in self.columns.items()
            if name not in gaps
        ]


@dataclass
class UnknownCategories:
    """How many rows have one, and the first of them, by column; gathered part by part."""

    rows: dict[str, int] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    empty: EmptyColumns = field(default_factory=EmptyColumns)

    def add(self, samples: pd.DataFrame | np.ndarray, schema: InputSchema) -> None:
        """Take samples as ``schema.encode`` takes them."""
        self.empty.add(samples, schema)
        if not isinstance(schema, FeatureSchema) or not isinstance(samples, pd.DataFrame):
            return
        for column in schema.categorical:
            cells = samples[column.name]
            unknown = (word_codes(cells, column.categories) < 0) & cells.notna().to_numpy()
            if unknown.any():
                self.rows[column.name] = self.rows.get(column.name, 0) + int(unknown.sum())
                seen = self.words.setdefault(column.name, [])
                seen += [w for w in category_words(cells[unknown]).unique() if w not in seen]
                del seen[MOST_NAMED + 1 :]

    def __str__(self) -> str:
        """One line; empty if there was none."""
        if not self.rows:
            return ""
        columns = [self._of_column(name) for name in list(self.rows)[:MOST_NAMED]]
        if len(self.rows) > MOST_NAMED:
            columns.append(f"and {len(self.rows) - MOST_NAMED} more columns")
        number = "1 column" if len(self.rows) == 1 else f"{len(self.rows)} columns"
        return f"{number}: {'; '.join(columns)}; unknown categories count as missing"

    def _of_column(self, name: str) -> str:
        rows = "1 row" if self.rows[name] == 1 else f"{self.rows[name]:,} rows"
        words = ", ".join(repr(word) for word in self.words[name][:MOST_NAMED])
        more = ", …" if len(self.words[name]) > MOST_NAMED else ""
        return f"{name!r} had {rows} with unknown categories ({words}{more})"
