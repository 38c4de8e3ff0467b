"""A model server in one file: loads what was pulled, verified once more, and answers over HTTP.

    GET  /healthz   200 once the model is loaded
    POST /predict   {"text": "..."} -> {"label": "...", "score": 0.97}

It is an example of the road's end: no hub, no credentials, one read-only folder, every answer in the
prediction log where REGISTRY_GATE_PREDICTIONS names one. ``--health`` asks a running server, for a
container's health check.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, "/opt/registry-gate/site-packages")

from socketserver import ThreadingMixIn
from urllib.request import urlopen
from wsgiref.simple_server import WSGIServer, make_server

PORT = 8080
MAX_TEXT = 4096


class Server(ThreadingMixIn, WSGIServer):
    """A thread a request; threads die with the process."""

    daemon_threads = True


def application(model):
    """The WSGI application round a model that ``load_verified`` returned."""
    import torch

    about = {"model": model.verified.id, "manifest": model.verified.manifest_digest}

    def answer(start_response, status, said):
        body = json.dumps(said).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def classify(text):
        inputs = model.processor(text, return_tensors="pt", truncation=True)
        with torch.no_grad():
            scores = torch.softmax(model(**inputs).logits[0], dim=-1)
        best = int(scores.argmax())
        return {"label": model.config.id2label[best], "score": round(float(scores[best]), 6)}

    def serve(environ, start_response):
        if environ["PATH_INFO"] == "/healthz":
            return answer(start_response, "200 OK", {"status": "ok", **about})
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("POST", "/predict"):
            return answer(start_response, "404 Not Found", {"error": "there is /healthz and /predict"})
        try:
            text = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))["text"]
            if not isinstance(text, str) or len(text) > MAX_TEXT:
                raise ValueError("text is not a string of at most 4096 characters")
        except (ValueError, KeyError, TypeError) as error:
            return answer(start_response, "400 Bad Request", {"error": str(error)})
        return answer(start_response, "200 OK", classify(text))

    return serve


def logged(serve, model):
    """With the prediction log round it, where the environment names one and its key."""
    from registry_gate.runtime import PredictionLog, WsgiPredictionLog

    path, key = os.environ.get("REGISTRY_GATE_PREDICTIONS"), os.environ.get("REGISTRY_GATE_PREDICTIONS_KEY")
    if not path or not key:
        return serve
    log = PredictionLog(Path(path), model=model.verified.manifest_digest, key=Path(key).read_bytes())
    return WsgiPredictionLog(serve, log, max_body=64 * 1024)


def main():
    """Serve, or with ``--health`` ask whether a server here serves; exit status 0 if so."""
    if sys.argv[1:] == ["--health"]:
        with urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=5) as response:
            sys.exit(0 if response.status == 200 else 1)
    from registry_gate import load_verified

    model = load_verified(Path(os.environ["MODEL_FOLDER"]))
    serve = logged(application(model), model)
    with make_server("0.0.0.0", PORT, serve, server_class=Server) as server:  # noqa: S104 - a pod's own address
        server.serve_forever()


main()
