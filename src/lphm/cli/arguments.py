"""The arguments that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lphm.errors import InputError
from lphm.learn.options import StructureOptions

#: Every field of a dataclass is an option of its own.
Structure = Annotated[StructureOptions | None, Parameter(name="*", group="Structure")]
Sided = Literal["attribute", "instance"]

Source = Annotated[
    str,
    Parameter(
        help="A .csv, .parquet or .npz file, a directory of .parquet files, or a bundled data set: "
        "digits, iris, wine, breast-cancer or diabetes."
    ),
]
RunFolder = Annotated[Path, Parameter(help="A run folder that 'lphm train' wrote.")]
Output = Annotated[Path, Parameter(alias="-o")]


@Parameter(name="*")
@dataclass(kw_only=True)
class Printing:
    """What a command prints."""

    quiet: bool = False
    """No progress bar, and nothing but errors."""
    json: bool = False
    """Print the result as JSON, for scripts."""


def require_exists(*paths: Path) -> None:
    """Raise ``InputError`` unless all of these exist, before the slow import of what reads them."""
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} must exist, got no such file or folder; check the path")
