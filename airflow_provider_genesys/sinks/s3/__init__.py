"""Objects in S3, through the API that other stores speak as well."""
