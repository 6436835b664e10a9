"""Using a trained next-item model: histories in, items and scores out."""
