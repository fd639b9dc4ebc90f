"""Lines: cameras watched for months, on one engine."""
