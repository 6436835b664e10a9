"""Models of speech, and the features they read."""
