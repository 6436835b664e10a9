"""What takes the steps: the protocol, the plain-torch engine, and what every engine does the same way."""
