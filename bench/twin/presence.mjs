// The twin's Durable Object: the same statements in the same order as worker/durable_objects/presence.py.
import { DurableObject } from "cloudflare:workers";
import { hmac, isCurrent, judgeReuse, makeNonce, matches, splitUsername, wellFormed } from "./digest.mjs";

const TABLES = ["account", "sip_domain", "sip_user", "sip_device", "extension"];
const PAGE = 500;
const SHIP_WITHIN_MS = 2_000;
const SHIP_BATCH = 50;
const LEASE_MS = 90_000;
const NOBODY = ["0".repeat(32), "0".repeat(32), "0".repeat(64), "0".repeat(64)];
const PHONE = { profile: "RTP/AVP", ice: "remove" };
const BROWSER = { profile: "UDP/TLS/RTP/SAVPF", ice: "force" };
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const AUTH_FIELDS = ["method", "realm", "sourceIp", "transport", "node", "sipCallId", "cseq"];
const ROUTE_FIELDS = ["sipCallId", "fromTag", "cseq", "from", "fromDomain", "to", "ruri", "sourceIp", "transport", "node"];
const CALL = [
  "call_id", "sip_call_id", "from_tag", "cseq", "node_id", "region", "from_num", "to_num", "start_ts", "lease_until",
  "user_id", "callee_user_id", "state", "answer_ts", "end_ts", "disposition", "hangup_cause", "hangup_by", "mos",
  "cac_refused_by", "lost", "last_seq", "listed_at", "row_version", "direction", "did_id", "trunk_id", "ring_group_id",
  "ringing", "limit_warnings", "plan", "shared", "pending", "parent_id", "media_app_ms",
  "media_app_since",
];

