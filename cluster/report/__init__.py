"""A run's report: one HTML page, or a W&B Report. Import its modules inside functions: they load plotting libraries."""
