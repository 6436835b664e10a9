"""The front door: job files, the command line, launching, reports, and the YAML that describes clusters."""
