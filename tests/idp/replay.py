#!/usr/bin/env python3
"""Replay SCIM 2.0 wire-exchange scenarios against a running server.

Stand-alone: Python 3.11+, standard library and httpx only.

    python replay.py --base-url http://127.0.0.1:8080/scim/v2 --token SECRET FOLDER

Every ``*.json`` file below FOLDER that holds a ``steps`` list is one scenario.
Each scenario runs with its own ``${uniq}`` suffix so names never collide, also
not between two runs against the same server.

Exit status: 0 when everything passed, 1 on any failure, 2 on a usage error.
The last line printed is always ``N passed, M failed``.

Scenario format
---------------
{
  "name", "idp", "source", "confidence",      documentation
  "requires": ["etag.supported", ...],          optional: flags of /ServiceProviderConfig
                                                that must be true (a scenario whose flag
                                                is not true FAILS, unless --allow-skip)
  "steps": [ STEP, ... ]
}

STEP
  method, path            path relative to the base URL; may contain ${var}
  query                   object; values are percent-encoded by the runner
                          (a list value repeats the parameter)
  raw_query               string appended verbatim after '?' (for odd encodings)
  headers                 object; null removes a default header
  auth                    "none" | "bad" | "basic" -- default: the bearer token
  body                    JSON value;   raw_body: literal text instead
  when                    {"var": [values]} run the step only when var is in values
  repeat                  {"count": N, "var": "i", "parallel": P} run N times, i = 0..N-1
  save                    {"var": "$.id"} ; "$status" saves the status code,
                          "$header:ETag" a response header
  save_list               {"var": "$.id"} append to a list variable (with repeat)
  retry                   {"attempts": N, "delay": s} repeat the step until it passes
  expect:
    status                list of acceptable status codes
    json_subset           subset match of the response body (see below)
    json_equals           {"$.path": value} exact equality
    json_len              {"$.path": n} length of a list (an absent list has length 0)
    absent                ["$.path"] must not exist, or be null / empty list / empty object
    each                  {"$.Resources": SUBSET} every element matches SUBSET
    none                  {"$.Resources": SUBSET} no element matches SUBSET
    order                 {"$.Resources[*].userName": "asc" | "desc" | "asc-ci" | "desc-ci"}
    headers               {"Name": "regex"} (re.search; "" only asks for presence)
    header_absent         ["Name"]
    not_contains          ["text"] must not occur anywhere in the raw body
    by_status             {"400": EXPECT} extra expectations for that status
    tally                 {"201": [min, max]} only with repeat: how often a status may occur
    note                  free text

Subset match: an object matches when every expected key matches (keys of the
response are compared exactly); a list matches when every expected element
matches a different actual element, in any order; scalars must be equal and of
the same JSON type. Matcher objects:
  {"$re": "regex"} {"$any": true} {"$type": "string|boolean|number|array|object"}
  {"$ci": "text"} {"$in": [..]} {"$len": n} {"$gte": n} {"$lte": n} {"$not": X}
  {"$exact": [..]} a list with exactly these elements, in any order

Variables: ${uniq} ${UNIQ} (upper case), ${uuid_<name>} (a random UUID, stable
within the scenario), ${base} (the base URL), ${repeat:N:text}, ${i} in a
repeated step, everything saved, and ${list[i]} for one element of a saved list. A string that is just "${var}" takes the
saved value's type. {"$each": "listvar", "as": "x", "item": ITEM} in a body
expands to a list; {"$range": N, "as": "x", "item": ITEM} likewise for 0..N-1.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import random
import re
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import quote

import httpx

SCIM = "application/scim+json"
VAR = re.compile(r"\$\{([^}]+)\}")
MISSING = object()


class Mismatch(Exception):
    pass


# --------------------------------------------------------------------------
# substitution


def lookup(name: str, env: dict):
    if name in env:
        return env[name]
    indexed = re.fullmatch(r"(\w+)\[(\w+)\]", name)
    if indexed:
        index = indexed.group(2)
        return lookup(indexed.group(1), env)[
            int(index) if index.isdigit() else int(lookup(index, env))
        ]
    if name.startswith("uuid_"):
        env[name] = str(uuid.uuid4())
        return env[name]
    if name.startswith("repeat:"):
        _, count, text = name.split(":", 2)
        return text * int(count)
    raise Mismatch(f"scenario uses ${{{name}}} but nothing saved it")


def subst(value, env: dict):
    if isinstance(value, str):
        whole = VAR.fullmatch(value)
        if whole:
            return lookup(whole.group(1), env)
        return VAR.sub(lambda m: str(lookup(m.group(1), env)), value)
    if isinstance(value, list):
        return [subst(v, env) for v in value]
    if isinstance(value, dict):
        if "$each" in value:
            out = []
            for item in lookup(value["$each"], env):
                out.append(subst(value["item"], {**env, value["as"]: item}))
            return out
        if "$range" in value:
            return [subst(value["item"], {**env, value["as"]: n}) for n in range(value["$range"])]
        return {subst(k, env): subst(v, env) for k, v in value.items()}
    return value


def subst_text(value: str, env: dict) -> str:
    return VAR.sub(lambda m: str(lookup(m.group(1), env)), value)


# --------------------------------------------------------------------------
# paths: $.a.b[0].c  $.a[*].b  $['urn:x:y'].b


TOKEN = re.compile(r"""\.([A-Za-z_$][\w$-]*)|\[(\d+|\*)\]|\[(?:'([^']*)'|"([^"]*)")\]""")


