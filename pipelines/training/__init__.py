"""The training loop, and what surrounds a step: saving, stopping, schedules, steps that are not finite."""
