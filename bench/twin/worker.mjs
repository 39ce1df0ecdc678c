// The twin's front: what worker/tandem/sip/gateway.py does for /auth, /route, /flow and /presence/event.
import { hash, hmac, makeNonce, same, signature } from "./digest.mjs";
export { Presence } from "./presence.mjs";
export { CallSession } from "./session.mjs";

const TOLERANCE_MS = 30_000;
const HIT_MS = 60_000;
const HEADERS = { "content-type": "application/json", "cache-control": "no-store" };
const ULID = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;

const caches = { domain: new Map(), node: new Map(), account: new Map() };
let nonceKey;

export default {
  async fetch(request, env) {
    try {
      const reply = await handle(request, env);
      return respond(Number(reply.slice(0, 3)), reply.slice(4));
    } catch (error) {
      const status = error.status ?? 500;
      const body = { ok: false, error: { code: error.code ?? "internal_error", message: error.message } };
      return respond(status, JSON.stringify(body));
    }
  },
};

// So that the brain's bindings can be used as they are.
export class Fleet {}

function respond(status, text) {
  return new Response(text, { status, headers: HEADERS });
}

async function handle(request, env) {
  const target = `/${request.url.split("/").slice(3).join("/")}`;
  if (target === "/healthz") return '200 {"ok":true}';
  const text = await request.text();
  if (target.startsWith("/traced/")) return traced(env, target.slice("/traced/".length), text);
  const origin = await fromNode(request, target, text, env);
  const fields = parse(text);
  if (target === "/route") return toAccount(env, origin, fields, fields.fromDomain, "route", text);
  if (target === "/auth") return toAccount(env, origin, fields, fields.realm, "auth", text);
  if (target === "/flow") return flow(env, origin, fields, text);
  if (target === "/presence/event") return events(env, origin, fields);
  throw failure(404, "not_found", `There is nothing at ${target}.`);
}

async function fromNode(request, target, text, env) {
  const nodeId = request.headers.get("x-tandem-node") ?? "";
  const timestamp = request.headers.get("x-tandem-timestamp") ?? "";
  const requestId = request.headers.get("x-tandem-request-id") ?? "";
  const given = request.headers.get("x-tandem-signature") ?? "";
  if (!/^\d{1,15}$/.test(timestamp) || !ULID.test(requestId)) throw failure(401, "unsigned_request", "Sign it.");
  if (Math.abs(Date.now() - Number(timestamp)) > TOLERANCE_MS) throw failure(401, "stale_request", "Check the clock.");
  const node = await cached("node", nodeId, env, (row) => ({
    region: row.region,
    key: hmac(env.MASTER_KEY, `node:${row.id}:${row.credential_version}`).toString("hex"),
  }));
  if (node === undefined) throw failure(401, "unknown_node", "No such node.");
  const expected = signature(node.key, request.method, target, text, timestamp, requestId, nodeId);
  if (!same(expected, given)) throw failure(401, "bad_signature", "The signature does not match.");
  return { nodeId, region: node.region, requestId, encoded: `${nodeId} ${node.region} ${requestId}` };
}

async function toAccount(env, origin, fields, realm, method, text) {
  const found = await cached("domain", String(realm).toLowerCase(), env, (row) => row);
  if (found === undefined) throw failure(404, "unknown_domain", "No account has this SIP domain.");
  if (fields.credentials === undefined && fields.callId === undefined) return challenge(env, found.domain, origin);
  return env.PRESENCE.getByName(found.account_id)[method](found.account_id, origin.encoded, text);
}

/** For the bench's own check, not measured: {account, node, request} as one decision, with its statements. */
async function traced(env, method, text) {
  const { account, origin, body } = JSON.parse(text);
  if (method === "flow") return `200 ${await env.CALL_SESSION.getByName(JSON.parse(body).callId).traced(origin, body)}`;
  return `200 ${await env.PRESENCE.getByName(account).traced(method, account, origin, body)}`;
}

function challenge(env, realm, origin) {
  nonceKey ??= hmac(env.MASTER_KEY, "nonce");
  const salt = crypto.getRandomValues(Buffer.alloc(6)).toString("hex");
  const nonce = makeNonce(nonceKey, Date.now(), realm, origin.nodeId, salt);
  const made = { realm, nonce, algorithms: ["SHA-256", "MD5"], qop: "auth", stale: false };
  return `200 ${JSON.stringify({ ok: false, challenge: made })}`;
}

async function flow(env, origin, { callId, accountId }, text) {
  if (typeof callId !== "string" || !callId.startsWith("call_") || !ULID.test(callId.slice(5)))
    throw failure(400, "invalid_request", "Field callId: the id of a call is required.");
  if ((await cached("account", accountId, env, (row) => row)) === undefined)
    throw failure(404, "unknown_account", "There is no such account.");
  return env.CALL_SESSION.getByName(callId).step(origin.encoded, text);
}

async function events(env, origin, { events }) {
  const byAccount = Map.groupBy(events, (event) => event.accountId);
  const acked = [];
  for (const [accountId, part] of byAccount) {
    if ((await cached("account", accountId, env, (row) => row)) === undefined) continue;
    const batch = JSON.stringify({ node: origin.nodeId, events: part });
    const reply = await env.PRESENCE.getByName(accountId).event(accountId, origin.encoded, batch);
    if (!reply.startsWith("200")) return reply;
    acked.push(...JSON.parse(reply.slice(4)).acked);
  }
  return `200 ${JSON.stringify({ ok: true, acked, refused: {} })}`;
}

async function cached(kind, key, env, make) {
  const entry = caches[kind].get(key);
  if (entry !== undefined && entry.until > Date.now()) return entry.value;
  const row = await env.CONTROL.withSession("first-primary").prepare(env.SQL[`control.${kind}`]).bind(key).first();
  const value = row === null ? undefined : make(row);
  caches[kind].set(key, { until: Date.now() + HIT_MS, value });
  return value;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw failure(400, "invalid_request", "The body is not JSON.");
  }
}

function failure(status, code, message) {
  return Object.assign(new Error(message), { status, code });
}
