"""Looking for everything that is wrong with a data set, before a run meets the first of it."""