def get_path(doc, path: str):
    if path == "$":
        return doc
    if not path.startswith("$"):
        raise Mismatch(f"bad path in scenario: {path}")
    pos, current, star = 1, [doc], False
    while pos < len(path):
        m = TOKEN.match(path, pos)
        if not m:
            raise Mismatch(f"bad path in scenario: {path}")
        pos = m.end()
        nxt = []
        name = m.group(1) or m.group(3) or m.group(4)
        for node in current:
            if m.group(2) == "*":
                star = True
                if isinstance(node, list):
                    nxt.extend(node)
            elif m.group(2) is not None:
                idx = int(m.group(2))
                if isinstance(node, list) and idx < len(node):
                    nxt.append(node[idx])
            elif isinstance(node, dict) and name in node:
                nxt.append(node[name])
        current = nxt
    if star:
        return current
    return current[0] if current else MISSING


# --------------------------------------------------------------------------
# matching


def kind(v) -> str:
    if isinstance(v, bool):
        return "boolean"
    if isinstance(v, (int, float)):
        return "number"
    if isinstance(v, str):
        return "string"
    if isinstance(v, list):
        return "array"
    if isinstance(v, dict):
        return "object"
    return "null"


def short(v) -> str:
    if v is MISSING:
        return "<absent>"
    text = json.dumps(v, ensure_ascii=False)
    return text if len(text) < 200 else text[:200] + "..."


def is_matcher(exp) -> bool:
    return (
        isinstance(exp, dict)
        and len(exp) == 1
        and next(iter(exp))
        in {"$re", "$any", "$type", "$ci", "$in", "$len", "$gte", "$lte", "$not", "$exact"}
    )


def match(exp, act, where="$"):
    """Return None when act matches exp, else a message."""
    if is_matcher(exp):
        op, arg = next(iter(exp.items()))
        if op == "$not":
            return (
                f"{where}: {short(act)} should not match {short(arg)}"
                if match(arg, act, where) is None
                else None
            )
        if op == "$len" and act is MISSING and arg == 0:
            return None
        if act is MISSING:
            return f"{where}: absent"
        if op == "$any":
            return None if act is not None else f"{where}: null"
        if op == "$re":
            ok = isinstance(act, str) and re.search(arg, act)
        elif op == "$type":
            ok = kind(act) == arg
        elif op == "$ci":
            ok = isinstance(act, str) and act.casefold() == arg.casefold()
        elif op == "$in":
            ok = any(match(a, act) is None for a in arg)
        elif op == "$len":
            ok = isinstance(act, (list, str, dict)) and len(act) == arg
        elif op == "$gte":
            ok = kind(act) == "number" and act >= arg
        elif op == "$lte":
            ok = kind(act) == "number" and act <= arg
        elif op == "$exact":
            ok = isinstance(act, list) and len(act) == len(arg) and match(arg, act) is None
        return None if ok else f"{where}: {short(act)} does not satisfy {short(exp)}"
    if act is MISSING:
        return f"{where}: absent, expected {short(exp)}"
    if isinstance(exp, dict):
        if not isinstance(act, dict):
            return f"{where}: {short(act)} is not an object"
        for key, sub in exp.items():
            bad = match(sub, act.get(key, MISSING), f"{where}.{key}")
            if bad:
                return bad
        return None
    if isinstance(exp, list):
        if not isinstance(act, list):
            return f"{where}: {short(act)} is not an array"
        table = [[j for j, a in enumerate(act) if match(e, a) is None] for e in exp]
        taken: dict[int, int] = {}

        def assign(i, seen):
            for j in table[i]:
                if j not in seen:
                    seen.add(j)
                    if j not in taken or assign(taken[j], seen):
                        taken[j] = i
                        return True
            return False

        for i, e in enumerate(exp):
            if not assign(i, set()):
                return f"{where}: no element matches {short(e)} in {short(act)}"
        return None
    if kind(exp) != kind(act) or exp != act:
        return f"{where}: {short(act)}, expected {short(exp)}"
    return None


