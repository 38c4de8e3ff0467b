# The gate's image, in two sizes. Build in the root of a checkout, with your trust file beside this one:
#
#   registry-gate keys init && cp ~/.registry-gate/trust.json deploy/container/trust.json
#   docker build -f deploy/container/gate.Dockerfile --target puller -t registry.example/registry-gate:0.1.0 .
#   docker build -f deploy/container/gate.Dockerfile --target gate -t registry.example/registry-gate-full:0.1.0 .
#
# The trust file is part of the image, so that the image's digest fixes whom it believes. Both base images are named
# by tag because their digests change with every fix: pin the ones that your mirror holds with
# --build-arg BUILD_IMAGE=...@sha256:... and --build-arg RUN_IMAGE=...@sha256:....
# Both must be Debian 12 with CPython 3.11: what is built in one runs in the other.
ARG BUILD_IMAGE=python:3.11-slim-bookworm
ARG RUN_IMAGE=gcr.io/distroless/python3-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY requirements.lock requirements-torch.lock ./
# What verifying and pulling need, in the versions of the lock; what examining needs is left out.
RUN sed -n -E 's/^([A-Za-z0-9._-]+(\[[a-z,-]+\])?==[^ ;]+).*/\1/p' requirements.lock > constraints.txt
COPY pyproject.toml README.md LICENSE registry_gate_guard.pth ./
COPY policies policies
COPY deploy deploy
COPY registry_gate registry_gate
RUN python -m pip install --no-cache-dir --target /puller/site-packages --constraint constraints.txt .

FROM build AS build-gate
RUN python -m pip install --no-cache-dir --target /gate/site-packages --require-hashes --no-deps -r requirements.lock \
    && python -m pip install --no-cache-dir --target /gate/site-packages -r requirements-torch.lock \
    && python -m pip install --no-cache-dir --target /gate/site-packages --no-deps .

# verify, pull and export-admitted for registries over http: what an init container needs.
FROM ${RUN_IMAGE} AS puller
COPY --from=build --chown=0:0 /puller/site-packages /opt/registry-gate/site-packages
COPY --chown=0:0 deploy/container/entry.py /opt/registry-gate/entry.py
COPY --chown=0:0 deploy/container/trust.json /etc/registry-gate/trust.json
ENV HOME=/tmp REGISTRY_GATE_HOME=/tmp/registry-gate PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/python3.11", "-I", "/opt/registry-gate/entry.py"]
CMD ["--help"]

# Everything: admit and scan too. REGISTRY_GATE_HOME is a volume: key, log and working files.
FROM ${RUN_IMAGE} AS gate
COPY --from=build-gate --chown=0:0 /gate/site-packages /opt/registry-gate/site-packages
COPY --chown=0:0 deploy/container/entry.py /opt/registry-gate/entry.py
COPY --chown=0:0 deploy/container/trust.json /etc/registry-gate/trust.json
ENV HOME=/tmp REGISTRY_GATE_HOME=/var/lib/registry-gate PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/python3.11", "-I", "/opt/registry-gate/entry.py"]
CMD ["--help"]
