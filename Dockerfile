# Two stages: the first has pip and setuptools, the second only Python and what they installed.
FROM python:3.13-slim AS build

RUN python -m venv /opt/respond-async
ENV PATH=/opt/respond-async/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build

# The dependencies first: a change of our own code leaves this layer as it is.
COPY requirements.lock .
RUN pip install --require-hashes --no-deps --only-binary :all: --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
RUN pip install --no-deps --no-index --no-build-isolation . \
    && pip uninstall --yes setuptools pip


FROM python:3.13-slim

RUN useradd --uid 10001 --user-group --home-dir /var/lib/respond-async --shell /usr/sbin/nologin respond-async \
    && install --directory --owner respond-async --group respond-async --mode 0700 /var/lib/respond-async
COPY --from=build /opt/respond-async /opt/respond-async
COPY config /etc/respond-async
ENV PATH=/opt/respond-async/bin:$PATH PYTHONUNBUFFERED=1

# A number, so that orchestrators can see that it is not root. The store must be a volume: what was promised with a 202
# outlives the container.
USER 10001:10001
VOLUME /var/lib/respond-async
EXPOSE 8080

# Live, not ready: a proxy that drains is healthy. The admin listener is inside the container only, and no HTTP_PROXY that
# Docker gives to its containers is asked for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8081/livez', timeout=2)"]

# Exec form: the proxy is process 1 and gets SIGTERM itself, which drains it. Give it longer than its drain_timeout:
# `docker run --stop-timeout 45`.
ENTRYPOINT ["respond-async"]
CMD ["serve", "--config", "/etc/respond-async/proxy.yaml"]
