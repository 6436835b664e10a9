"""What people do with a trained model: call it from Python, predict and recommend for rows of Parquet."""
