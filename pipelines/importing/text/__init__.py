"""Text files: labelled texts and pairs of texts."""
