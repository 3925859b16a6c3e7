"""What OSCQuery answers over HTTP."""

import json
import urllib.error
import urllib.request

from tests.golden.project import Stage

PATHS = (
    "/",
    "/?HOST_INFO",
    "/generate",
    "/generate?TYPE",
    "/generate?RANGE",
    "/bank",
    "/bank/fire?OVERLOADS",
    "/clip?DESCRIPTION",
    "/volume?TYPE&RANGE",
    "/done?ACCESS",
    "/sync?FULL_PATH",
    "/version?TYPE",
    "/volume?VALUE",
    "/volume?NONSENSE",
    "/nothing",
    "/nothing?HOST_INFO",
)


def query_record(stage: Stage) -> str:
    """Status, kind and body of each answer."""
    answers = {path: _get(stage, path) for path in PATHS}
    answers["POST /"] = _get(stage, "/", data=b"x")
    answers["/ with Host: example.com"] = _get(stage, "/", headers={"Host": "example.com"})
    answers["/ with Origin: http://example.com"] = _get(stage, "/", headers={"Origin": "http://example.com"})
    return json.dumps(answers, indent=1, ensure_ascii=False) + "\n"


def _get(stage: Stage, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> dict:
    request = urllib.request.Request(f"http://127.0.0.1:{stage.http_port}{path}", data, headers or {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            status, kind, body = answer.status, answer.headers.get("Content-Type"), answer.read()
    except urllib.error.HTTPError as error:
        status, kind, body = error.code, error.headers.get("Content-Type"), error.read()
    told: dict = {"status": status, "content type": kind}
    if body:
        told["body"] = json.loads(body) if kind == "application/json" else body.decode()
    if "OSC_PORT" in str(told):
        told["body"]["OSC_PORT"] = "<port>" if told["body"].get("OSC_PORT") == stage.osc_port else "another port"
    return told
