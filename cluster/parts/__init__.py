"""The registered parts that a job names: found, checked against their classes, and made. Imports torch."""
