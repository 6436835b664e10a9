"""Losses, each a sum over its targets: who calls them divides by the step's global count."""
