"""A head of RPN with two functions of interdependence, and what it computes."""

import numpy as np

from lphm import rpn

CHANNELS, B, M, N = 3, 8, 6, 4  # channels; rows and columns of the data; columns of the head's output


def interdependences(**more):
    """Attribute: W is 8 x 8. Instance: W is 6 x 6. Both non-degenerate: 1 < p < n, p != q, r > 1."""
    attribute = rpn.lphm_parameterized_bilinear_interdependence(
        r=2, p=4, q=2, b=B, m=M, interdependence_type="attribute", **more
    )
    instance = rpn.lphm_parameterized_bilinear_interdependence(
        r=2, p=3, q=2, b=B, m=M, interdependence_type="instance", **more
    )
    return attribute, instance


def lphm_W(w, n, p, q, r):
    A, S, T = np.split(w, [p * q, p * q + n // p * r])
    return np.kron(A.reshape(p, q), S.reshape(n // p, r) @ T.reshape(n // q, r).T)


def expected(head, x):
    """What a head computes: the mean over channels of ``xi_iᵀ κ(x xi_a) φᵀ`` with ``κ(x) = [x, x²]``."""
    X, out = x.numpy(), []
    for c in range(CHANNELS):
        wa, wi, w = (
            getattr(head, name)[c].detach().numpy()
            for name in ("w_attribute_interdependence", "w_instance_interdependence", "w")
        )
        mixed = X @ (X.T @ lphm_W(wa, B, 4, 2, 2) @ X)
        kappa = np.concatenate([mixed, mixed**2], axis=1)
        xi = X @ lphm_W(wi, M, 3, 2, 2) @ X.T
        out.append(xi.T @ kappa @ w.reshape(N, 2 * M).T)
    return np.mean(out, axis=0)


def close(got, want):
    assert got.shape == want.shape
    assert np.abs(got.detach().numpy() - want).max() <= 1e-12 * np.abs(want).max()
