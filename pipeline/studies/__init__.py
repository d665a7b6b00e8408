"""Experiments: guests that use the product and that no part of it imports."""
