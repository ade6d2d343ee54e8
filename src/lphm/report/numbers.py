"""Numbers as people write them, and names that can be broken into lines."""

import math
import re
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from markupsafe import Markup, escape

#: Names of columns of years.
YEAR = re.compile(r"(?:.*[_ .:-])?(?:year|jahr)", re.IGNORECASE)


def plain(value: Any, digits: int = 3) -> str:
    """A number with so many digits that are not zeros, a word or a list; None is a dash.

    Digits before the decimal point are never left out for an exponent: 97,400, not 9.74e+04.
    """
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, Integral):
        return f"{value:,}"
    if isinstance(value, float):
        return _decimal(value, digits)
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)


def exact(value: Any) -> str:
    """A number of the data, with up to six digits."""
    return plain(value, 6)


def spread_out(item: Mapping[str, Any]) -> str:
    """Least, greatest and mean value and standard deviation of numbers; a year has no thousands.

    The mean has the decimals of the first two digits of the standard deviation.
    """
    mean, std = item["mean"], item["std"]
    if mean and std and math.isfinite(mean) and math.isfinite(std):
        more = math.floor(math.log10(abs(mean))) - math.floor(math.log10(std))
        mean = plain(mean, min(max(3, more + 2), 15))
    text = f"{exact(item['min'])} to {exact(item['max'])}, mean {plain(mean)}"
    if YEAR.fullmatch(item["name"]):
        text = re.sub(r"(?<=\d),(?=\d)", "", text)
    return f"{text}, standard deviation {plain(std)}"


def _decimal(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    if not -7 <= size < 15:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return signed(f"{float(mantissa):g} · 10^{int(exponent)}")
    places = digits - 1 - size
    text = f"{round(value, places):,.{max(places, 0)}f}"
    return signed(text.rstrip("0").rstrip(".") if "." in text else text)


def signed(text: str) -> str:
    """A number with a minus sign that is as wide as a plus sign; zero has none."""
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", "−")


def percent(share: float | None) -> str:
    """A share with one decimal."""
    return "–" if share is None or math.isnan(share) else signed(f"{100 * share:.1f}") + "\N{NO-BREAK SPACE}%"


def with_spread(mean: float, spread: float, most: int) -> str:
    """``mean ± spread`` with the decimals that the spread lets us know, from one to so many."""
    places = most if spread <= 0 else min(max(-math.floor(math.log10(spread)), 1), most)
    return f"{signed(f'{mean:.{places}f}')} ± {spread:.{places}f}"


def breakable(name: str) -> Markup:
    """A name, escaped, that can be broken behind its underscores."""
    return Markup(str(escape(name)).replace("_", "_<wbr>"))
