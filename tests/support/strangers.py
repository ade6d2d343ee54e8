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


def contracts(rows: int = 300) -> pd.DataFrame:
    """Whether customers left, beside the day on which those who left did."""
    rng = np.random.default_rng(4)
    months, calls = rng.integers(1, 60, rows), rng.poisson(2, rows)
    left = calls - months / 20 + rng.normal(0, 1, rows) > 0
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 365, rows), unit="D")
    return pd.DataFrame(
        {
            "months": months,
            "calls": calls,
            "left_on": np.where(left, days.strftime("%d.%m.%Y"), None),
            "left": np.where(left, "yes", "no"),
        }
    )


def trips(rows: int = 80) -> pd.DataFrame:
    """Fares, beside cells of every kind that people write: signs, dates, durations, truth values."""
    rng = np.random.default_rng(5)
    seconds, active = rng.integers(60, 9000, rows), rng.random(rows) < 0.5
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500_000, rows), unit="min")
    fare = 2 + seconds / 300 + 3 * active + rng.normal(0, 0.2, rows)
    return pd.DataFrame(
        {
            "zone": rng.choice(["Nord", "Süd", "Öst"], rows),
            "km": [f"{each:.2f} km".replace(".", ",") for each in seconds / 120],
            "start": days.strftime("%d/%m/%Y %H:%M"),
            "took": [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in seconds],
            "active": np.where(active, "true", "false"),
            "toll": [f"${each:,}" for each in rng.integers(1000, 9_999_999, rows)],
            "fare": [f"{each:.2f}".replace(".", ",") for each in fare],
        }
    )
