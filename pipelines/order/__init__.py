"""The global order of rows: K lanes of micro-batches that do not depend on the number of workers."""
