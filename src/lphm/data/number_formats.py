"""Numbers as people write them: with a currency or unit, marks between thousands, a comma before decimals."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Decimal = Literal[".", ","]
Thousands = Literal["", ".", ",", " ", "'"]
#: Whether the numbers of a table have decimal commas: some show it; or the separator of the file suggests it,
#: and no number shows another mark.
DecimalComma = Literal["no", "likely", "proven"]

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


def find_marks(cells: Sequence[str], decimal_comma: DecimalComma = "no") -> Marks | None:
    """The marks of all cells; None if they have none in common, or are plain numbers.

    With a decimal comma, 1,234 is a number below 2; else it is above a thousand. So is 1.234 if the comma is
    proven, or if it is likely and other cells have no mark, such as 955.
    """
    parts = _parts(cells)
    if parts is None:
        return None
    sign, digits = parts
    if all(map(_is_plain, cells)):
        whole = [each for each in digits if "." not in each]
        mixed = bool(whole) and max(map(len, whole)) <= 3
        grouped = decimal_comma == "proven" or (decimal_comma == "likely" and mixed)
        return Marks(",", ".", sign) if grouped and are_grouped(cells) else None
    fitting = _fitting(sign, digits)
    likely = sorted(fitting, key=lambda marks: (marks[0] == ",") != (decimal_comma != "no"))
    return Marks(*likely[0], sign) if likely else None


def proven_decimal(cells: Sequence[str]) -> Decimal | None:
    """The one decimal mark with which all cells can be read; None if it can be either, or neither."""
    parts = _parts(cells)
    decimals = set() if parts is None else {decimal for decimal, _ in _fitting(*parts)}
    return decimals.pop() if len(decimals) == 1 else None


def other_decimal(cell: object, decimal: Decimal) -> str:
    """The end of an error about a cell that has the other decimal mark than ``decimal``; else nothing."""
    found = proven_decimal([cell.strip()]) if isinstance(cell, str) else None
    if found is None or found == decimal:
        return ""
    names = {",": "a decimal comma", ".": "a decimal point"}
    return f", which has {names[found]}; write numbers with {names[decimal]}"


def ambiguous_cell(cells: Sequence[str]) -> str | None:
    """The first cell with a mark, if all cells can be read with a decimal comma and with a decimal point."""
    parts = _parts(cells)
    if parts is None or len({decimal for decimal, _ in _fitting(*parts)}) < 2:
        return None
    return next((cell for cell in cells if "." in cell or "," in cell), None)


def are_grouped(cells: Sequence[str]) -> bool:
    """Whether these are whole numbers without a sign, some of which have a point between thousands."""
    parts = _parts(cells)
    if parts is None or parts[0] or not any("." in each for each in parts[1]):
        return False
    return all("," not in each and GROUPS.fullmatch(each) for each in parts[1])


def _parts(cells: Sequence[str]) -> tuple[str, set[str]] | None:
    """The currency or unit of all cells, and their digits with the marks; None if a cell is no number."""
    if not cells or not all(NUMBER.fullmatch(cell.translate(ALIKE)) for cell in cells[:FIRST_CELLS]):
        return None
    signs: set[str] = set()
    digits: set[str] = set()
    for cell in cells:
        match = NUMBER.fullmatch(cell.translate(ALIKE))
        if match is None or (match["before"] and match["after"]):
            return None
        signs.add(match["before"] or match["after"] or "")
        digits.add(match["digits"])
    return None if len(signs - {""}) > 1 else ("".join(signs), digits)


def _fitting(sign: str, digits: set[str]) -> list[tuple[Decimal, Thousands]]:
    """Marks with which all of these are numbers, the likelier first."""
    marks = [pair for pair in MARKS if all(map(_digits(*pair).fullmatch, digits))]
    if sign in NO_THREE_DECIMALS and all(map(GROUPS.fullmatch, digits)):
        return [pair for pair in marks if pair[0] not in "".join(digits)]
    return marks


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
