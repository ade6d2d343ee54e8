"""Scores on data sets that come in packages, beside other estimators, all with their defaults.

python -m benchmarks.accuracy.tables   fit every model on tables; one line of CSV for each fit
python -m benchmarks.accuracy.series   the same on series, with their official splits
python -m benchmarks.accuracy.report   means, losses, mean ranks and a critical-difference picture
"""
