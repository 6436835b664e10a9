"""Attention over jagged sequences: backends, layers, blocks and positions."""
