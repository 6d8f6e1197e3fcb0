# Built in one stage, run in another that gets the finished environment alone.
# Which image a tag names changes: pin both by digest where you build for production (docs/operations.md).
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
# Installed into from outside, so that it has no pip; bytecode comes below.
RUN python -m venv --without-pip /venv
COPY requirements/run.txt requirements/
RUN python -m pip --python /venv/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
# What builds the service is not needed to run it. Bytecode that names no time is the same in every build, and is
# taken as it is: the file system is read-only.
RUN python -m pip --python /venv/bin/python install --no-cache-dir --no-compile --no-deps --no-build-isolation . \
    && python -m pip --python /venv/bin/python uninstall --yes flit_core \
    && python -m compileall -q --invalidation-mode unchecked-hash /venv

FROM python:3.13-slim-bookworm
# The base image has no bytecode of the standard library, and each start would compile it anew. Nothing is installed here.
RUN python -m pip uninstall --yes --root-user-action ignore pip \
    && python -m compileall -q --invalidation-mode unchecked-hash "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /venv /venv
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="playlist-service" \
      org.opencontainers.image.description="Playlists over HTTP on a shared DynamoDB table, with optimistic locking" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
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
