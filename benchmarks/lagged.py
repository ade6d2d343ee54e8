"""Series whose classes differ only in a lagged covariance between channels: what finds it, and at what cost.

python -m benchmarks.lagged
"""

import argparse
import sys
from pathlib import Path
from statistics import fmean

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from lagged import lagged_series  # the generator is the tests' own

from lphm.estimators import LPHMClassifier
from lphm.nn.network import interdependence_parameters

VARIANTS = {
    "none": {"kind": "none"},
    "full": {"kind": "attribute", "structure": "full"},
    "low-rank": {"kind": "attribute", "structure": "low-rank"},
    "lphm": {"kind": "attribute"},
    "lphm, both kinds": {},
}


def main() -> None:
    """Train every variant under every seed and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--series", type=int, default=600)
    arguments = parser.parse_args()
    print("| network | interdependence parameters | test accuracy | by seed |")
    print("| --- | --- | --- | --- |")
    for name, options in VARIANTS.items():
        scores = []
        for seed in arguments.seeds:
            X, y = lagged_series(arguments.series, seed=100 + seed)
            model = LPHMClassifier(random_state=seed, **options).fit(X, y)
            scores.append(model.score(*lagged_series(1000, seed=200 + seed)))
        parameters = interdependence_parameters(model.run_.network)
        told = ", ".join(f"{score:.3f}" for score in scores)
        print(f"| {name} | {parameters:,} | {fmean(scores):.3f} | {told} |", flush=True)


if __name__ == "__main__":
    main()
