"""What a model is measured by, the same on any number of workers."""
