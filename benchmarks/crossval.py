"""Cross-validated scores of the estimators with their defaults, beside scikit-learn's with theirs.

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

from lphm.estimators import LPHMClassifier, LPHMRegressor
from lphm.nn.network import interdependence_parameters

SETS: dict[str, Callable[..., Any]] = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "diabetes": load_diabetes,
}
MODELS = {
    "linear": (LogisticRegression, Ridge),
    "MLP": (MLPClassifier, MLPRegressor),
    "HistGradientBoosting": (HistGradientBoostingClassifier, HistGradientBoostingRegressor),
}
OURS = {"lphm": {}, "full": {"structure": "full"}, "none": {"kind": "none"}}


def scored(name: str, model: str, seed: int) -> dict[str, Any]:
    """Mean score of one model on one set over five folds, and the interdependence parameters."""
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
    if model in OURS:  # they standardise by themselves, and take an image as 8 rows of 8 columns
        X = bunch.images if name == "digits" else X
    else:
        estimator = make_pipeline(StandardScaler(), estimator)
    found = cross_validate(estimator, X, y, cv=split, return_estimator=True)
    parameters = 0
    if model in OURS:
        parameters = interdependence_parameters(found["estimator"][0].run_.network)
    return {"score": float(found["test_score"].mean()), "parameters": parameters}


def main() -> None:
    """Score every model on every set and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=[*MODELS, *OURS], choices=[*MODELS, *OURS])
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, help="A .json file for the scores.")
    arguments = parser.parse_args()
    print(f"| model | {' | '.join(arguments.sets)} | mean | interdependence parameters |")
    print(f"| --- |{' --- |' * (len(arguments.sets) + 2)}", flush=True)
    results = {}
    for model in arguments.models:
        rows = {n: [scored(n, model, seed) for seed in arguments.seeds] for n in arguments.sets}
        means = [fmean(one["score"] for one in rows[n]) for n in arguments.sets]
        parameters = " / ".join(f"{rows[n][0]['parameters']:,}" for n in arguments.sets)
        cells = [model, *(f"{mean:.4f}" for mean in means), f"{fmean(means):.4f}", parameters]
        print(f"| {' | '.join(cells)} |", flush=True)
        results[model] = rows
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
