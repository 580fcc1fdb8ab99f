"""Logistic regression with a ridge."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

FloatArray = npt.NDArray[np.float64]


def fit_logistic(table: Any, truth: npt.NDArray[np.bool_], weights: FloatArray, ridge: float) -> FloatArray:
    """Fits weights to rows.

    Args:
        table: Numbers of each row, dense or sparse, shape `(n_rows, n_columns)`.
        truth: What each row is, shape `(n_rows,)`.
        weights: How much each row counts, shape `(n_rows,)`.
        ridge: Half of it times the squares of all weights but the constant is added to the loss.

    Returns:
        The weights, and the constant last; shape `(n_columns + 1,)`.
    """
    n = table.shape[1]

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        logit = table @ theta[:n] + theta[n]
        error = (1 / (1 + np.exp(-logit)) - truth) * weights
        value = weights @ np.logaddexp(0, np.where(truth, -logit, logit)) + ridge / 2 * theta[:n] @ theta[:n]
        return float(value), np.append(table.T @ error + ridge * theta[:n], error.sum())

    return np.asarray(minimize(loss, np.zeros(n + 1), jac=True, method="L-BFGS-B").x)
