"""Choices about rows, written once: the command line has an option for each, with this help text.

This module imports nothing heavy, so that the command line can start without a wait.
"""

from dataclasses import dataclass

from lphm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How rows are split in parts, and what each of them counts.

    The columns that are named here are no features. By default a part is drawn at random.
    """

    test: str | None = None
    """A file of the same layout, whose rows are the test part. Nothing is learned from them."""
    group: str | None = None
    """The column that says which rows belong together: rows of one group are never on both sides of a
    split, be it into training and test part, for early stopping, or into folds."""
    time: str | None = None
    """The column by which rows are split into earlier and later ones: training is on the earlier, test and
    validation on the later."""
    weight: str | None = None
    """The column that says how much each row counts, in training and in all scores. Default: all the same."""

    def __post_init__(self) -> None:
        """Raise ``InputError`` if rows are to be split in two ways."""
        if self.group is not None and self.time is not None:
            raise InputError("rows must be split by group or by time, got both; leave one of them out")

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are named, by what they are."""
        named = {"group": self.group, "time": self.time, "weight": self.weight}
        return {role: column for role, column in named.items() if column is not None}

    @property
    def words(self) -> list[str]:
        """The columns of groups: read as words, these are the same in every file, whatever is beside them."""
        return [] if self.group is None else [self.group]

    def columns_beside(self, target: str) -> list[str]:
        """The same columns, as long as none of them is the target.

        Raises:
            InputError: one of them is.
        """
        for role, column in self.columns.items():
            if column == target:
                raise InputError(f"the {role} must be another column than the target, got {target!r} twice")
        return list(self.columns.values())


#: Parts are drawn at random, and all rows count the same.
AT_RANDOM = RowOptions()
