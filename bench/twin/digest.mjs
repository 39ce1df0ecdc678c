// HMAC signatures, nonces and digest authentication, as worker/tandem does them.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const NONCE_LIFETIME_MS = 300_000;
const REPEAT_MS = 32_000;

export const hash = (algorithm, text) => createHash(algorithm).update(text).digest("hex");
export const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

export function same(one, other) {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export function signature(key, method, target, body, timestamp, requestId, nodeId) {
  const text = [method, target, hash("sha256", body), timestamp, requestId, nodeId].join("\n");
  return hmac(key, text).toString("hex");
}

function mac(key, stamp, realm, nodeId) {
  return hmac(key, `${stamp}|${realm}|${nodeId}`).toString("hex").slice(0, 32);
}

export function makeNonce(key, now, realm, nodeId, salt) {
  const stamp = `${now.toString(16)}-${salt}`;
  return `${stamp}.${mac(key, stamp, realm, nodeId)}`;
}

export function isCurrent(key, nonce, now, realm, nodeId) {
  const [stamp, given = ""] = nonce.split(".");
  const age = now - parseInt(stamp, 16);
  return same(given, mac(key, stamp, realm, nodeId)) && age >= 0 && age < NONCE_LIFETIME_MS;
}

export function wellFormed({ algorithm = "MD5", qop, nc = "", cnonce }) {
  if (!["MD5", "SHA-256"].includes(algorithm.toUpperCase())) return false;
  return qop === undefined || (qop === "auth" && Boolean(cnonce) && /^[0-9a-f]{8}$/i.test(nc));
}

/** `secrets`: [ha1, ha1b, ha1_sha256, ha1b_sha256]. */
export function matches(credentials, method, secrets, qualified) {
  const strong = (credentials.algorithm ?? "MD5").toUpperCase() === "SHA-256";
  const algorithm = strong ? "sha256" : "md5";
  const ha1 = secrets[(strong ? 2 : 0) + (qualified ? 1 : 0)];
  const ha2 = hash(algorithm, `${method}:${credentials.uri}`);
  const { nonce, nc, cnonce, qop } = credentials;
  const middle = qop === undefined ? nonce : `${nonce}:${nc}:${cnonce}:${qop}`;
  return same(hash(algorithm, `${ha1}:${middle}:${ha2}`), credentials.response.toLowerCase());
}

export function splitUsername(username) {
  const name = username.replaceAll(/\\(.)/g, "$1");
  const at = name.lastIndexOf("@");
  return at > 0 && at < name.length - 1 ? [name.slice(0, at), true] : [name, false];
}

/** "fresh", "repeat" or "stale"; `last` and `use`: [nc, response, source, cseq, at]. */
export function judgeReuse(last, use) {
  if (last === undefined) return "fresh";
  const repeated = last.slice(0, 4).every((value, index) => value === use[index]);
  if (repeated && use[4] - last[4] <= REPEAT_MS) return "repeat";
  return use[0] > last[0] ? "fresh" : "stale";
}
