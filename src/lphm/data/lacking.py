"""What is said of a table without columns that a run was trained on."""

from collections.abc import Sequence

from lphm.errors import did_you_mean

#: Most columns that an error names, and most other columns that are compared with each missing one.
MOST_NAMED, MOST_COMPARED = 100, 1000


def lacking(source: str, absent: Sequence[str], others: Sequence[object]) -> str:
    """The message for a table without columns of the training: which to rename, and which to add."""
    more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
    named = f"the column{'s'[: len(absent) - 1]} {', '.join(map(repr, absent[:MOST_NAMED]))}{more}"
    alike = {did_you_mean(str(other), absent[:MOST_NAMED]): str(other) for other in others[:MOST_COMPARED]}
    alike.pop(None, None)
    remedies = [f"it has {other!r}; rename it to {name!r}" for name, other in alike.items()]
    rest = [name for name in absent if name not in alike]
    if rest:
        what = "the others" if alike else "it" if len(absent) == 1 else "them"
        without = "it" if len(absent) == 1 else "them"
        remedies.append(f"add {what} (empty cells count as missing), or train without {without}")
    return f"{source} lacks {named} of the training; {'; '.join(remedies)}"
