# Two stages: the first installs and builds, the second holds the result and nothing that built it.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/broker
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
RUN pip install --require-hashes -r requirements-build.txt \
 && /opt/broker/bin/pip install --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY broker/ broker/
COPY scim/ scim/
COPY providers/ providers/
COPY openapi/ openapi/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/broker/bin/pip install --no-deps --no-index dist/*.whl \
 && /opt/broker/bin/python -m compileall -q /opt/broker/lib

# Runs as 10001 with a read-only root: all it writes is in /data (--read-only --tmpfs /tmp).
FROM python:3.11-slim
RUN groupadd --gid 10001 broker \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin broker \
 && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/broker /opt/broker
ENV PATH=/opt/broker/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BROKER_DATA=/data \
    BROKER_PORT=8080
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["broker", "healthcheck"]
CMD ["broker", "serve", "--host", "0.0.0.0"]
