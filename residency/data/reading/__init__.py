"""Rows as they stand in files: JSON, CSV, Parquet, packed or not, folders, and datasets of the hub."""
