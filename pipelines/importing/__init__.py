"""Other people's files become Parquet: streaming, with every row that is refused accounted for."""
