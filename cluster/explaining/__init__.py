"""Where a trained model's attention looks: rows computed again, and what its layers weigh. Imports torch."""
