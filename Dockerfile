# The connector as an image: docker build -t crm-enrichment-connector .
# How to run it: deploy/compose.yaml, deploy/kubernetes, docs/deployment.md.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The pinned versions first: these layers stay as long as they do. They include what PostgreSQL needs.
COPY requirements.txt requirements-build.txt /src/
RUN python -m venv /opt/connector && /opt/connector/bin/pip install --require-hashes -r /src/requirements.txt
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r /src/requirements-build.txt
COPY pyproject.toml README.md LICENSE /src/
COPY connector /src/connector
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /src \
 && /opt/connector/bin/pip install --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim
LABEL org.opencontainers.image.title="crm-enrichment-connector" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 connector \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin connector \
 && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/connector /opt/connector
COPY deploy/healthcheck.py /opt/connector/healthcheck.py
ENV PATH=/opt/connector/bin:$PATH PYTHONUNBUFFERED=1
# As a number, so that Kubernetes can see that it is not root.
USER 10001:10001
# Here the embedded ledger and its key are kept, and mapping files of your own are looked for (/data/mappings).
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python", "/opt/connector/healthcheck.py"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["connector"]
CMD ["--help"]
