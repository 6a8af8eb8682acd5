"""What the tasks of Airflow share: waiting, handles, arguments, reports, outages."""
