"""Models over user-behaviour histories."""
