"""Accuracy on series whose classes differ only in a lagged covariance between channels.

python -m benchmarks.lagged
"""

import argparse
import sys
from pathlib import Path
from statistics import fmean

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from benchmarks.tables import table_head, table_row
from lphm.estimators import LPHMClassifier
from lphm.nn.network import interdependence_parameters
from support.lagged import lagged_series  # the tests use the same generator

VARIANTS = {
    "none": {"kind": "none"},
    "full": {"kind": "attribute", "structure": "full"},
    "low-rank": {"kind": "attribute", "structure": "low-rank"},
    "lphm": {"kind": "attribute"},
    "lphm, both kinds": {"method": "network"},
    "toeplitz": {"kind": "attribute", "structure": "toeplitz"},
    "ridge": {},
}


def main() -> None:
    """Train every variant with every seed and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--series", type=int, default=600, help="training series (%(default)s)")
    arguments = parser.parse_args()
    print(table_head(["network", "interdependence parameters", "test accuracy", "by seed"]))
    for name, options in VARIANTS.items():
        scores = []
        for seed in arguments.seeds:
            X, y = lagged_series(arguments.series, seed=100 + seed)
            model = LPHMClassifier(random_state=seed, **options).fit(X, y)
            scores.append(model.score(*lagged_series(1000, seed=200 + seed)))
        parameters = interdependence_parameters(model.run_.network)
        by_seed = ", ".join(f"{score:.3f}" for score in scores)
        print(table_row([name, f"{parameters:,}", f"{fmean(scores):.3f}", by_seed]), flush=True)


if __name__ == "__main__":
    main()
