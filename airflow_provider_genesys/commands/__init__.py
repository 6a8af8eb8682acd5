"""What ``airflow-genesys`` does, a module for each verb."""

import os

# Airflow logs to standard output, where what is asked for has to be alone. It reads this once, when it is imported.
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
