"""Images put into a registry by its own API, without an engine: also such as no engine here would make."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import urllib.request
from typing import Any


def _call(method: str, url: str, body: bytes, kind: str = "application/octet-stream") -> Any:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": kind})
    return urllib.request.urlopen(request, timeout=30)


def _put_blob(registry: str, repository: str, blob: bytes, kind: str) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    with _call("POST", f"http://{registry}/v2/{repository}/blobs/uploads/", b"") as begun:
        where = begun.headers["Location"]
    _call("PUT", f"{where}&digest={digest}", blob).close()
    return {"mediaType": kind, "size": len(blob), "digest": digest}


def put_image(registry: str, repository: str, files: dict[str, bytes], architecture: str) -> str:
    """One layer with these files, all of them programs; returns the name of its tag 1."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as packed:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            packed.addfile(entry, io.BytesIO(content))
    diff = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    config = {"architecture": architecture, "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [diff]}}
    kind = "application/vnd.oci.image"
    manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
                "config": _put_blob(registry, repository, json.dumps(config).encode(), f"{kind}.config.v1+json"),
                "layers": [_put_blob(registry, repository, layer.getvalue(), f"{kind}.layer.v1.tar")]}
    _call("PUT", f"http://{registry}/v2/{repository}/manifests/1", json.dumps(manifest).encode(),
          manifest["mediaType"]).close()
    return f"{registry}/{repository}:1"
