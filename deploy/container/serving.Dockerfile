# An example of a model server's image: it holds no model, and fetches none. Build as gate.Dockerfile says, with
# -t registry.example/model-server:0.1.0; the base images are pinned the same way.
ARG BUILD_IMAGE=python:3.11-slim-bookworm
ARG RUN_IMAGE=gcr.io/distroless/python3-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY requirements.lock requirements-torch.lock ./
RUN sed -n -E 's/^([A-Za-z0-9._-]+(\[[a-z,-]+\])?==[^ ;]+).*/\1/p' requirements.lock > constraints.txt
COPY pyproject.toml README.md LICENSE registry_gate_guard.pth ./
COPY policies policies
COPY deploy deploy
COPY registry_gate registry_gate
RUN python -m pip install --no-cache-dir --target /site-packages --constraint constraints.txt \
    -r requirements-torch.lock ".[load]"

FROM ${RUN_IMAGE} AS server
COPY --from=build --chown=0:0 /site-packages /opt/registry-gate/site-packages
COPY --chown=0:0 deploy/container/serve.py /opt/registry-gate/serve.py
COPY --chown=0:0 deploy/container/trust.json /etc/registry-gate/trust.json
ENV HOME=/tmp HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 MODEL_FOLDER=/models/model PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=20s --timeout=6s --start-period=120s CMD ["/usr/bin/python3.11", "-I", "/opt/registry-gate/serve.py", "--health"]
ENTRYPOINT ["/usr/bin/python3.11", "-I", "/opt/registry-gate/serve.py"]
