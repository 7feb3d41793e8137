// SCIMMY + scimmy-routers on express, stored in SQLite (better-sqlite3): documents with an indexed
// user name, members in their own table, eq filters and pages answered by the database.
// SCIM root: http://127.0.0.1:$PORT/scim/v2
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";
import Database from "better-sqlite3";
import {randomUUID} from "node:crypto";

const PORT = Number(process.env.PORT ?? 9103), TOKEN = process.env.TOKEN ?? "bench-token";
const db = new Database("scimmy.db");
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec(`
CREATE TABLE IF NOT EXISTS res (n INTEGER PRIMARY KEY, kind TEXT, id TEXT UNIQUE, uname TEXT, ext TEXT, doc TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS res_uname ON res(kind, uname);
CREATE INDEX IF NOT EXISTS res_ext ON res(kind, ext);
CREATE TABLE IF NOT EXISTS member (gid TEXT, uid TEXT, PRIMARY KEY (gid, uid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS member_uid ON member(uid, gid);`);
const q = {
    get: db.prepare("SELECT doc FROM res WHERE kind=? AND id=?"),
    byName: db.prepare("SELECT doc FROM res WHERE kind=? AND uname=?"),
    byExt: db.prepare("SELECT doc FROM res WHERE kind=? AND ext=?"),
    all: db.prepare("SELECT doc FROM res WHERE kind=? ORDER BY n"),
    page: db.prepare("SELECT doc FROM res WHERE kind=? ORDER BY n LIMIT ? OFFSET ?"),
    count: db.prepare("SELECT count(*) c FROM res WHERE kind=?"),
    ins: db.prepare("INSERT INTO res(kind,id,uname,ext,doc) VALUES (?,?,?,?,?)"),
    upd: db.prepare("UPDATE res SET uname=?, ext=?, doc=? WHERE kind=? AND id=?"),
    del: db.prepare("DELETE FROM res WHERE kind=? AND id=?"),
    members: db.prepare("SELECT uid FROM member WHERE gid=?"),
    groupsOf: db.prepare("SELECT g.id id, json_extract(g.doc,'$.displayName') display FROM member m JOIN res g ON g.id=m.gid WHERE m.uid=?"),
    addM: db.prepare("INSERT OR IGNORE INTO member VALUES (?,?)"),
    delM: db.prepare("DELETE FROM member WHERE gid=? AND uid=?"),
    delGroup: db.prepare("DELETE FROM member WHERE gid=?"),
    delUser: db.prepare("DELETE FROM member WHERE uid=?"),
};
const revive = (d) => { d.meta.created = new Date(d.meta.created); d.meta.lastModified = new Date(d.meta.lastModified); return d; };

function full(kind, doc) {
    const d = revive(JSON.parse(doc));
    if (kind === "User") {
        const groups = q.groupsOf.all(d.id).map(g => ({value: g.id, display: g.display, type: "direct"}));
        if (groups.length) d.groups = groups;
    } else d.members = q.members.all(d.id).map(m => ({value: m.uid}));
    return d;
}

const save = db.transaction((kind, id, old, body) => {
    const members = kind === "Group" ? new Set((body.members ?? []).map(m => m.value)) : null;
    delete body.members; delete body.groups; delete body.meta;
    const now = new Date().toISOString();
    const doc = {...body, id, meta: {resourceType: kind, created: old?.meta.created ?? now, lastModified: now}};
    const key = kind === "User" ? String(body.userName).toLowerCase() : id;
    const text = JSON.stringify(doc);
    if (old) q.upd.run(key, body.externalId ?? null, text, kind, id);
    else q.ins.run(kind, id, key, body.externalId ?? null, text);
    if (members) {
        const had = new Set(q.members.all(id).map(m => m.uid));
        for (const m of members) if (!had.has(m)) q.addM.run(id, m);
        for (const m of had) if (!members.has(m)) q.delM.run(id, m);
    }
    return text;
});

function handlers(kind) {
    return {
        egress: (resource) => {
            if (resource.id) {
                const row = q.get.get(kind, resource.id);
                if (!row) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
                return full(kind, row.doc);
            }
            if (resource.filter) {
                const [f] = resource.filter, key = Object.keys(f)[0];
                if (resource.filter.length === 1 && Object.keys(f).length === 1 && Array.isArray(f[key]) && f[key][0] === "eq") {
                    if (kind === "User" && key === "userName") return q.byName.all(kind, String(f[key][1]).toLowerCase()).map(r => full(kind, r.doc));
                    if (key === "externalId") return q.byExt.all(kind, f[key][1]).map(r => full(kind, r.doc));
                }
                return resource.filter.match(q.all.all(kind).map(r => full(kind, r.doc)));
            }
            const {startIndex = 1, count = 20} = resource.constraints ?? {};
            resource.constraints = {...resource.constraints, startIndex, count, totalResults: q.count.get(kind).c};
            return q.page.all(kind, count, startIndex - 1).map(r => full(kind, r.doc));
        },
        ingress: (resource, data) => {
            const body = JSON.parse(JSON.stringify(data));
            let old;
            if (resource.id) {
                const row = q.get.get(kind, resource.id);
                if (!row) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
                old = JSON.parse(row.doc);
            }
            const id = resource.id ?? randomUUID();
            try { return full(kind, save(kind, id, old, body)); }
            catch (e) {
                if (e.code === "SQLITE_CONSTRAINT_UNIQUE") throw new SCIMMY.Types.Error(409, "uniqueness", "userName is already taken");
                throw e;
            }
        },
        degress: (resource) => {
            if (!q.del.run(kind, resource.id).changes) throw new SCIMMY.Types.Error(404, null, "not found");
            (kind === "User" ? q.delUser : q.delGroup).run(resource.id);
        },
    };
}
SCIMMY.Resources.declare(SCIMMY.Resources.User, {...handlers("User"), extensions: [{schema: SCIMMY.Schemas.EnterpriseUser, required: false}]});
SCIMMY.Resources.declare(SCIMMY.Resources.Group, handlers("Group"));
const app = express();
app.disable("x-powered-by");
app.use("/scim/v2", new SCIMMYRouters({
    type: "bearer", baseUri: (req) => `${req.protocol}://${req.get("host")}`,
    handler: (req) => { if (req.header("Authorization") !== `Bearer ${TOKEN}`) throw new Error("Authorization required"); return "bench"; },
}));
app.use((err, req, res, next) => { if (!res.headersSent) res.status(500).end(); });
app.listen(PORT, "127.0.0.1", () => console.log("up"));
