"""Tables as people have them: signs, dates, identifiers, missing cells, columns that tell the target."""

import numpy as np
import pandas as pd

ZONES = {"North": 1.0, "South": 0.9, "Old town": 1.4, "Harbour": 1.2}


def houses(rows: int = 500) -> pd.DataFrame:
    """Sales of houses whose price follows from size, zone and the day of the sale, up to 6 %."""
    rng = np.random.default_rng(0)
    size, zone = rng.uniform(40, 220, rows), rng.choice([*ZONES], rows)
    days = rng.integers(0, 1800, rows)
    price = size * 2300 * np.vectorize(ZONES.get)(zone) * (1 + 0.0006 * days)
    price *= np.exp(rng.normal(0, 0.06, rows))
    frame = pd.DataFrame(
        {
            "id": 10_001 + np.arange(rows),
            "address": [f"{i} Main Street" for i in range(rows)],
            "sold": (pd.Timestamp("2019-01-01") + pd.to_timedelta(days, unit="D")).strftime("%d.%m.%Y"),
            "size": [f"{each:.1f} m²".replace(".", ",") for each in size],
            "zone": zone,
            "floor": rng.integers(0, 6, rows),
            "garden": rng.choice(["yes", "no"], rows),
            "price": ["€ " + f"{each:,.0f}".replace(",", ".") for each in price],
        }
    )
    for name in ("size", "zone", "floor"):
        frame[name] = frame[name].astype(object).mask(rng.random(rows) < 0.03)
    return frame


def sensors(machines: int = 30, steps: int = 12) -> pd.DataFrame:
    """A long table whose machines have one state each, which a row alone tells badly."""
    rng = np.random.default_rng(1)
    machine, step = np.divmod(np.arange(machines * steps), steps)
    return pd.DataFrame(
        {
            "machine": [f"M{number:03}" for number in machine],
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(machine * 50 + step, unit="h"),
            "vibration": rng.normal(machine % 3, 2),
            "temperature": rng.normal(size=len(step)),
            "state": np.array(["ok", "worn", "broken"])[machine % 3],
        }
    )


def loans(rows: int = 300) -> pd.DataFrame:
    """Whether loans were paid back, beside a letter that was sent only to those who did not."""
    rng = np.random.default_rng(2)
    income, amount = rng.normal(size=(2, rows))
    paid = income - amount + rng.normal(0, 1, rows) > 0
    letter = np.where(paid, None, rng.choice(["first reminder", "last reminder"], rows))
    return pd.DataFrame(
        {"income": income, "amount": amount, "letter": letter, "paid": np.where(paid, "yes", "no")}
    )


def visits(rows: int = 300) -> pd.DataFrame:
    """Costs of visits, beside the invoice with the tax on top."""
    rng = np.random.default_rng(3)
    minutes, tests = rng.uniform(5, 60, rows), rng.integers(0, 5, rows)
    cost = (30 + 2 * minutes + 25 * tests + rng.normal(0, 8, rows)).round(2)
    return pd.DataFrame({"minutes": minutes, "tests": tests, "invoice": (cost * 1.19).round(2), "cost": cost})
