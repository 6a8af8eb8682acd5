"""What users test their own DAGs with; nothing here is needed in production."""
