"""Measurements; run them from the root of the repository.

python -m benchmarks                  time of every contender as a ratio to a linear layer
python -m benchmarks --memory         peak memory, each contender in a process of its own
python -m benchmarks --scaling        how time and memory grow with the number of rows
python -m benchmarks.layer            the layer on batches of small matrices, beside attention
python -m benchmarks.crossval         cross-validated scores beside scikit-learn's estimators
python -m benchmarks.accuracy.tables   scores on 26 tables beside other estimators
python -m benchmarks.accuracy.series   scores on 8 sets of series beside other estimators
python -m benchmarks.accuracy.report   their means, ranks and a critical-difference picture
python -m benchmarks.lagged           scores on series whose classes differ in a lagged covariance
python -m benchmarks.ranks            rows spread over processes: bytes sent, time and memory
python -m benchmarks.rows_on_disk     lphm apply on tables larger than memory
python -m benchmarks.training_ranks   training over processes: bytes sent and rows per second
"""
