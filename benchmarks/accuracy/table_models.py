"""The models for tables, with their defaults, each on inputs encoded as it needs them.

The MLP stops early and has a standardised target: with scikit-learn's defaults it often does not converge.
"""

from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from benchmarks.accuracy.fits import Model
from benchmarks.peers import load
from lphm.estimators import LPHMClassifier, LPHMRegressor


def text_columns(X: pd.DataFrame) -> list[str]:
    """The columns that are no numbers."""
    return [*X.select_dtypes(object).columns]


def numbers_only(X: pd.DataFrame) -> Any:
    """Standardised numbers, with the median and an indicator for missing ones, and one column a word."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer((words, text_columns(X)), remainder=numbers)


class Categories(TransformerMixin, BaseEstimator):
    """Text as pandas' categories, those of the training part; others are missing."""

    def fit(self, X: pd.DataFrame, _y: Any = None) -> "Categories":
        """Keep the categories of every column of text."""
        levels = {name: sorted(X[name].dropna().unique()) for name in text_columns(X)}
        self.dtypes_ = {name: pd.CategoricalDtype(levels[name]) for name in levels}
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The table with these categories."""
        known = {name: X[name].where(X[name].isin(dtype.categories)) for name, dtype in self.dtypes_.items()}
        return X.assign(**known).astype(self.dtypes_)


def linear(X: pd.DataFrame, regression: bool, _seed: int) -> Any:
    return make_pipeline(numbers_only(X), Ridge() if regression else LogisticRegression(max_iter=2000))


def random_forest(X: pd.DataFrame, regression: bool, seed: int) -> Any:
    cls = RandomForestRegressor if regression else RandomForestClassifier
    return make_pipeline(numbers_only(X), cls(random_state=seed, n_jobs=1))


def mlp(X: pd.DataFrame, regression: bool, seed: int) -> Any:
    arguments = {"early_stopping": True, "max_iter": 500, "random_state": seed}
    if regression:
        model = make_pipeline(numbers_only(X), MLPRegressor(**arguments))
        return TransformedTargetRegressor(model, transformer=StandardScaler())
    return make_pipeline(numbers_only(X), MLPClassifier(**arguments))


def hist_gradient_boosting(_X: pd.DataFrame, regression: bool, seed: int) -> Any:
    cls = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return make_pipeline(Categories(), cls(random_state=seed))


def lightgbm(_X: pd.DataFrame, regression: bool, seed: int) -> Any:
    package = load("lightgbm")
    cls = package.LGBMRegressor if regression else package.LGBMClassifier
    return make_pipeline(Categories(), cls(random_state=seed, n_jobs=1, verbose=-1))


def catboost(X: pd.DataFrame, regression: bool, seed: int) -> Any:
    package, words = load("catboost"), text_columns(X)
    cls = package.CatBoostRegressor if regression else package.CatBoostClassifier
    quiet = {"thread_count": 1, "verbose": False, "allow_writing_files": False}
    missing = FunctionTransformer(pd.DataFrame.fillna, kw_args={"value": dict.fromkeys(words, "missing")})
    return make_pipeline(missing, cls(cat_features=words, random_seed=seed, **quiet))


def library(options: dict[str, Any]) -> Model:
    """The library's estimator, which takes the table as it is."""

    def build(_X: pd.DataFrame, regression: bool, seed: int) -> Any:
        return (LPHMRegressor if regression else LPHMClassifier)(random_state=seed, **options)

    return Model(build, package="lphm")


PEERS = {
    "linear": Model(linear, seeded=False),
    "MLP": Model(mlp),
    "RandomForest": Model(random_forest),
    "HistGradientBoosting": Model(hist_gradient_boosting),
    "LightGBM": Model(lightgbm, package="lightgbm"),
    "CatBoost": Model(catboost, package="catboost"),
}
