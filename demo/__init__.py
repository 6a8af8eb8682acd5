"""What ``./run demo`` and ``./run up`` do: the provider on real Airflow, with all it talks to on this machine."""
