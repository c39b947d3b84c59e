"""Derivatives of operations, both ways, one class each."""
