"""Archives of pictures: shards of a fixed listing, one Parquet file each, and the report about them."""
