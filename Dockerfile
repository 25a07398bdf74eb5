# The service with its web interface, in an image of its own:
#
#   docker build --tag wallet-service .
#   docker run --rm --publish 127.0.0.1:8080:8080 wallet-service
#
# The base images are arguments, for whoever has a registry or a base of their own. What is installed is pinned by hash.
# PIP_INDEX_URL and NPM_CONFIG_REGISTRY, where given, name the registries that it comes from.
ARG NODE_IMAGE=node:22-slim
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${NODE_IMAGE} AS ui
ARG NPM_CONFIG_REGISTRY
WORKDIR /build/frontend
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY frontend ./
RUN npm run build

FROM ${PYTHON_IMAGE} AS package
ARG PIP_INDEX_URL
WORKDIR /build
# The service's own environment has no installer in it.
RUN python3 -m venv /opt/installer && python3 -m venv --without-pip /opt/wallet
COPY requirements/runtime.txt requirements/
RUN /opt/installer/bin/pip --python /opt/wallet/bin/python install --no-cache-dir --require-hashes --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY alembic alembic
COPY src src
COPY --from=ui /build/src/entrypoints/ui src/entrypoints/ui
RUN /opt/wallet/bin/python -m hatchling build --target wheel --directory /dist \
    && /opt/installer/bin/pip --python /opt/wallet/bin/python install --no-cache-dir --no-index --no-deps /dist/*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Wallet Service" \
    org.opencontainers.image.description="Wallets that credit and debit exactly once, on PostgreSQL, over HTTP" \
    org.opencontainers.image.licenses="Apache-2.0"
# The ids are fixed, for those who give files and volumes to the service.
RUN groupadd --gid 10001 wallet \
    && useradd --uid 10001 --gid wallet --home-dir /var/lib/wallet --create-home --shell /usr/sbin/nologin wallet
COPY --from=package /opt/wallet /opt/wallet
ENV PATH=/opt/wallet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WALLET_HOST=0.0.0.0 \
    WALLET_DATA_DIR=/var/lib/wallet
USER 10001:10001
WORKDIR /var/lib/wallet
# Only the embedded PostgreSQL writes here. With WALLET_DATABASE_URL the service writes nothing.
VOLUME /var/lib/wallet
EXPOSE 8080
# It finishes what was begun, which takes at most half a minute: docker stop --timeout 35
STOPSIGNAL SIGTERM
# Whether it lives, and not whether its database does: a new container would not bring that one back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('WALLET_PORT', '8080')), timeout=4); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["wallet"]
CMD ["serve"]
