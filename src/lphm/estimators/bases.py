"""The base classes of scikit-learn, which has no types; ``bases.pyi`` declares those that are used."""

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin  # noqa: F401
