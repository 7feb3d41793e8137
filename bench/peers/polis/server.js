// Ory Polis (the library @boxyhq/saml-jackson) directory sync behind express.
// The SCIM root and the token go to the file `url`: the directory id and secret are minted by the library.
import express from "express";
import {createRequire} from "node:module";
import {writeFileSync} from "node:fs";
const require = createRequire(import.meta.url);
const jackson = require("@boxyhq/saml-jackson").default;
const PORT = Number(process.env.PORT ?? 9106);
const db = {engine: "sql", type: "sqlite", url: "polis.db"};
const quiet = {info() {}, warn() {}, error: console.error};
const j = await jackson({externalUrl: `http://127.0.0.1:${PORT}`, samlPath: "/sso", samlAudience: "https://bench", db,
    noAnalytics: true, logger: quiet, boxyhqLicenseKey: undefined});
const ds = j.directorySyncController;
const {data: dir, error} = await ds.directories.create({tenant: `bench${process.pid}`, product: "bench", type: "azure-scim-v2", name: "bench"});
if (error) { console.error(error); process.exit(1); }
const app = express();
app.disable("x-powered-by");
app.use(express.json({type: () => true, limit: "20mb"}));
app.all(["/scim/:dir/:type", "/scim/:dir/:type/:id"], async (req, res) => {
    const q = req.query;
    const {status, data} = await ds.requests.handle({
        method: req.method, body: req.body && Object.keys(req.body).length ? req.body : undefined,
        directoryId: req.params.dir, resourceType: req.params.type, resourceId: req.params.id,
        apiSecret: (req.headers.authorization ?? "").replace(/^Bearer /, ""),
        query: {count: q.count ? Number(q.count) : undefined, startIndex: q.startIndex ? Number(q.startIndex) : undefined, filter: q.filter},
    }, async () => {});
    res.status(status).json(data);
});
app.listen(PORT, "127.0.0.1", () => {
    writeFileSync("url", `http://127.0.0.1:${PORT}/scim/${dir.id}\n${dir.scim.secret}\n`);
    console.log("up");
});
