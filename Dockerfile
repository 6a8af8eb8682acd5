# The official Airflow image, which already holds the Celery, Redis, FAB and amazon providers, plus this one.
FROM apache/airflow:3.3.2-python3.12

COPY --chown=airflow:0 pyproject.toml README.md LICENSE /opt/provider/
COPY --chown=airflow:0 airflow_provider_genesys /opt/provider/airflow_provider_genesys/

# Airflow's version is named, and its constraints hold, so that pip adds to the image and never changes Airflow itself.
# The last line fails the build, rather than the first task, where the provider cannot be imported.
RUN pip install --no-cache-dir --constraint "${HOME}/constraints.txt" \
        "apache-airflow==${AIRFLOW_VERSION}" "/opt/provider[postgres]" \
    && python -c "from airflow_provider_genesys.get_provider_info import get_provider_info; get_provider_info()"