def gone(v) -> bool:
    return v is MISSING or v is None or v == [] or v == {}


def check(expect: dict, resp: httpx.Response, env: dict):
    expect = {k: v for k, v in expect.items()}
    status = resp.status_code
    if "status" in expect and status not in expect["status"]:
        raise Mismatch(f"status {status}, expected {expect['status']}; body: {resp.text[:300]}")
    body = MISSING
    if resp.content and "json" in resp.headers.get("content-type", ""):
        try:
            body = resp.json()
        except ValueError:
            raise Mismatch(f"status {status}: body is not JSON: {resp.text[:200]}")
    needs_body = any(
        k in expect for k in ("json_subset", "json_equals", "json_len", "each", "none", "order")
    )
    if needs_body and body is MISSING:
        raise Mismatch(
            f"status {status}: expected a JSON body, got content-type "
            f"{resp.headers.get('content-type')!r} and {len(resp.content)} bytes"
        )
    if "json_subset" in expect:
        bad = match(subst(expect["json_subset"], env), body)
        if bad:
            raise Mismatch(bad)
    for path, value in expect.get("json_equals", {}).items():
        act = get_path(body, path)
        want = subst(value, env)
        bad = match(want, act, path)
        if not bad and not is_matcher(want) and act != want:
            bad = f"{path}: {short(act)}, expected exactly {short(want)}"
        if bad:
            raise Mismatch(bad)
    for path, value in expect.get("json_len", {}).items():
        act = get_path(body, path)
        size = 0 if gone(act) else len(act) if isinstance(act, (list, dict, str)) else -1
        want = subst(value, env)
        if size != want:
            raise Mismatch(f"{path}: length {size}, expected {want}: {short(act)}")
    for path in expect.get("absent", []):
        if body is not MISSING:
            act = get_path(body, subst_text(path, env))
            if not gone(act):
                raise Mismatch(f"{path}: should be absent, is {short(act)}")
    for path, sub in expect.get("each", {}).items():
        items = get_path(body, path)
        for i, item in enumerate([] if items is MISSING else items):
            bad = match(subst(sub, env), item, f"{path}[{i}]")
            if bad:
                raise Mismatch(bad)
    for path, sub in expect.get("none", {}).items():
        items = get_path(body, path)
        for i, item in enumerate([] if items is MISSING else items):
            if match(subst(sub, env), item) is None:
                raise Mismatch(f"{path}[{i}]: {short(item)} must not be there")
    for path, how in expect.get("order", {}).items():
        items = get_path(body, path)
        keys = [str(x).casefold() if how.endswith("-ci") else x for x in items]
        if keys != sorted(keys, reverse=how.startswith("desc")):
            raise Mismatch(f"{path}: not sorted {how}: {short(items)}")
    for name, pattern in expect.get("headers", {}).items():
        value = resp.headers.get(name)
        if value is None or not re.search(subst_text(pattern, env), value):
            raise Mismatch(f"header {name}: {value!r} does not match {pattern!r}")
    for name in expect.get("header_absent", []):
        if name in resp.headers:
            raise Mismatch(f"header {name} must not be sent, is {resp.headers[name]!r}")
    for text in expect.get("not_contains", []):
        if subst_text(text, env) in resp.text:
            raise Mismatch(f"body contains {text!r}")
    extra = expect.get("by_status", {}).get(str(status))
    if extra:
        check(extra, resp, env)


