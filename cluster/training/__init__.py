"""From a job to a trained, measured run: what the driver prepares, and what every worker does."""
