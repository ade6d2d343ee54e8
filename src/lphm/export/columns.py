"""What an exported model takes: one tensor for each column of a table, or one for all of a sample."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from lphm.data.conversions import Conversion, DateFormat, DurationFormat, NumberFormat
from lphm.data.schema import FeatureSchema, InputSchema, SeriesSchema
from lphm.data.targets import free_name
from lphm.data.words import word_codes
from lphm.errors import InputError

Content = Literal["number", "date", "duration", "category", "series", "image"]
#: Names of outputs, which no input may have.
OUTPUTS = ("label", "probabilities", "prediction")
#: What a cell of each kind is written as, for those who read the exported file.
WRITTEN: dict[Content, str] = {
    "number": "the number; NaN where missing; true is 1 and false 0",
    "date": "seconds since 1970-01-01 00:00; NaN where missing",
    "duration": "seconds; NaN where missing",
    "category": "one of the categories; all else counts as missing",
    "series": "the values; NaN where missing and after the end",
    "image": "the values; NaN where missing",
}
#: Words that may mean a category which is a number or a truth value.
TRUTHS = [form for truth in ("true", "false") for form in (truth, truth.title(), truth.upper())]


@dataclass(frozen=True)
class Column:
    """An input of the model.

    Attributes:
        name: of the column in the table; ``"X"`` of series and images.
        content: what it holds.
        shape: of one sample.
        categories: those of the training, of which the first has code 1; code 0 is all else.
    """

    name: str
    content: Content
    shape: tuple[int, ...] = (1,)
    categories: tuple[str, ...] = ()

    @property
    def input_name(self) -> str:
        """The name of the input: that of the column, with ``_`` behind it where an output has it."""
        return free_name(self.name, OUTPUTS)

    def describe(self, text: bool) -> dict[str, object]:
        """The input for those who read the exported file; ``text`` if categories are taken as they are."""
        codes = self.content == "category" and not text
        facts: dict[str, object] = {
            "name": self.input_name,
            "column": self.name,
            "content": self.content,
            "shape": ["N", *self.shape],
            "written": "code 1 for the first category, and so on; 0 for all else"
            if codes
            else WRITTEN[self.content],
        }
        return facts | ({"categories": list(self.categories)} if self.categories else {})

    def codes(self) -> dict[str, int]:
        """The code of every word that means a category, also as other programs write it.

        Such are ``1.0`` for ``1``, ``true`` for ``True`` or ``1``, and ``2024-01-31 00:00:00`` for
        ``2024-01-31``; the run reads them alike.
        """
        longer = [f"{word}{end}" for word in self.categories for end in (".0", " 00:00:00")]
        shorter = [word.removesuffix(end) for word in self.categories for end in (".0", " 00:00:00")]
        words = list(dict.fromkeys([*self.categories, *longer, *shorter, "1", "0", "1.0", "0.0", *TRUTHS]))
        places = word_codes(pd.Series(words, dtype=object), self.categories)
        return {word: int(place) + 1 for word, place in zip(words, places, strict=True) if place >= 0}


def columns_of(schema: InputSchema) -> list[Column]:
    """The inputs in their order.

    Raises:
        InputError: a column cannot be read by operators on numbers.
    """
    if not isinstance(schema, FeatureSchema):
        content: Content = "series" if isinstance(schema, SeriesSchema) else "image"
        return [Column("X", content, (len(schema.labels), len(schema.column_labels)))]
    categories = {column.name: tuple(column.categories) for column in schema.categorical}
    return [
        Column(name, "category", categories=categories[name])
        if name in categories
        else Column(name, _content(name, schema.conversions.get(name)))
        for name in schema.columns_of_table
    ]


def _content(name: str, conversion: Conversion | None) -> Content:
    match conversion:
        case None | NumberFormat():
            return "number"
        case DateFormat():
            return "date"
        case DurationFormat():
            return "duration"
    raise InputError(
        f"a column must hold numbers, dates or categories to be exported, got {name!r}, which holds "
        f"{conversion}, and no operator of an exported model counts words; train without it",
        option="drop",
        value=name,
    )
