"""Not a product: the least code that can answer the SCIM workloads, to find the limit of the machine.

No schema, no validation, no tenancy; the document is stored as bytes and returned as it is.
SQLite with synchronous=FULL; reads inline in the loop; a writer thread joins what waits into one transaction.
"""
import asyncio
import os
import queue
import sqlite3
import threading
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import unquote
from uuid import uuid4

import orjson

DB = "ceiling.db"
TOKEN_HASH = sha256(os.environ.get("TOKEN", "bench-token").encode()).digest()
BASE = "/scim/v2"

DDL = ("CREATE TABLE IF NOT EXISTS u (n INTEGER PRIMARY KEY, id TEXT UNIQUE, uname TEXT UNIQUE, doc BLOB);"
       "CREATE TABLE IF NOT EXISTS g (id TEXT PRIMARY KEY, doc BLOB) WITHOUT ROWID;"
       "CREATE TABLE IF NOT EXISTS m (gid TEXT, uid TEXT, PRIMARY KEY (gid, uid)) WITHOUT ROWID;"
       "CREATE INDEX IF NOT EXISTS m_u ON m(uid, gid);"
       "CREATE TABLE IF NOT EXISTS cnt (k TEXT PRIMARY KEY, v INTEGER);")
GET = "SELECT doc FROM u WHERE id=?"
BYNAME = "SELECT doc FROM u WHERE uname=?"
ADD = "INSERT INTO cnt VALUES ('u', ?) ON CONFLICT (k) DO UPDATE SET v = v + excluded.v"      # totalResults without count(*)
INS = "INSERT INTO u(id,uname,doc) VALUES (?,?,?)"


def connect(path=DB):
    c = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    c.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;"
                    "PRAGMA mmap_size=268435456; PRAGMA cache_size=-65536;")
    return c


class Writer(threading.Thread):
    """One writer; whatever waits when a transaction starts goes into it (group commit)."""

    def __init__(self, loop):
        super().__init__(daemon=True)
        self.q = queue.SimpleQueue()
        self.loop = loop
        self.start()

    def put(self, fn):
        f = self.loop.create_future()
        self.q.put((fn, f))
        return f

    def _resolve(self, done):
        for f, ok, v in done:
            if not f.done():
                f.set_result(v) if ok else f.set_exception(v)

    def run(self):
        c = connect()
        while True:
            batch = [self.q.get()]
            while len(batch) < 512:
                try:
                    batch.append(self.q.get_nowait())
                except queue.Empty:
                    break
            done = []
            c.execute("BEGIN IMMEDIATE")
            for fn, f in batch:
                try:
                    v = fn(c)                     # a cursor must die in this thread: freed in the loop's thread it
                    if type(v) is not bytes:      # resets a statement that this one may be running (API misuse)
                        v = None
                    done.append((f, True, v))
                except Exception as e:
                    done.append((f, False, e))
            c.execute("COMMIT")
            self.loop.call_soon_threadsafe(self._resolve, done)


class Store:
    """Reads in the event loop on this process's own connection; writes through the writer thread."""

    async def open(self):
        connect().executescript(DDL)
        self.c = connect()
        self.anchors = [0]
        self.w = Writer(asyncio.get_running_loop())

    async def get(self, i):
        r = self.c.execute(GET, (i,)).fetchone()
        return r and r[0]

    async def by_name(self, n):
        r = self.c.execute(BYNAME, (n,)).fetchone()
        return r and r[0]

    async def total(self):
        r = self.c.execute("SELECT v FROM cnt WHERE k='u'").fetchone()
        return r[0] if r else 0

    async def page(self, start, count):
        # anchors: the key of every 256th row, extended as rows are added (a product drops those behind a deleted row)
        a, k = self.anchors, (start - 1) // 256
        while len(a) <= k:
            more = [r[0] for r in self.c.execute("SELECT n FROM u WHERE n>=? ORDER BY n LIMIT 65537", (a[-1],))][256::256]
            if not more:
                k = len(a) - 1
                break
            a += more
        return [r[0] for r in self.c.execute("SELECT doc FROM u WHERE n>=? ORDER BY n LIMIT ? OFFSET ?",
                                             (a[k], count, start - 1 - 256 * k))]

    async def insert(self, i, n, doc):
        def work(c):
            c.execute(INS, (i, n, doc))
            c.execute(ADD, (1,))
        await self.w.put(work)

    async def update(self, i, change):
        def work(c):
            (old,) = c.execute(GET, (i,)).fetchone()
            new = change(old)
            c.execute("UPDATE u SET doc=? WHERE id=?", (new, i))
            return new
        return await self.w.put(work)

    async def many(self, rows):
        def work(c):
            c.executemany(INS, rows)
            c.execute(ADD, (len(rows),))
        await self.w.put(work)

    async def new_group(self, i, doc, members):
        def work(c):
            c.execute("INSERT INTO g VALUES (?,?)", (i, doc))
            c.executemany("INSERT OR IGNORE INTO m VALUES (?,?)", [(i, m) for m in members])
        await self.w.put(work)

    async def members(self, gid, add, remove):
        def work(c):
            if add:
                c.executemany("INSERT OR IGNORE INTO m VALUES (?,?)", [(gid, m) for m in add])
            if remove:
                c.executemany("DELETE FROM m WHERE gid=? AND uid=?", [(gid, m) for m in remove])
        await self.w.put(work)

    async def group(self, gid, members=True):
        r = self.c.execute("SELECT doc FROM g WHERE id=?", (gid,)).fetchone()
        if not r:
            return None
        if not members:
            return r[0]
        m = [x[0] for x in self.c.execute("SELECT uid FROM m WHERE gid=?", (gid,))]
        return r[0][:-1] + b',"members":' + orjson.dumps([{"value": x} for x in m]) + b"}"


