"""A W&B server on loopback that speaks enough of the protocol to record what the real client sends.

It keeps runs (name, group, configuration, history, summary, files) and artifacts in memory, and can be told to
refuse the key, to answer 429, to drop connections, or to go away. It answers what wandb-core 0.31 asks.
"""

import gzip
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "someone"


@dataclass
class RecordedRun:
    """What the client sent of one run."""

    project: str
    name: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None


@dataclass
class RecordedArtifact:
    """An artifact: its name, type and files."""

    name: str
    kind: str
    run: str
    state: str = "PENDING"
    manifest: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


class WandbServer:
    """State and planted faults; `address` is what WANDB_BASE_URL must be.

    Attributes
    ----------
    refuse_key, refuse_project
        Answer 401 to everything; 403 to whoever writes a run.
    too_many
        So many requests are answered with 429 first.
    drop
        So many requests with a history are cut in the middle: no answer.
    lose_files
        Answer 500 to every file.
    silent
        Take requests and answer none until `release`.
    """

    def __init__(self) -> None:
        self.runs: dict[str, RecordedRun] = {}
        self.artifacts: dict[str, RecordedArtifact] = {}
        self.views: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: Counter[str] = Counter()
        self.refuse_key = self.refuse_project = self.lose_files = self.silent = False
        self.too_many = self.drop = 0
        self.lock = threading.RLock()
        self.release = threading.Event()
        owner = self

        class Handler(_Handler):
            state = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}"

    def start(self) -> None:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.release.set()
        self._http.shutdown()
        self._http.server_close()

    def operations(self) -> list[str]:
        return [what for _, what in self.requests]

    def answer(self, operation: str, values: dict[str, Any]) -> dict[str, Any]:
        """Answer one GraphQL operation."""
        handler = getattr(self, f"_{re.sub(r'(?<!^)(?=[A-Z])', '_', operation).lower()}", None)
        return {} if handler is None else handler(values)

    def _viewer(self, values: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "VXNlcg==", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer}

    def _server_features_query(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _run_resume_status(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(values["name"])
        project = {"id": "P", "name": values["project"], "entity": {"id": "E", "name": values["entity"] or ENTITY}}
        bucket = None
        if run is not None:
            bucket = {
                "id": values["name"], "name": values["name"], "displayName": run.name, "tags": run.tags, "notes": "",
                "summaryMetrics": json.dumps(run.summary), "config": json.dumps(run.config),
                "logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]",
                "historyLineCount": len(run.history),
                "historyTail": json.dumps([json.dumps(line) for line in run.history[-1:]]),
                "wandbConfig": json.dumps({"t": 1}),
            }  # fmt: skip
        return {"model": {**project, "bucket": bucket}}

    def _upsert_bucket(self, values: dict[str, Any]) -> dict[str, Any]:
        key = values["name"]
        inserted = key not in self.runs
        run = self.runs.setdefault(key, RecordedRun(values["project"]))
        run.name = values["displayName"] or run.name
        run.group = values["groupName"] or run.group
        run.job_type = values["jobType"] or run.job_type
        run.tags = values["tags"] if values["tags"] is not None else run.tags
        run.config = json.loads(values["config"]) if values["config"] else run.config
        project = {"id": "P", "name": run.project, "entity": {"id": "E", "name": values["entity"] or ENTITY}}
        bucket = {
            "id": key, "name": key, "displayName": run.name, "description": "", "config": json.dumps(run.config),
            "sweepName": None, "historyLineCount": len(run.history), "project": project,
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _create_run_files(self, values: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": f, "uploadUrl": f"{self.address}/run/{values['run']}/{f}"} for f in values["files"]]
        return {"createRunFiles": {"runID": values["run"], "uploadHeaders": [], "files": files}}

    def _artifact_type(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _create_artifact(self, values: dict[str, Any]) -> dict[str, Any]:
        given = values["input"]
        name = (
            given["artifactCollectionName"]
            if "artifactCollectionName" in given
            else given["artifactCollectionNames"][0]
        )
        self.artifacts.setdefault(name, RecordedArtifact(name, given["artifactTypeName"], given["runName"]))
        made = {"id": name, "state": self.artifacts[name].state}
        return {"createArtifact": {"artifact": {**made, "artifactSequence": {"id": name, "latestArtifact": None}}}}

    def _create_artifact_manifest(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": {"artifactManifest": self._manifest(values["artifactID"])}}

    def _update_artifact_manifest(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"updateArtifactManifest": {"artifactManifest": self._manifest(values["artifactManifestID"])}}

    def _manifest(self, artifact: str) -> dict[str, Any]:
        file = {"id": artifact, "uploadUrl": f"{self.address}/manifest/{artifact}", "uploadHeaders": []}
        return {"id": artifact, "file": file}

    def _create_artifact_files(self, values: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for spec in values["input"]["artifactFiles"]:
            name, artifact = spec["name"], spec["artifactID"]
            node = dict.fromkeys(("id", "name", "displayName", "storagePath"), name)
            node |= {"uploadUrl": f"{self.address}/artifact/{artifact}/{name}", "uploadHeaders": []}
            edges.append({"node": {**node, "uploadMultipartUrls": None, "artifact": {"id": artifact}}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _commit_artifact(self, values: dict[str, Any]) -> dict[str, Any]:
        self.artifacts[values["artifactID"]].state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": values["artifactID"], "digest": ""}}}

    def _find_view(self, values: dict[str, Any]) -> dict[str, Any]:
        found = self.views.get((values["kind"], values["name"]))
        return {"project": {"allViews": {"edges": [{"node": {"id": found["id"]}}] if found else []}}}

    def _project_internal_id(self, values: dict[str, Any]) -> dict[str, Any]:
        known = any(run.project == values["projectName"] for run in self.runs.values())
        return {"project": {"internalId": "UHJvamVjdA=="} if known else None}

    def _upsert_view(self, values: dict[str, Any]) -> dict[str, Any]:
        key = (values["kind"], values["name"])
        inserted = key not in self.views
        assert inserted == (values.get("id") is None), "an update names the view that it replaces"
        self.views[key] = {**values, "id": f"view-{values['name']}"}
        return {"upsertView": {"view": {"id": self.views[key]["id"]}, "inserted": inserted}}

    def _run_output_artifacts(self, values: dict[str, Any]) -> dict[str, Any]:
        own = [artifact for artifact in self.artifacts.values() if artifact.run == values["run"]]
        edges = [{"node": {"id": artifact.name, "state": artifact.state}} for artifact in own]
        return {"project": {"run": {"outputArtifacts": {"edges": edges}}}}

    def store(self, path: str, body: bytes) -> None:
        """Keep an uploaded file."""
        kind, key, *rest = path.strip("/").split("/", 2)
        if kind == "run":
            self.runs[key].files[rest[0]] = body
        elif kind == "manifest":
            self.artifacts[key].manifest = json.loads(body)
        elif kind == "artifact":
            self.artifacts[key].files[rest[0]] = body

    def stream(self, run: str, body: dict[str, Any]) -> None:
        """Keep history and summary; a line sent again replaces itself."""
        recorded = self.runs[run]
        history = body.get("files", {}).get("wandb-history.jsonl")
        if history:
            lines = [json.loads(line) for line in history["content"]]
            recorded.history[history["offset"] : history["offset"] + len(lines)] = lines
        summary = body.get("files", {}).get("wandb-summary.json")
        if summary:
            recorded.summary = json.loads(summary["content"][-1])
        if body.get("complete"):
            recorded.exit_code = body.get("exitcode")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: WandbServer

    def handle(self) -> None:
        with suppress(OSError):  # the client ends connections without a word
            super().handle()

    def log_message(self, *arguments: object) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        values = json.loads(body) if self.path.startswith(("/graphql", "/files/")) and body else {}
        with self.state.lock:
            what = self._what(values)
            self.state.requests.append((self.command, what))
        if self.state.silent:
            self.state.release.wait(60)
            return
        with self.state.lock:
            status, answer = self._answer(what, values, body)
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        with suppress(OSError):  # the client may be gone
            self._send(status, answer)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815  (names of the base class)

    def _what(self, values: dict[str, Any]) -> str:
        if self.path != "/graphql":
            return self.path
        named = values.get("operationName") or re.search(r"(?:query|mutation)\s+(\w+)", values["query"])
        return named if isinstance(named, str) else named.group(1) if named else "anonymous"

    def _answer(self, what: str, values: dict[str, Any], body: bytes) -> tuple[int, object]:
        fault = self._fault(what, body)
        if fault is not None:
            self.state.faults[fault[0]] += 1
            return fault[1]
        if self.path == "/graphql":
            return 200, {"data": self.state.answer(what, values.get("variables") or {})}
        stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
        if stream:
            self.state.stream(stream.group(1), values)
        elif self.command == "PUT":
            self.state.store(self.path, body)
        return 200, {}

    def _fault(self, what: str, body: bytes) -> tuple[str, tuple[int, object]] | None:
        state, seen = self.state, self.state.faults
        faults = {
            "401": (state.refuse_key, (401, {"errors": [{"message": "user is not logged in"}]})),
            "403": (
                state.refuse_project and what == "UpsertBucket",
                (403, {"errors": [{"message": "permission denied"}]}),
            ),
            "429": (seen["429"] < state.too_many, (429, {"error": "rate limit exceeded"})),
            "dropped": (b"wandb-history" in body and seen["dropped"] < state.drop, (0, None)),
            "500": (state.lose_files and self.command == "PUT", (500, {})),
        }
        return next(((name, answer) for name, (planted, answer) in faults.items() if planted), None)

    def _send(self, status: int, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving() -> Iterator[WandbServer]:
    """A server that runs within the block."""
    server = WandbServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
