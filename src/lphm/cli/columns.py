"""What each column of a table is used as, printed before the training."""

import shlex

from lphm.cli.arguments import Printing
from lphm.cli.printing import PlainConsole, grid
from lphm.data.amounts import listed
from lphm.data.schema import FeatureSchema
from lphm.data.tables import CONSTANT, UNNAMED
from lphm.distributed import rank
from lphm.errors import one_line
from lphm.learn.preparation import Prepared
from lphm.learn.training import left_out

#: Columns of one kind that are listed.
MOST_LISTED = 20
#: Columns that are left out, of which the option to keep them is given.
MOST_KEPT = 5
#: What an option about rows is for, where columns suggest it.
HINTS = {
    "series": "Rows may belong to series, each with one target",
    "group": "Rows may belong together, and be tested apart",
    "time": "To test on the latest rows, as when later ones are to be predicted",
}


def say_columns(prepared: Prepared, printing: Printing) -> None:
    """Print what each column of a table is used as, and an option that its columns suggest, once."""
    schema, data = prepared.config.input, prepared.sample
    if rank() > 0 or printing.json or printing.quiet or not isinstance(schema, FeatureSchema):
        return
    unused = left_out(data, schema)
    categories = {column.name: f"{column.name} ({len(column.categories)})" for column in schema.categorical}
    converted = {name: f"{name} ({conversion})" for name, conversion in schema.conversions.items()}
    kinds = {
        "numbers": [converted.get(name, name) for name in schema.columns_of_table if name not in categories],
        "categories": [*categories.values()],
        "left out": [f"{name} ({reason})" for name, reason in unused.items()],
    }
    lines = [line for name, line in data.notes.items() if name in schema.columns_of_table]
    misleading = [name for name, reason in unused.items() if reason not in (UNNAMED, CONSTANT)]
    if misleading:
        keep = " ".join(f"--keep {shlex.quote(name)}" for name in misleading[:MOST_KEPT])
        each = "a column" if len(misleading) == 1 else "these columns"
        lines.append(f"To use {each} all the same: {keep}")
    if data.hint:
        options = " ".join(f"--{option} {shlex.quote(name)}" for option, name in data.hint.items())
        lines.append(f"{HINTS[next(iter(data.hint))]}: {options}")
    table = grid(
        f"{data.name}: columns", {kind: listed(names, MOST_LISTED) for kind, names in kinds.items() if names}
    )
    PlainConsole(markup=False, emoji=False).print(table, *map(one_line, lines), sep="\n", soft_wrap=True)
