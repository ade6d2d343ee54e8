"""Numbers as people write them: with a currency or unit, marks between thousands, a comma before decimals."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Decimal = Literal[".", ","]
Thousands = Literal["", ".", ",", " ", "'"]

#: Distinct cells that decide whether all cells are worth a look.
FIRST_CELLS = 50
#: What may stand before a number. Behind it any unit may.
CURRENCY = (
    r"[$€£¥₹₽₩₺₫₴₦฿¢]|(?:US|A|C|R)\$|kr\.?|zł|Kč|Ft|Fr\.?|Rs\.?|CHF|EUR|USD|GBP|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK"
    r"|PLN|CZK|BRL|MXN|ZAR"
)
#: Of these nobody writes three decimals, so that 1.234 and 1,234 are above a thousand.
NO_THREE_DECIMALS = {
    "€",
    "EUR",
    "CHF",
    "kr",
    "kr.",
    "SEK",
    "NOK",
    "DKK",
    "zł",
    "PLN",
    "Kč",
    "CZK",
    "R$",
    "BRL",
}
GROUPS = re.compile(r"\d+|[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})*")
NUMBER = re.compile(
    rf"(?P<minus>[+-]?) ?(?P<before>{CURRENCY})? ?(?P<sign>[+-]?)"
    r"(?P<digits>\d(?:[\d.,' ]*\d)?|[.,]\d+)"
    r" ?(?P<after>sq\.? (?:ft|m|in)\.?|[^\d\s.,+-][^\d\s]{0,9})?"
)
#: Marks before the decimals and between the thousands, the likelier first.
MARKS: tuple[tuple[Decimal, Thousands], ...] = (
    *((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'")),
)
#: Other characters that mean a space, a minus, or an apostrophe.
ALIKE = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "\u2019": "'"})


class Marks(NamedTuple):
    """What cells have in common."""

    decimal: Decimal
    thousands: Thousands
    sign: str  # a currency or a unit, which a cell may have or not

    def read(self, cell: str) -> float | None:
        """The number; None if it is written otherwise."""
        match = NUMBER.fullmatch(cell.translate(ALIKE))
        if match is None or {match["before"], match["after"]} - {None, self.sign}:
            return None
        if not _digits(self.decimal, self.thousands).fullmatch(match["digits"]):
            return None
        digits = match["digits"].replace(self.thousands, "") if self.thousands else match["digits"]
        number = float(digits.replace(self.decimal, "."))
        return -number if "-" in (match["minus"], match["sign"]) else number


def find_marks(cells: Sequence[str], decimal_comma: bool = False) -> Marks | None:
    """The marks of all cells; None if they have none in common, or are plain numbers.

    With ``decimal_comma``, 1,234 is a number below 2; else it is above a thousand.
    """
    if not all(NUMBER.fullmatch(cell.translate(ALIKE)) for cell in cells[:FIRST_CELLS]):
        return None
    signs: set[str] = set()
    digits: set[str] = set()
    for cell in cells:
        match = NUMBER.fullmatch(cell.translate(ALIKE))
        if match is None or (match["before"] and match["after"]):
            return None
        signs.add(match["before"] or match["after"] or "")
        digits.add(match["digits"])
    if len(signs - {""}) > 1 or all(map(_is_plain, cells)):
        return None
    sign = "".join(signs)
    likely = sorted(MARKS, key=lambda marks: (marks[0] == ",") != decimal_comma)
    if sign in NO_THREE_DECIMALS and all(map(GROUPS.fullmatch, digits)):
        likely = [marks for marks in likely if marks[0] not in "".join(digits)]
    for decimal, thousands in likely:
        if all(map(_digits(decimal, thousands).fullmatch, digits)):
            return Marks(decimal, thousands, sign)
    return None


def _digits(decimal: str, thousands: str) -> re.Pattern[str]:
    """Digits with these marks; a number with thousands begins with no zero."""
    d, t = re.escape(decimal), re.escape(thousands)
    groups = rf"[1-9]\d{{0,2}}(?:{t}\d{{3}})+|" if thousands else ""
    return re.compile(rf"(?:{groups}\d+)(?:{d}\d+)?|{d}\d+")


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
