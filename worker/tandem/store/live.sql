-- What is live in an account, and the record of it. Times are epoch milliseconds.

-- name: schema
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen_request (request_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen_event (event_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nonce_use (
  nonce TEXT NOT NULL, cnonce TEXT NOT NULL, nc INTEGER NOT NULL, response TEXT NOT NULL, source TEXT NOT NULL,
  cseq TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (nonce, cnonce)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contact (
  device_id TEXT NOT NULL, node_id TEXT NOT NULL, contact TEXT NOT NULL, expires_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL, transport TEXT NOT NULL, user_agent TEXT,
  PRIMARY KEY (device_id, node_id, contact)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lost_node (node_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node_snapshot (
  node_id TEXT PRIMARY KEY, dialogs TEXT NOT NULL, contacts TEXT NOT NULL, as_of INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS call (
  call_id TEXT PRIMARY KEY, sip_call_id TEXT NOT NULL, from_tag TEXT NOT NULL, cseq TEXT NOT NULL,
  node_id TEXT NOT NULL, region TEXT NOT NULL, from_num TEXT NOT NULL, to_num TEXT NOT NULL,
  start_ts INTEGER NOT NULL, lease_until INTEGER NOT NULL, user_id TEXT, callee_user_id TEXT, state TEXT NOT NULL, answer_ts INTEGER,
  end_ts INTEGER, disposition TEXT, hangup_cause TEXT, hangup_by TEXT, mos REAL, cac_refused_by TEXT,
  lost INTEGER NOT NULL, last_seq INTEGER NOT NULL, listed_at INTEGER NOT NULL, row_version INTEGER NOT NULL,
  shipped_version INTEGER NOT NULL DEFAULT 0, reply TEXT NOT NULL DEFAULT '',
  UNIQUE (sip_call_id, from_tag, cseq)
);
CREATE INDEX IF NOT EXISTS call_live ON call (lease_until) WHERE state <> 'ended';
CREATE INDEX IF NOT EXISTS call_unshipped ON call (start_ts) WHERE shipped_version < row_version;
CREATE TABLE IF NOT EXISTS holding (
  call_id TEXT NOT NULL, leg TEXT NOT NULL, dimension TEXT NOT NULL, subject TEXT NOT NULL,
  PRIMARY KEY (dimension, subject, call_id, leg)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holding_call ON holding (call_id);

-- name: see_request
INSERT INTO seen_request (request_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: see_event
INSERT INTO seen_event (event_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: forget_requests
DELETE FROM seen_request WHERE at < ?;

-- name: forget_events
DELETE FROM seen_event WHERE at < ?;

-- name: forget_nonces
DELETE FROM nonce_use WHERE at < ?;

-- name: forget_contacts
DELETE FROM contact WHERE expires_at < ?;

-- name: forget_calls
DELETE FROM call WHERE state = 'ended' AND end_ts < ? AND shipped_version = row_version;

-- name: nonce_use
SELECT json_group_array(json_array(nc, response, source, cseq, at)) AS j
FROM nonce_use WHERE nonce = ? AND cnonce = ?;

-- name: use_nonce
INSERT INTO nonce_use (nonce, cnonce, nc, response, source, cseq, at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (nonce, cnonce) DO UPDATE SET nc = excluded.nc, response = excluded.response,
  source = excluded.source, cseq = excluded.cseq, at = excluded.at;

-- name: contact
SELECT json_group_array(json_array(device_id, node_id, contact, expires_at, updated_at, transport, user_agent)) AS j
FROM contact WHERE device_id = ? AND node_id = ? AND contact = ?;

-- name: put_contact
INSERT INTO contact (device_id, node_id, contact, expires_at, updated_at, transport, user_agent)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (device_id, node_id, contact) DO UPDATE SET expires_at = excluded.expires_at,
  updated_at = excluded.updated_at, transport = excluded.transport, user_agent = excluded.user_agent;

-- name: drop_contact
DELETE FROM contact WHERE device_id = ? AND node_id = ? AND contact = ?;

-- name: drop_device_contacts
DELETE FROM contact WHERE device_id = ? AND node_id = ? AND updated_at <= ?;

-- name: drop_node_contacts
DELETE FROM contact WHERE node_id = ? AND updated_at <= ?;

-- name: sweepable
SELECT json_array(
  EXISTS (SELECT 1 FROM contact), EXISTS (SELECT 1 FROM call WHERE state <> 'ended'),
  EXISTS (SELECT 1 FROM call WHERE shipped_version < row_version),
  EXISTS (SELECT 1 FROM seen_request), EXISTS (SELECT 1 FROM nonce_use)
) AS j;

-- name: lose_node
INSERT INTO lost_node (node_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: find_node
DELETE FROM lost_node WHERE node_id = ?;

-- name: snapshot
SELECT json_group_array(json_array(dialogs, contacts, as_of)) AS j FROM node_snapshot WHERE node_id = ?;

-- name: put_snapshot
INSERT INTO node_snapshot (node_id, dialogs, contacts, as_of) VALUES (?, ?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET dialogs = excluded.dialogs, contacts = excluded.contacts, as_of = excluded.as_of;

-- name: known_reply
SELECT json_group_array(reply) AS j FROM call WHERE sip_call_id = ? AND from_tag = ? AND cseq = ?;

-- name: call_by_sip
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE sip_call_id = ? AND from_tag = ? AND cseq = ?;

-- name: call_by_id
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE call_id = ?;

-- name: live_calls_of_node
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE node_id = ? AND state <> 'ended';

-- name: live_calls
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE state <> 'ended';

-- name: lapsed_calls
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE state <> 'ended' AND lease_until <= ?;

-- name: unshipped_calls
SELECT json_group_array(json_array({fields})) AS j FROM (
  SELECT * FROM call WHERE shipped_version < row_version ORDER BY start_ts LIMIT ?
);

-- name: next_lapse
SELECT json_array(MIN(lease_until)) AS j FROM call WHERE state <> 'ended';

-- name: oldest_unshipped
SELECT json_array((SELECT start_ts FROM call WHERE shipped_version < row_version LIMIT 1)) AS j;

-- name: add_call
INSERT INTO call ({fields}, reply) VALUES ({marks}, ?);

-- name: put_call
UPDATE call SET {assignments} WHERE call_id = ?;

-- name: shipped
UPDATE call SET shipped_version = ? WHERE call_id = ? AND shipped_version < ?;

-- name: used_beside
SELECT json_array(COUNT(*)) AS j FROM holding
WHERE dimension = ? AND subject = ? AND NOT (call_id = ? AND leg = ?);

-- name: take
INSERT INTO holding (call_id, leg, dimension, subject) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: release_call
DELETE FROM holding WHERE call_id = ?;

-- name: release_leg
DELETE FROM holding WHERE call_id = ? AND leg = ?;

-- name: release_all
DELETE FROM holding;

-- name: usage
SELECT json_group_array(json_array(dimension, subject, used)) AS j FROM (
  SELECT dimension, subject, COUNT(*) AS used FROM holding GROUP BY dimension, subject ORDER BY dimension, subject
);

-- name: nodes
SELECT json_group_array(node_id) AS j FROM (
  SELECT node_id FROM node_snapshot UNION SELECT node_id FROM call WHERE state <> 'ended'
  UNION SELECT node_id FROM contact ORDER BY node_id
);