store = Store()
ready = None


async def ensure():
    global ready
    if ready is None:
        ready = asyncio.ensure_future(store.open())
    await ready


def listing(docs, total, start=1):
    return b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":%d,"startIndex":%d,"itemsPerPage":%d,"Resources":[%s]}' % (
        total, start, len(docs), b",".join(docs))


def document(body, i=None):
    d = orjson.loads(body)
    i = i or uuid4().hex
    d["id"] = i
    d["meta"] = {"resourceType": "User", "version": 'W/"1"', "location": f"{BASE}/Users/{i}"}
    return i, d["userName"].lower(), orjson.dumps(d)


def patched(old, ops):
    d = orjson.loads(old)
    for op in ops:
        d[op["path"]] = op["value"]
    return orjson.dumps(d)


async def answer(method, path, query, body):
    """-> (status, bytes)"""
    if ready is None or not ready.done():
        await ensure()
    if path.startswith("/Users/"):
        i = path[7:]
        if method == "GET":
            doc = await store.get(i)
            return (200, doc) if doc is not None else (404, b'{"status":"404"}')
        if method == "PATCH":
            ops = orjson.loads(body)["Operations"]
            return 200, await store.update(i, lambda old: patched(old, ops))
        if method == "PUT":
            _, _, doc = document(body, i)
            return 200, await store.update(i, lambda old: doc)
    if path == "/Users":
        if method == "POST":
            i, n, doc = document(body)
            await store.insert(i, n, doc)
            return 201, doc
        args = dict(p.split("=", 1) for p in query.split("&") if "=" in p)
        if "filter" in args:
            doc = await store.by_name(unquote(args["filter"]).split('"')[1].lower())
            return 200, listing([doc] if doc else [], 1 if doc else 0)
        start = int(args.get("startIndex", 1))
        return 200, listing(await store.page(start, int(args.get("count", 100))), await store.total(), start)
    if path == "/Bulk":
        rows, out = [], []
        for op in orjson.loads(body)["Operations"]:
            i, n, doc = document(orjson.dumps(op["data"]))
            rows.append((i, n, doc))
            out.append({"method": "POST", "bulkId": op["bulkId"], "status": "201", "location": f"{BASE}/Users/{i}"})
        await store.many(rows)
        return 200, orjson.dumps({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"], "Operations": out})
    if path == "/Groups":
        d = orjson.loads(body)
        i = uuid4().hex
        members = [m["value"] for m in d.pop("members", [])]
        d["id"] = i
        doc = orjson.dumps(d)
        await store.new_group(i, doc, members)
        return 201, doc
    if path.startswith("/Groups/"):
        gid = path[8:]
        if method == "PATCH":
            add, rem = [], []
            for op in orjson.loads(body)["Operations"]:
                if op["op"] == "add":
                    add += [m["value"] for m in op["value"]]
                else:
                    rem.append(op["path"].split('"')[1])
            await store.members(gid, add, rem)
            return 204, b""
        return 200, await store.group(gid, "excludedAttributes" not in query)
    return 404, b"{}"


CT = (b"content-type", b"application/scim+json")


def authorized(headers):
    for k, v in headers:
        if k == b"authorization":
            return compare_digest(sha256(v[7:]).digest(), TOKEN_HASH)
    return False


async def app(scope, receive, send):
    if scope["type"] != "http":
        if scope["type"] == "lifespan":
            while True:
                m = await receive()
                if m["type"] == "lifespan.startup":
                    await ensure()
                    await send({"type": "lifespan.startup.complete"})
                else:
                    await send({"type": "lifespan.shutdown.complete"})
                    return
        return
    method = scope["method"]
    body = b""
    if method != "GET":
        while True:
            m = await receive()
            body += m.get("body", b"")
            if not m.get("more_body"):
                break
    if authorized(scope["headers"]):
        status, out = await answer(method, scope["path"][len(BASE):], scope["query_string"].decode(), body)
    else:
        status, out = 401, b"{}"
    await send({"type": "http.response.start", "status": status, "headers": [CT, (b"content-length", b"%d" % len(out))]})
    await send({"type": "http.response.body", "body": out})
