"""Images by address: fetched many at once, politely and guardedly, and kept in Parquet files beside the catalogue."""
