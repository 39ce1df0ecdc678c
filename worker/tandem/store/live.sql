-- What is live in an account, and the record of it. Times are epoch milliseconds.
-- The blocks named step_… are this file's migrations, in order; what was released is never edited (store/live.py).

-- name: meta
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- name: step_1_calls
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

-- name: step_2_every_dimension
ALTER TABLE call ADD COLUMN direction TEXT NOT NULL DEFAULT 'internal';
ALTER TABLE call ADD COLUMN did_id TEXT;
ALTER TABLE call ADD COLUMN trunk_id TEXT;
ALTER TABLE call ADD COLUMN ring_group_id TEXT;
ALTER TABLE call ADD COLUMN ringing TEXT NOT NULL DEFAULT '';
ALTER TABLE call ADD COLUMN limit_warnings TEXT NOT NULL DEFAULT '';
ALTER TABLE call ADD COLUMN plan TEXT;
ALTER TABLE call ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE call ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
UPDATE call SET ringing = callee_user_id WHERE callee_user_id IS NOT NULL;
-- place counts up by one within a window, so that its n-th newest entry is found without reading the others.
CREATE TABLE window_entry (
  call_id TEXT NOT NULL, limit_id TEXT NOT NULL, subject TEXT NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL,
  until INTEGER NOT NULL, PRIMARY KEY (call_id, limit_id, subject)
) WITHOUT ROWID;
CREATE INDEX window_entry_place ON window_entry (limit_id, subject, place);
CREATE INDEX window_entry_until ON window_entry (until);
-- What was asked of ancestors' objects for calls of this account: asking, held, taking, releasing (store/asked.py).
CREATE TABLE asked (
  call_id TEXT NOT NULL, ancestor_id TEXT NOT NULL, dimension TEXT NOT NULL, version INTEGER NOT NULL,
  state TEXT NOT NULL, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (call_id, ancestor_id, dimension)
) WITHOUT ROWID;
CREATE INDEX asked_due ON asked (due_at) WHERE state <> 'held';
-- What was granted to calls of accounts below this one. held 0: released, kept for a while against stragglers.
CREATE TABLE child_call (
  call_id TEXT NOT NULL, dimension TEXT NOT NULL, child_id TEXT NOT NULL, version INTEGER NOT NULL,
  held INTEGER NOT NULL, due_at INTEGER NOT NULL, PRIMARY KEY (call_id, dimension)
) WITHOUT ROWID;
CREATE INDEX child_call_due ON child_call (held, due_at);
CREATE TABLE node_address (
  node_id TEXT PRIMARY KEY, sip_address TEXT NOT NULL, credential_version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE turn (ring_group_id TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;

-- name: step_3_legs
-- A leg that the media engine places is a call with a parent; it leaves no record of its own.
ALTER TABLE call ADD COLUMN parent_id TEXT;
ALTER TABLE call ADD COLUMN media_app_ms INTEGER;
CREATE INDEX call_parent ON call (parent_id) WHERE parent_id IS NOT NULL;
-- What a leg is to ring, until it arrives or its token is no good any more.
CREATE TABLE leg_order (
  leg_id TEXT PRIMARY KEY, call_id TEXT NOT NULL, node_id TEXT NOT NULL, targets TEXT NOT NULL,
  timeout_sec INTEGER NOT NULL, caller_id TEXT, expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- name: step_4_media_held
ALTER TABLE call ADD COLUMN media_app_since INTEGER;

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
DELETE FROM contact WHERE expires_at < ? AND updated_at < ?;

-- name: forget_calls
DELETE FROM call WHERE state = 'ended' AND end_ts < ? AND shipped_version >= row_version;

-- name: nonce_use
SELECT json_group_array(json_array(nc, response, source, cseq, at)) AS j
FROM nonce_use WHERE nonce = ? AND cnonce = ?;

-- name: use_nonce
INSERT INTO nonce_use (nonce, cnonce, nc, response, source, cseq, at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (nonce, cnonce) DO UPDATE SET nc = excluded.nc, response = excluded.response,
  source = excluded.source, cseq = excluded.cseq, at = excluded.at;

-- name: contact
SELECT json_group_array(json_array(device_id, node_id, contact, expires_at, updated_at, transport, user_agent)) AS j
FROM (
  SELECT * FROM contact WHERE device_id = ? AND node_id = ? AND contact IN (?, ?) ORDER BY updated_at DESC LIMIT 1
);

-- name: put_contact
INSERT INTO contact (device_id, node_id, contact, expires_at, updated_at, transport, user_agent)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (device_id, node_id, contact) DO UPDATE SET expires_at = excluded.expires_at,
  updated_at = excluded.updated_at, transport = excluded.transport, user_agent = excluded.user_agent;

-- name: end_device_contacts
UPDATE contact SET expires_at = 0, updated_at = ?1 WHERE device_id = ?2 AND node_id = ?3 AND updated_at <= ?1;

-- name: end_node_contacts
UPDATE contact SET expires_at = 0, updated_at = ?1 WHERE node_id = ?2 AND updated_at <= ?1 AND expires_at > 0;

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
SELECT json_group_array(json_array(call_id, reply, pending)) AS j FROM call WHERE sip_call_id = ? AND from_tag = ? AND cseq = ?;

-- name: call_by_sip
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE sip_call_id = ? AND from_tag = ? AND cseq = ?;

-- name: call_by_id
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE call_id = ?;

-- name: live_calls_of_node
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE node_id = ? AND state <> 'ended';

-- name: live_calls
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE state <> 'ended';

-- name: live_legs
SELECT json_group_array(json_array({fields})) AS j FROM call WHERE parent_id = ? AND state <> 'ended';

-- name: last_to_answer
SELECT json_array((
  SELECT callee_user_id FROM call WHERE parent_id = ? AND answer_ts IS NOT NULL AND callee_user_id IS NOT NULL
  ORDER BY answer_ts DESC, call_id DESC LIMIT 1
)) AS j;

-- name: put_order
INSERT INTO leg_order (leg_id, call_id, node_id, targets, timeout_sec, caller_id, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (leg_id) DO UPDATE SET expires_at = excluded.expires_at;

-- name: order
SELECT json_group_array(json_array(leg_id, call_id, node_id, json(targets), timeout_sec, caller_id)) AS j
FROM leg_order WHERE leg_id = ?;

-- name: drop_order
DELETE FROM leg_order WHERE leg_id = ?;

-- name: forget_orders
DELETE FROM leg_order WHERE expires_at < ?;

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

-- name: add_leg
-- Never to be shipped: its version is behind for ever.
INSERT INTO call ({fields}, reply, shipped_version) VALUES ({marks}, ?, 9000000000000000);

-- name: put_call
UPDATE call SET {assignments} WHERE call_id = ?;

-- name: answer_anew
UPDATE call SET reply = ? WHERE call_id = ?;

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

-- name: release_losers
DELETE FROM holding WHERE call_id = ? AND leg = ? AND subject <> ?;

-- name: release_all
DELETE FROM holding;

-- name: give_back
DELETE FROM holding WHERE dimension = ? AND subject = ? AND call_id = ? AND leg = ?;

-- name: ceilings
SELECT json_group_array(json_array(id, max_in, max_out, max_dialer)) AS j FROM (
  SELECT * FROM account ORDER BY id <> ?, id
);

-- name: owns_trunk
SELECT json_array(EXISTS (SELECT 1 FROM sip_trunk WHERE id = ? AND account_id IS NOT NULL)) AS j;

-- name: entries
SELECT json_array(
  EXISTS (SELECT 1 FROM window_entry WHERE call_id = ?3 AND limit_id = ?1 AND subject = ?2),
  (SELECT at FROM window_entry WHERE limit_id = ?1 AND subject = ?2 AND place = 1 - ?4 + (
    SELECT MAX(place) FROM window_entry WHERE limit_id = ?1 AND subject = ?2))
) AS j;

-- name: enter
INSERT INTO window_entry (call_id, limit_id, subject, place, at, until)
VALUES (?3, ?1, ?2, 1 + COALESCE((SELECT MAX(place) FROM window_entry WHERE limit_id = ?1 AND subject = ?2), 0), ?4, ?5)
ON CONFLICT DO NOTHING;

-- name: places
SELECT json_group_array(json_array(limit_id, subject, place)) AS j FROM window_entry WHERE call_id = ?;

-- name: close_gap
UPDATE window_entry SET place = place - 1 WHERE limit_id = ? AND subject = ? AND place > ?;

-- name: leave_windows
DELETE FROM window_entry WHERE call_id = ?;

-- name: forget_entries
DELETE FROM window_entry WHERE until < ?;

-- name: put_asked
INSERT INTO asked (call_id, ancestor_id, dimension, version, state, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (call_id, ancestor_id, dimension) DO UPDATE SET version = excluded.version, state = excluded.state,
  due_at = excluded.due_at, attempts = 0;

-- name: open_asks
SELECT json_group_array(json_array(ancestor_id, dimension, version)) AS j FROM asked
WHERE call_id = ? AND state = 'asking';

-- name: asks_granted
UPDATE asked SET state = 'held' WHERE call_id = ? AND state = 'asking';

-- name: let_go
UPDATE asked SET state = 'releasing', version = ?, due_at = 0, attempts = 0 WHERE call_id = ? AND state <> 'releasing';

-- name: still_wanted
SELECT json_array(EXISTS (
  SELECT 1 FROM asked WHERE call_id = ? AND ancestor_id = ? AND dimension = ? AND state <> 'releasing'
)) AS j;

-- name: next_asked
SELECT json_array(MIN(due_at)) AS j FROM asked WHERE state <> 'held';

-- name: abandoned
SELECT json_group_array(DISTINCT call_id) AS j FROM asked WHERE state <> 'held' AND state = 'asking' AND due_at <= ?;

-- name: owed
SELECT json_group_array(json_array(call_id, ancestor_id, dimension, version, state, attempts)) AS j FROM (
  SELECT * FROM asked WHERE state <> 'held' AND state <> 'asking' AND due_at <= ? ORDER BY due_at LIMIT ?
);

-- name: told_releasing
DELETE FROM asked WHERE call_id = ? AND ancestor_id = ? AND dimension = ? AND version = ? AND state = 'releasing';

-- name: told_taking
UPDATE asked SET state = 'held' WHERE call_id = ? AND ancestor_id = ? AND dimension = ? AND version = ?
  AND state = 'taking';

-- name: not_told
UPDATE asked SET due_at = ?, attempts = attempts + 1
WHERE call_id = ? AND ancestor_id = ? AND dimension = ? AND version = ?;

-- name: child_call
SELECT json_group_array(json_array(child_id, version, held)) AS j FROM child_call WHERE call_id = ? AND dimension = ?;

-- name: put_child_call
INSERT INTO child_call (call_id, dimension, child_id, version, held, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (call_id, dimension) DO UPDATE SET child_id = excluded.child_id, version = excluded.version,
  held = excluded.held, due_at = excluded.due_at;

-- name: held_child_calls
SELECT json_group_array(json_array(call_id, dimension, child_id, version, held)) AS j FROM child_call WHERE held = 1;

-- name: due_child_calls
SELECT json_group_array(json_array(call_id, dimension, child_id, version, held)) AS j FROM (
  SELECT * FROM child_call WHERE held = 1 AND due_at <= ? ORDER BY due_at LIMIT ?
);

-- name: next_child_call
SELECT json_array(MIN(due)) AS j FROM (
  SELECT MIN(due_at) AS due FROM child_call WHERE held = 1
  UNION ALL SELECT MIN(due_at) FROM child_call WHERE held = 0
);

-- name: lease_child_call
UPDATE child_call SET due_at = ? WHERE call_id = ? AND dimension = ? AND version = ? AND held = 1;

-- name: forget_child_calls
DELETE FROM child_call WHERE held = 0 AND due_at <= ?;

-- name: next_turn
INSERT INTO turn (ring_group_id, next) VALUES (?, 1) ON CONFLICT (ring_group_id) DO UPDATE SET next = next + 1;

-- name: turn
SELECT json_group_array(next) AS j FROM turn WHERE ring_group_id = ?;

-- name: node_addresses
SELECT json_group_array(json_array(node_id, sip_address, credential_version)) AS j FROM node_address;

-- name: put_node_address
INSERT INTO node_address (node_id, sip_address, credential_version) VALUES (?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET sip_address = excluded.sip_address,
  credential_version = excluded.credential_version;

-- name: usage
SELECT json_group_array(json_array(dimension, subject, used, COALESCE(
  (SELECT CASE dimension WHEN 'account_in' THEN max_in WHEN 'account_out' THEN max_out ELSE max_dialer END
   FROM account WHERE id = subject AND dimension LIKE 'account_%'),
  (SELECT max_simultaneous FROM sip_user WHERE id = subject),
  (SELECT max_channels FROM did WHERE id = subject),
  (SELECT max_channels FROM sip_trunk WHERE id = subject)
))) AS j FROM (
  SELECT dimension, subject, COUNT(*) AS used FROM holding GROUP BY dimension, subject ORDER BY dimension, subject
);

-- name: window_usage
SELECT json_group_array(json_array(id, subject, used, max_count, period_sec, hard)) AS j FROM (
  SELECT l.id, COALESCE(e.subject, l.scope_id, l.pattern, 'account') AS subject, l.max_count, l.period_sec, l.hard,
    COUNT(e.call_id) FILTER (WHERE e.at > ?1 - l.period_sec * 1000) AS used
  FROM call_limit AS l LEFT JOIN window_entry AS e ON e.limit_id = l.id GROUP BY l.id, e.subject ORDER BY l.id, e.subject
);

-- name: user_of_device
SELECT json_array((SELECT user_id FROM sip_device WHERE id = ?)) AS j;

-- name: nodes
SELECT json_group_array(node_id) AS j FROM (
  SELECT node_id FROM node_snapshot UNION SELECT node_id FROM call WHERE state <> 'ended'
  UNION SELECT node_id FROM contact ORDER BY node_id
);
