"""Test score of one network with LPHM, with Full and without interdependence, on the same splits.

python -m benchmarks.accuracy digits --seeds 0 1 2
"""

import argparse
from statistics import fmean

from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from lphm.data import Dataset, bundled_digits
from lphm.training import NetworkOptions, TrainingOptions, train

LOADERS = {
    "breast_cancer": load_breast_cancer,
    "diabetes": load_diabetes,
    "iris": load_iris,
    "wine": load_wine,
}


def table(name: str) -> Dataset:
    """A bundled set by its name."""
    if name == "digits":
        return bundled_digits()
    bunch = LOADERS[name](as_frame=True)
    return Dataset(name, bunch.data, bunch.target)


def main() -> None:
    """Train every structure under every seed and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", choices=["digits", *LOADERS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--structures", nargs="+", default=["lphm", "full", "none"])
    arguments = parser.parse_args()
    print("| set | structure | interdependence parameters | mean | by seed | seconds a training |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in arguments.sets:
        for structure in arguments.structures:
            runs = [
                train(table(name), NetworkOptions(structure), TrainingOptions(seed=seed))
                for seed in arguments.seeds
            ]
            score = runs[0].run.config.target.score
            values = [run.metrics["test"][score] for run in runs]
            cells = [
                name,
                structure,
                f"{runs[0].metrics['interdependence_parameters']:,}",
                f"{score} {fmean(values):.4f}",
                ", ".join(f"{value:.4f}" for value in values),
                f"{fmean(run.metrics['seconds'] for run in runs):.0f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
