"""Cross-validated scores of the estimators and of scikit-learn's estimators, all with their defaults.

python -m benchmarks.crossval --output crossval.json
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.tables import table_head, table_row
from lphm.estimators import LPHMClassifier, LPHMRegressor
from lphm.nn.network import interdependence_parameters

SETS: dict[str, Callable[..., Any]] = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "diabetes": load_diabetes,
}
#: Classifier and regressor of scikit-learn.
MODELS = {
    "linear": (LogisticRegression, Ridge),
    "MLP": (MLPClassifier, MLPRegressor),
    "HistGradientBoosting": (HistGradientBoostingClassifier, HistGradientBoostingRegressor),
}
#: Arguments of the library's estimators.
OURS = {
    "lphm": {},
    "network": {"method": "network"},
    "full": {"structure": "full"},
    "none": {"kind": "none"},
}


def evaluate(name: str, model: str, seed: int) -> dict[str, Any]:
    """Mean score of a model on a data set over five folds, and its interdependence parameters."""
    bunch = SETS[name]()
    X, y = bunch.data, bunch.target
    regression = name == "diabetes"
    if model in OURS:
        estimator = (LPHMRegressor if regression else LPHMClassifier)(random_state=seed, **OURS[model])
    else:
        cls = MODELS[model][regression]
        seeded = {"random_state": seed} if "random_state" in cls().get_params() else {}
        estimator = cls(**seeded)
    split = (KFold if regression else StratifiedKFold)(5, shuffle=True, random_state=seed)
    if model in OURS:  # these standardise their inputs, and take an image as 8 rows of 8 columns
        X = bunch.images if name == "digits" else X
    else:
        estimator = make_pipeline(StandardScaler(), estimator)
    scores = cross_validate(estimator, X, y, cv=split, return_estimator=True)
    parameters = 0
    if model in OURS:
        parameters = interdependence_parameters(scores["estimator"][0].run_.network)
    return {"score": float(scores["test_score"].mean()), "parameters": parameters}


def main() -> None:
    """Score every model on every data set and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=[*MODELS, *OURS], choices=[*MODELS, *OURS])
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, help="JSON file for the scores")
    arguments = parser.parse_args()
    print(table_head(["model", *arguments.sets, "mean", "interdependence parameters"]), flush=True)
    results = {}
    for model in arguments.models:
        rows = {n: [evaluate(n, model, seed) for seed in arguments.seeds] for n in arguments.sets}
        means = [fmean(one["score"] for one in rows[n]) for n in arguments.sets]
        parameters = " / ".join(f"{rows[n][0]['parameters']:,}" for n in arguments.sets)
        print(table_row([model, *(f"{mean:.4f}" for mean in [*means, fmean(means)]), parameters]), flush=True)
        results[model] = rows
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
