"""What ``./run demo`` and ``./run up`` do: the provider on real Airflow, with everything it talks to on this machine."""
