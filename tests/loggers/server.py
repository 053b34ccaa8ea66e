"""Stands in for wandb's server on this machine: keeps what the real client sends it. Only what a run needs."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Run:
    """A run as the server has it."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None
        self.lines = 0  # of history, counted as often as they were sent

    def bucket(self, name: str, project: str) -> dict[str, Any]:
        return {
            "id": name,
            "name": name,
            "displayName": self.fields.get("displayName"),
            "description": None,
            "config": self.fields.get("config"),
            "sweepName": None,
            "project": {"id": project, "name": project, "entity": {"id": "me", "name": "me"}},
            "historyLineCount": len(self.history),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in self.history[-1:]]),
            "eventsTail": "[]",
            "summaryMetrics": json.dumps(self.summary),
            "tags": self.fields.get("tags") or [],
            "notes": None,
            "wandbConfig": '{"t": 1}',
        }


class Server:
    """A context: ``url`` to set WANDB_BASE_URL to, ``runs`` by (project, id); ``refuse``: from now on, answer 403."""

    def __enter__(self) -> "Server":
        self.runs: dict[tuple[str, str], Run] = {}
        self.refuse = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None: ...

            def answer(self, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(403 if server.refuse else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def body(self) -> Any:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    content = gzip.decompress(content)
                return json.loads(content or b"{}")

            def do_GET(self) -> None:
                self.answer({})

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.answer({})

            def do_POST(self) -> None:
                if server.refuse:
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    self.answer({"errors": [{"message": "permission denied"}]})
                elif found := re.fullmatch(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream", self.path):
                    server.stream(found[2], found[3], self.body())
                    self.answer({})
                elif self.path == "/graphql":
                    request = self.body()
                    self.answer({"data": server.query(request["query"], request.get("variables") or {})})
                else:  # telemetry
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    self.answer({})

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *arguments: Any) -> None: ...  # a client that was killed

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.http.shutdown()
        self.http.server_close()

    def query(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        match = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = match[1] if match else ""
        if name == "RunResumeStatus":
            run = self.runs.get((variables["project"], variables["name"]))
            bucket = run and run.bucket(variables["name"], variables["project"])
            project = variables["project"]
            return {"model": {"id": project, "name": project, "entity": {"id": "me", "name": "me"}, "bucket": bucket}}
        if name == "UpsertBucket":
            key = (variables["project"], variables["name"])
            inserted = key not in self.runs
            run = self.runs.setdefault(key, Run())
            run.fields |= {key: value for key, value in variables.items() if value is not None}
            return {"upsertBucket": {"bucket": run.bucket(key[1], key[0]), "inserted": inserted}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.url}/upload/{file}"} for file in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        if "viewer" in query:
            viewer = {"id": "me", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
            return {"viewer": viewer}
        if "serverInfo" in query:
            return {"serverInfo": {"features": [], "cliVersionInfo": {"max_cli_version": "99"}}}
        return {}

    def stream(self, project: str, name: str, body: dict[str, Any]) -> None:
        run = self.runs[project, name]
        files = body.get("files") or {}
        if "wandb-history.jsonl" in files:
            part = files["wandb-history.jsonl"]
            rows = [json.loads(line) for line in part["content"]]
            run.lines += len(rows)
            run.history[part["offset"] : part["offset"] + len(rows)] = rows  # as the real one: by line number
        for line in files.get("wandb-summary.json", {}).get("content", []):
            run.summary = json.loads(line)
        if body.get("complete"):
            run.exit_code = body.get("exitcode")
