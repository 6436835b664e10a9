"""Backends: how an attention formula is computed."""
