"""Ridge regression from sums of features: its solution, its features, and how its sums are kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def ridge(products: Tensor, sums: Tensor, strength: float) -> Tensor:
    """(k, D) W, the least Σ |y - W f|² + strength |W|² for targets y that are 1 for the class.

    W = Q (G + λ I)⁻¹ of the (D, D) `products` G of features and the (k, D) `sums` Q of each class.
    """
    return solved_rows(products + strength * torch.eye(len(products)).to(products), sums)


def solved_rows(matrix: Tensor, rows: Tensor) -> Tensor:
    """(k, D) `rows` times the inverse of a symmetric (D, D) matrix, or its pseudo-inverse."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        inverse: Tensor = torch.linalg.pinv(matrix, hermitian=True)
        return rows @ inverse
    return torch.cholesky_solve(rows.T, factor).T


class Products(nn.Module):
    """(batch, 1 + D + M) float64 of (batch, D): 1, x and (R x)(R' x), of (2, M, D) R and R'."""

    drawn: Tensor

    def __init__(self, drawn: Tensor) -> None:
        super().__init__()
        self.register_buffer("drawn", drawn)

    def forward(self, x: Tensor) -> Tensor:
        """Make the features."""
        first, second = (x @ each.T for each in self.drawn)
        return torch.cat([torch.ones_like(x[:, :1]), x, first * second], dim=1).double()


def upper_of(matrix: Tensor) -> Tensor:
    """The upper triangle of a (D, D) matrix, row by row: D (D + 1) / 2 entries."""
    return matrix[tuple(torch.triu_indices(*matrix.shape))]


def symmetric(upper: Tensor, size: int) -> Tensor:
    """The symmetric (D, D) matrix whose upper triangle `upper_of` gave; `size` is D."""
    matrix = upper.new_zeros(size, size)
    rows, columns = torch.triu_indices(size, size)
    matrix[rows, columns] = matrix[columns, rows] = upper
    return matrix
