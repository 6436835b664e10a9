"""Parquet to jagged examples: files, schema checks, and decoding without Python objects."""