export class Presence extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.statements = env.SQL;
    this.nonceKey = hmac(env.MASTER_KEY, "nonce");
    this.due = undefined;
    this.trace = undefined;
    this.loaded = false;
    this.sql.exec(this.statements["live.meta"]);
    if (this.json("replica.get_meta", "account_id").length === 0) {
      for (const [name, text] of Object.entries(this.statements)) if (name.startsWith("live.step_")) this.sql.exec(text);
      this.sql.exec(this.statements["replica.schema"]);
    }
  }

  auth(accountId, origin, text) {
    return this.decide(accountId, origin, (sender, now) => this.authenticateRequest(sender, parse(text, AUTH_FIELDS), now));
  }

  route(accountId, origin, text) {
    return this.decide(accountId, origin, (sender, now) => {
      this.dirty(now);
      return this.routeCall(sender, parse(text, ROUTE_FIELDS), now);
    });
  }

  event(accountId, origin, text) {
    return this.decide(accountId, origin, (sender, now) => {
      const { events } = JSON.parse(text);
      for (const event of events) this.applyEvent(event, now);
      this.dirty(now);
      return JSON.stringify({ ok: true, acked: events.map((event) => event.eventId), refused: {} });
    });
  }

  async alarm() {
    this.due = undefined;
    for (;;) {
      const rows = this.json("live.unshipped_calls", SHIP_BATCH);
      if (rows.length === 0) return;
      const calls = rows.map((row) => Object.fromEntries(CALL.map((name, index) => [name, row[index]])));
      const control = this.env.CONTROL.withSession("first-primary");
      await control.batch(calls.map((call) => control.prepare(this.statements["records.upsert"]).bind(...this.record(call))));
      for (const call of calls) this.run("live.shipped", call.row_version, call.call_id, call.row_version);
    }
  }

  // ---- the shell

  async decide(accountId, origin, body) {
    try {
      if (!this.loaded) await this.load(accountId);
      const [nodeId, region, requestId] = origin.split(" ");
      const now = Date.now();
      const decision = this.ctx.storage.transactionSync(() => {
        if (this.run("live.see_request", requestId, now) === 0) throw failure(409, "replayed_request", "Sign it anew.");
        return body({ nodeId, region }, now);
      });
      return `200 ${decision}`;
    } catch (error) {
      const shape = { code: error.code ?? "internal_error", message: error.message };
      return `${error.status ?? 500} ${JSON.stringify({ ok: false, error: shape })}`;
    }
  }

  /** One decision with the names of the statements that it ran, for the bench to compare with the brain's. */
  async traced(method, accountId, origin, text) {
    this.trace = [];
    const reply = await this[method](accountId, origin, text);
    const statements = this.trace;
    this.trace = undefined;
    return JSON.stringify({ reply, statements });
  }

  run(name, ...params) {
    this.trace?.push(name);
    return this.sql.exec(this.statements[name], ...params).rowsWritten;
  }

  json(name, ...params) {
    this.trace?.push(name);
    return JSON.parse(this.sql.exec(this.statements[name], ...params).one().j);
  }

  dirty(now) {
    if (this.due !== undefined) return;
    this.due = now + SHIP_WITHIN_MS;
    this.ctx.storage.setAlarm(this.due);
  }

  async load(accountId) {
    const control = this.env.CONTROL.withSession("first-primary");
    const columns = Object.fromEntries(TABLES.map((table) => [table, this.json("replica.columns", table)]));
    const changed = (table) =>
      this.statements["replica.changed_rows"]
        .replaceAll("{columns}", columns[table].map((column) => `t.${column}`).join(", "))
        .replaceAll("{table}", table)
        .replaceAll("{owned}", `t.${table === "account" ? "id" : "account_id"} = ?1`);
    for (let since = 0; ; ) {
      const texts = [this.statements["replica.changes"], ...TABLES.map(changed)];
      const found = await control.batch(texts.map((text) => control.prepare(text).bind(accountId, since, PAGE)));
      for (const { table_name: table, row_id: id } of found[0].results)
        this.sql.exec(`DELETE FROM ${table} WHERE id = ?`, id);
      TABLES.forEach((table, index) => {
        const names = columns[table];
        const insert = `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`;
        for (const row of found[index + 1].results) this.sql.exec(insert, ...names.map((name) => row[name]));
      });
      if (found[0].results.length < PAGE) break;
      since = found[0].results.at(-1).version;
    }
    this.run("replica.set_meta", "account_id", accountId);
    this.accountId = accountId;
    // Kept, as the brain keeps them, for as long as the configuration does not change.
    this.domains = new Map(this.json("replica.domains").map(([domain]) => [domain.toLowerCase(), domain]));
    [this.account] = this.json("replica.account");
    this.loaded = true;
  }

  // ---- who asks

  identify(sender, request, method, now) {
    const realm = this.domains.get((method === "INVITE" ? request.fromDomain : request.realm).toLowerCase());
    if (realm === undefined) throw failure(421, "not_mine", "The domain does not belong to this account.");
    const { account } = this;
    if (account === undefined) throw failure(404, "unknown_account", "There is no such account.");
    if (account[3] !== "active") throw failure(403, "account_suspended", `The account is ${account[3]}.`);
    const { credentials } = request;
    const [username, qualified] = splitUsername(credentials.username);
    const [row] = this.json("replica.caller_by_username", username, realm);
    const secrets = row?.slice(3, 7) ?? NOBODY;
    const right =
      credentials.realm === realm && wellFormed(credentials) && matches(credentials, method, secrets, qualified);
    const allowed = row !== undefined && row[9] && row[15] && (row[8] === null || row[8] === request.userAgent);
    if (!right || !allowed) return { challenge: this.challenge(sender, realm, now, false) };
    if (!isCurrent(this.nonceKey, credentials.nonce, now, realm, sender.nodeId))
      return { challenge: this.challenge(sender, realm, now, true) };
    const cnonce = credentials.cnonce ?? "";
    const nc = credentials.qop === undefined ? 0 : parseInt(credentials.nc, 16);
    const use = [nc, credentials.response, request.sourceIp, request.cseq, now];
    const reuse = judgeReuse(this.json("live.nonce_use", credentials.nonce, cnonce)[0], use);
    if (reuse === "stale") return { challenge: this.challenge(sender, realm, now, true) };
    if (reuse === "fresh") this.run("live.use_nonce", credentials.nonce, cnonce, ...use);
    const device = { deviceId: row[0], realm: row[2], webrtc: Boolean(row[7]) };
    return { realm, device, user: user([row[1], ...row.slice(10)]) };
  }

  challenge(sender, realm, now, stale) {
    const salt = crypto.getRandomValues(Buffer.alloc(6)).toString("hex");
    const nonce = makeNonce(this.nonceKey, now, realm, sender.nodeId, salt);
    return JSON.stringify({ ok: false, challenge: { realm, nonce, algorithms: ["SHA-256", "MD5"], qop: "auth", stale } });
  }

  authenticateRequest(sender, request, now) {
    const { challenge, realm, device, user } = this.identify(sender, request, request.method, now);
    if (challenge !== undefined) return challenge;
    const context = { aor: aor(device), domain: realm };
    if (request.method === "REGISTER") context.expires = this.register(sender, request, device, now);
    return JSON.stringify({
      ok: true, account_id: this.accountId, user_id: user.userId, device_id: device.deviceId, context,
    });
  }

  register(sender, request, device, now) {
    const expires = Math.min(request.expires ?? 600, 3600);
    if (request.contact === undefined) return expires;
    const key = [device.deviceId, sender.nodeId, request.contact];
    const [known] = this.json("live.contact", ...key, "*");
    if (known !== undefined && now < known[4]) return expires;
    const until = expires === 0 ? 0 : now + expires * 1000;
    this.run("live.put_contact", ...key, until, now, request.transport, request.userAgent ?? null);
    return expires;
  }

  // ---- where a call goes

  routeCall(sender, request, now) {
    const known = this.json("live.known_reply", request.sipCallId, request.fromTag, request.cseq);
    if (known.length > 0) return known[0][1];
    const { challenge, device, user: caller } = this.identify(sender, request, "INVITE", now);
    if (challenge !== undefined) return challenge;
    const callId = `call_${ulid(now)}`;
    const dialled = parseUri(request.ruri);
    const decision = this.decideCall(callId, caller, dialled, now);
    const rejected = decision.code !== undefined;
    const text = JSON.stringify({ rtjson: this.directive(callId, decision, caller, device) });
    const row = [
      callId, request.sipCallId, request.fromTag, request.cseq, sender.nodeId, sender.region, caller.username,
      dialled.user, now, now + LEASE_MS, caller.userId, decision.callee?.userId ?? null,
      rejected ? "ended" : "ringing", null, rejected ? now : null, decision.disposition ?? null,
      rejected ? String(decision.code) : null, rejected ? "platform" : null, null, decision.dimension ?? null,
      0, -1, 0, rejected ? 2 : 1, "internal", null, null, null, decision.callee?.userId ?? "", "",
      rejected ? null : plan(caller, device, decision.callee), 0, 0, null, null, null,
    ];
    this.run("live.add_call", ...row, text);
    if (rejected) this.run("live.release_call", callId);
    return text;
  }

  decideCall(callId, caller, dialled, now) {
    const ours = dialled.domain === "" || this.domains.has(dialled.domain);
    const [found] = ours ? this.json("replica.extension", dialled.user) : [];
    const target = found?.slice(2, 4);
    if (target === undefined) return { code: 404, reason: "Not Found", disposition: "rejected" };
    if (!this.admit(callId, "caller", caller)) {
      const reason = `User simultaneous Limit Of ${caller.maxSimultaneous} Reached`;
      return { code: 486, reason, disposition: "rejected", dimension: "user_simultaneous", retryAfter: 10 };
    }
    if (target[0] !== "user") return { code: 480, reason: "Target Not Available", disposition: "rejected" };
    const [row] = this.json("replica.user", target[1]);
    const callee = row && user(row);
    if (!callee?.active) return { code: 480, reason: "Temporarily Unavailable", disposition: "no_answer" };
    if (callee.dnd) return { code: 486, reason: "Busy Here", disposition: "busy" };
    const devices = this.json("replica.reachable_devices", callee.userId, now);
    if (devices.length === 0) return { code: 480, reason: "Temporarily Unavailable", disposition: "no_answer" };
    if (!this.admit(callId, "callee", callee)) return { code: 486, reason: "Busy Here", disposition: "busy" };
    return { callee, devices: devices.map(([deviceId, realm, webrtc]) => ({ deviceId, realm, webrtc: Boolean(webrtc) })) };
  }

  admit(callId, leg, { userId, maxSimultaneous }) {
    const dimension = "user_simultaneous";
    if (maxSimultaneous !== null) {
      const [used] = this.json("live.used_beside", dimension, userId, callId, leg);
      if (used >= maxSimultaneous) return false;
    }
    this.run("live.take", callId, leg, dimension, userId);
    return true;
  }

  directive(callId, decision, caller, device) {
    const { callee } = decision;
    const head = { success: true, version: "1.0" };
    const ids = { account_id: this.accountId, call_id: callId };
    if (callee === undefined) {
      const { code, reason, retryAfter } = decision;
      return {
        ...head, routing: "serial", routes: [], action: "reject", ...ids, code, reason, retry_after_sec: retryAfter,
        headers: retryAfter && ['Reason: Q.850;cause=17;text="user_simultaneous"'],
        max_duration_sec: 14_400, vars: {}, rtpengine: PHONE, cdr: {},
      };
    }
    const from = { display: caller.displayName, uri: `sip:${caller.username}@${device.realm}` };
    return {
      ...head,
      routing: "parallel",
      routes: decision.devices.map((one) => ({
        uri: aor(one), headers: { from }, fr_timer: 5000, fr_inv_timer: callee.ringTimeoutSec * 1000,
        rtpengine: profile(one),
      })),
      action: "proxy", ...ids, max_duration_sec: 14_400, vars: {}, rtpengine: profile(device),
      cdr: { user_id: caller.userId, callee_user_id: callee.userId },
    };
  }

  // ---- what became of it

  applyEvent(event, now) {
    if (this.run("live.see_event", event.eventId, now) === 0) return;
    if (event.type !== "dialog" || !["end", "failed"].includes(event.state)) throw failure(400, "invalid_request", "?");
    const [row] = this.json("live.call_by_id", event.callId);
    if (row === undefined) return;
    const call = Object.fromEntries(CALL.map((name, index) => [name, row[index]]));
    if (call.state === "ended" && !call.lost) return;
    const at = Math.max(Math.min(event.at, now), call.start_ts);
    Object.assign(call, {
      state: "ended",
      end_ts: Math.max(at, call.answer_ts ?? call.start_ts),
      disposition: call.answer_ts === null ? "failed" : "answered",
      hangup_cause: event.cause ?? null,
      hangup_by: event.hungUpBy ?? null,
      mos: event.stats?.mos ?? null,
      lost: 0,
      last_seq: Math.max(call.last_seq, event.seq),
      row_version: call.row_version + 1,
    });
    this.run("live.put_call", ...CALL.map((name) => call[name]), call.call_id);
    this.run("live.release_call", call.call_id);
  }

  record(call) {
    const ended = call.end_ts !== null;
    const seconds = (milliseconds) => Math.ceil(Math.max(milliseconds, 0) / 1000);
    const talk = call.answer_ts === null ? 0 : seconds(call.end_ts - call.answer_ts);
    return [
      call.call_id, this.accountId, call.row_version, call.direction, call.from_num, call.to_num, call.start_ts,
      call.answer_ts, call.end_ts, ended ? seconds(call.end_ts - call.start_ts) : null, ended ? talk : null,
      Number(call.answer_ts !== null), call.disposition, call.hangup_cause, call.hangup_by, call.user_id,
      call.callee_user_id, call.node_id, call.region, call.mos, call.media_app_ms ?? 0, call.cac_refused_by,
      call.did_id, call.trunk_id, call.ring_group_id, call.limit_warnings || null,
    ];
  }
}

