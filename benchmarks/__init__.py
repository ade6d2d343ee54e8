"""Measurements, run from the root of the repository.

python -m benchmarks                time of every contender, as ratios to a linear layer
python -m benchmarks --memory       peak memory, a fresh process each
python -m benchmarks --scaling      exponents of time and memory in the rows
python -m benchmarks.crossval       scores of the estimators beside scikit-learn's
"""
