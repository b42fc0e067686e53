"""Facial-expression nets: torch modules with gradients towards the input, one file each."""

from veil.expression.loading import load_expression_net

__all__ = ["load_expression_net"]