# --------------------------------------------------------------------------
# running


class Runner:
    def __init__(self, base_url: str, token: str | None, timeout: float, verbose: bool):
        self.base = base_url.rstrip("/")
        self.token = token
        self.verbose = verbose
        self.client = httpx.Client(
            timeout=timeout,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
        )
        self._spc = None

    def close(self):
        self.client.close()

    def spc(self) -> dict:
        if self._spc is None:
            try:
                resp = self.client.get(
                    self.base + "/ServiceProviderConfig", headers=self.headers({})
                )
                self._spc = resp.json() if resp.status_code == 200 else {}
            except (httpx.HTTPError, ValueError):
                self._spc = {}
        return self._spc

    def headers(self, step: dict, env: dict | None = None) -> dict:
        env = env or {}
        h = {"Accept": SCIM, "User-Agent": "scim-replay/1.0"}
        auth = step.get("auth")
        if auth is None and self.token:
            h["Authorization"] = f"Bearer {self.token}"
        elif auth == "bad":
            h["Authorization"] = "Bearer this-token-is-not-valid"
        elif auth == "basic":
            h["Authorization"] = "Basic bm9ib2R5Om5vdGhpbmc="
        if "body" in step or "raw_body" in step:
            h["Content-Type"] = SCIM
        lower = {k.lower(): k for k in h}
        for name, value in step.get("headers", {}).items():
            old = lower.get(name.lower())
            if old:
                del h[old]
            if value is not None:
                h[name] = subst_text(str(value), env)
        return h

    def send(self, step: dict, env: dict) -> httpx.Response:
        path = subst_text(step.get("path", ""), env)
        url = path if path.startswith(("http://", "https://")) else self.base + path
        if not url.startswith(self.base):
            raise Mismatch(f"step leaves the base URL: {url}")
        parts = []
        for key, value in step.get("query", {}).items():
            for one in value if isinstance(value, list) else [value]:
                text = subst_text(one, env) if isinstance(one, str) else json.dumps(one)
                parts.append(f"{quote(key, safe='')}={quote(text, safe='')}")
        if "raw_query" in step:
            parts.append(subst_text(step["raw_query"], env))
        if parts:
            url += "?" + "&".join(parts)
        content = None
        if "raw_body" in step:
            content = subst_text(step["raw_body"], env).encode()
        elif "body" in step:
            content = json.dumps(subst(step["body"], env), ensure_ascii=False).encode()
        req = self.client.build_request(
            step["method"], url, content=content, headers=self.headers(step, env)
        )
        # httpx adds its own Accept when told to drop it; honour an explicit null
        for name, value in step.get("headers", {}).items():
            if value is None and name in req.headers:
                del req.headers[name]
        return self.client.send(req)

    def one(self, step: dict, env: dict) -> httpx.Response:
        resp = self.send(step, env)
        check(step.get("expect", {}), resp, env)
        return resp

    def remember(self, step: dict, resp: httpx.Response, env: dict):
        def value_of(path):
            if path == "$status":
                return resp.status_code
            if path.startswith("$header:"):
                value = resp.headers.get(path[8:])
                return MISSING if value is None else value
            try:
                return get_path(resp.json(), path)
            except ValueError:
                return MISSING

        for var, path in step.get("save", {}).items():
            value = value_of(path)
            if value is MISSING:
                raise Mismatch(
                    f"cannot save {var}: {path} is absent from the {resp.status_code} response"
                )
            env[var] = value
        for var, path in step.get("save_list", {}).items():
            value = value_of(path)
            if value is MISSING:
                raise Mismatch(
                    f"cannot save {var}: {path} is absent from the {resp.status_code} response"
                )
            env.setdefault(var, []).append(value)

    def step(self, step: dict, env: dict):
        for var, allowed in step.get("when", {}).items():
            if env.get(var) not in allowed:
                return
        rep = step.get("repeat")
        if rep:
            count, var = rep["count"], rep.get("var", "i")
            envs = [{**env, var: i} for i in range(count)]
            workers = rep.get("parallel", 1)
            if workers > 1:
                with concurrent.futures.ThreadPoolExecutor(workers) as pool:
                    responses = list(pool.map(lambda e: self.one(step, e), envs))
            else:
                responses = [self.one(step, e) for e in envs]
            for resp in responses:
                self.remember(step, resp, env)
            for code, (low, high) in step.get("expect", {}).get("tally", {}).items():
                seen = sum(1 for r in responses if r.status_code == int(code))
                if not low <= seen <= high:
                    raise Mismatch(
                        f"status {code} came {seen} times, expected {low}..{high}; "
                        f"all: {sorted(r.status_code for r in responses)}"
                    )
            return
        attempts = step.get("retry", {}).get("attempts", 1)
        for attempt in range(attempts):
            try:
                resp = self.one(step, env)
                break
            except Mismatch:
                if attempt + 1 == attempts:
                    raise
                time.sleep(step["retry"].get("delay", 0.2))
        self.remember(step, resp, env)

    def scenario(self, doc: dict):
        """Return (outcome, message): outcome is pass, fail or skip."""
        for flag in doc.get("requires", []):
            if get_path(self.spc(), "$." + flag) is not True:
                return "skip", f"/ServiceProviderConfig does not announce {flag}"
        uniq = "".join(random.choices("abcdefghjkmnpqrstuvwxyz23456789", k=10))
        env = {"uniq": uniq, "UNIQ": uniq.upper(), "base": self.base}
        for number, step in enumerate(doc["steps"], 1):
            label = f"step {number} {step['method']} {step.get('path', '')}"
            try:
                self.step(step, env)
            except Mismatch as exc:
                note = step.get("expect", {}).get("note")
                return "fail", f"{label}: {exc}" + (f"  [{note}]" if note else "")
            except httpx.HTTPError as exc:
                return "fail", f"{label}: {type(exc).__name__}: {exc}"
        return "pass", ""


