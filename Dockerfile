# Built in one stage, run in another that gets the finished environment alone.
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements/run.txt requirements/
RUN /venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
RUN /venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="playlist-service" \
      org.opencontainers.image.description="Playlists over HTTP on a shared DynamoDB table, with optimistic locking" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080
# Alive, not ready: whoever restarts what is unhealthy would not mend DynamoDB by it, and cut off the drain.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=2); c.request('GET', '/livez'); exit(c.getresponse().status != 200)"]
ENTRYPOINT ["playlists"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
