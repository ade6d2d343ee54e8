"""What the tests share: oracles, registries, inherited suites, workers."""
