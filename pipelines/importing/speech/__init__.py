"""Folders of recordings."""
