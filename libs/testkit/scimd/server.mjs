// A SCIM 2.0 server for tests: SCIMMY behind Express, in memory, on loopback.
//   node server.mjs TOKEN ignore-filters|filter
// It says "port N" once it takes calls, and ends when its input does.
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";
import { randomUUID } from "node:crypto";

const [token, filters] = process.argv.slice(2);
const Problem = SCIMMY.Types.Error;

function handlers(unique) {
  const store = new Map();
  const missing = (id) => new Problem(404, null, `Resource ${id} not found`);
  return {
    ingress: async (r, data) => {
      if (r.id && !store.has(r.id)) throw missing(r.id);
      const lower = (v) => String(v).toLowerCase();
      for (const other of store.values()) {
        if (other.id === r.id) continue;
        if (unique.some((k) => data[k] !== undefined && other[k] !== undefined && lower(data[k]) === lower(other[k])))
          throw new Problem(409, "uniqueness", `value already taken by ${other.id}`);
      }
      const id = r.id ?? randomUUID();
      const now = new Date().toISOString();
      const meta = { created: store.get(id)?.meta.created ?? now, lastModified: now };
      const kept = { ...JSON.parse(JSON.stringify(data)), id, meta };
      store.set(id, kept);
      return kept;
    },
    egress: async (r) => {
      if (r.id) {
        if (!store.has(r.id)) throw missing(r.id);
        return store.get(r.id);
      }
      const all = [...store.values()];
      return r.filter && filters !== "ignore-filters" ? r.filter.match(all) : all;
    },
    degress: async (r) => {
      if (!store.delete(r.id)) throw missing(r.id);
    },
  };
}

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);
SCIMMY.Resources.declare(SCIMMY.Resources.User, handlers(["userName", "externalId"]));
SCIMMY.Resources.declare(SCIMMY.Resources.Group, handlers(["displayName"]));

const app = express();
app.use("/scim/v2", new SCIMMYRouters({
  type: "bearer",
  docUri: "https://app.vendor.example/help",
  handler: (q) => {
    if (q.header("Authorization") !== `Bearer ${token}`) throw new Error("Authorization not detected!");
    return "hub";
  },
}));
const listening = app.listen(0, "127.0.0.1", () => console.log(`port ${listening.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();
