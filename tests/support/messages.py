"""The message of an error, compared as a whole."""

import re


def whole(text: str) -> str:
    """A pattern for ``pytest.raises(match=...)`` that the whole message has to match."""
    return f"^{re.escape(text)}$"