def load(folder: Path) -> list[tuple[Path, dict]]:
    out = []
    for file in sorted(folder.rglob("*.json")):
        try:
            doc = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise SystemExit(f"{file}: not JSON: {exc}")
        if isinstance(doc, dict) and isinstance(doc.get("steps"), list):
            out.append((file, doc))
    return out


def main() -> int:
    p = argparse.ArgumentParser(description="Replay SCIM scenarios against a server.")
    p.add_argument("folder", type=Path)
    p.add_argument(
        "--base-url", required=True, help="SCIM base URL, e.g. http://127.0.0.1:8080/scim/v2"
    )
    p.add_argument("--token", help="bearer token")
    p.add_argument("--only", help="run scenarios whose file name contains this text")
    p.add_argument("--idp", help="run scenarios of this idp")
    p.add_argument("--timeout", type=float, default=30.0)
    p.add_argument(
        "--allow-skip",
        action="store_true",
        help="a scenario whose optional feature is not announced is skipped, not failed",
    )
    p.add_argument("--quiet", action="store_true", help="print failures only")
    p.add_argument("--json", dest="json_out", type=Path, help="write the outcomes to this file")
    args = p.parse_args()
    if not args.folder.is_dir():
        p.error(f"{args.folder} is not a folder")
    scenarios = load(args.folder)
    if args.only:
        scenarios = [s for s in scenarios if args.only in s[0].name]
    if args.idp:
        scenarios = [s for s in scenarios if s[1].get("idp") == args.idp]
    if not scenarios:
        p.error("no scenario found")
    runner = Runner(args.base_url, args.token, args.timeout, not args.quiet)
    passed = failed = skipped = 0
    results = []
    try:
        for file, doc in scenarios:
            outcome, message = runner.scenario(doc)
            if outcome == "skip" and not args.allow_skip:
                outcome = "fail"
            results.append(
                {"file": file.name, "idp": doc.get("idp"), "outcome": outcome, "message": message}
            )
            if outcome == "pass":
                passed += 1
                if not args.quiet:
                    print(f"PASS {file.stem}")
            elif outcome == "skip":
                skipped += 1
                print(f"SKIP {file.stem}: {message}")
            else:
                failed += 1
                print(f"FAIL {file.stem}: {message}")
            sys.stdout.flush()
    finally:
        runner.close()
    if args.json_out:
        args.json_out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if skipped:
        print(f"({skipped} skipped)")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
