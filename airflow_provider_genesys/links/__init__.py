"""Links from a task in the Airflow UI to the systems that it works with."""