function user([userId, username, displayName, maxSimultaneous, ringTimeoutSec, dnd, active]) {
  return { userId, username, displayName, maxSimultaneous, ringTimeoutSec, dnd: Boolean(dnd), active: Boolean(active) };
}

/** What routing remembers between two questions about a call. */
function plan(caller, device, callee) {
  const shown = [caller.username, caller.displayName, device.realm, caller.userId, false, device.webrtc];
  return JSON.stringify([[shown, 0, ["user", callee.userId, []], [], []], null]);
}

function aor({ deviceId, realm }) {
  return `sip:${deviceId}@${realm}`;
}

function profile({ webrtc }) {
  return webrtc ? BROWSER : PHONE;
}

function parseUri(uri) {
  const found = /^sips?:(?:([^@]*)@)?([^:;?]*)/i.exec(uri) ?? ["", uri, ""];
  return { user: decodeURIComponent(found[1] ?? "").split(/[;:]/)[0], domain: found[2].toLowerCase() };
}

function ulid(now) {
  let value = (BigInt(now) << 80n) | BigInt(`0x${crypto.getRandomValues(Buffer.alloc(10)).toString("hex")}`);
  let text = "";
  for (let index = 0; index < 26; index += 1) {
    text = ALPHABET[Number(value & 31n)] + text;
    value >>= 5n;
  }
  return text;
}

/** The request, with the fields that a decision needs checked to be strings. */
function parse(text, fields) {
  const request = JSON.parse(text);
  for (const name of fields) {
    if (typeof request[name] !== "string" || request[name].length > 1024)
      throw failure(400, "invalid_request", `Field ${name}: a string is required.`);
  }
  if (request.credentials === undefined) throw failure(400, "invalid_request", "There are no credentials to verify.");
  return request;
}

function failure(status, code, message) {
  return Object.assign(new Error(message), { status, code });
}
