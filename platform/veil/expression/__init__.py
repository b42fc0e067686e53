"""Facial-expression nets: torch modules with gradients towards the input, one file each."""

from veil.expression.loading import expression_net_sha256, load_expression_net

__all__ = ["expression_net_sha256", "load_expression_net"]
