"""The problems that can be trained, a file each."""
