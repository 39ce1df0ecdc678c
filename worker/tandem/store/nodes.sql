-- What FLEET knows of its region's nodes. Times are epoch milliseconds.

-- name: schema
CREATE TABLE IF NOT EXISTS node (
  node_id TEXT PRIMARY KEY, status TEXT NOT NULL, deadline INTEGER NOT NULL, boot_ids TEXT NOT NULL,
  version TEXT NOT NULL DEFAULT '', load TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node_account (
  node_id TEXT NOT NULL, account_id TEXT NOT NULL, dialogs TEXT NOT NULL, contacts TEXT NOT NULL,
  wanted INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (node_id, account_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT NOT NULL, node_id TEXT NOT NULL, change TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS seen_request (request_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;

-- name: see_request
INSERT INTO seen_request (request_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: forget_requests
DELETE FROM seen_request WHERE at < ?;

-- name: node
SELECT json_group_array(json_array(node_id, status, deadline, boot_ids)) AS j FROM node WHERE node_id = ?;

-- name: nodes
SELECT json_group_array(json_array(node_id, status, deadline, boot_ids)) AS j FROM node;

-- name: put_node
INSERT INTO node (node_id, status, deadline, boot_ids) VALUES (?, ?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET status = excluded.status, deadline = excluded.deadline,
  boot_ids = excluded.boot_ids;

-- name: report
UPDATE node SET version = COALESCE(?, version), load = ? WHERE node_id = ?;

-- name: next_deadline
SELECT json_array(MIN(deadline)) AS j FROM node WHERE status = 'active';

-- name: digests
SELECT json_group_array(json_array(account_id, dialogs, contacts)) AS j FROM node_account WHERE node_id = ?;

-- name: digests_of_account
SELECT json_group_array(json_array(dialogs, contacts)) AS j FROM node_account WHERE node_id = ? AND account_id = ?;

-- name: put_digests
INSERT INTO node_account (node_id, account_id, dialogs, contacts, wanted) VALUES (?, ?, ?, ?, 1)
ON CONFLICT (node_id, account_id) DO UPDATE SET dialogs = excluded.dialogs, contacts = excluded.contacts, wanted = 1;

-- name: want
INSERT INTO node_account (node_id, account_id, dialogs, contacts, wanted) VALUES (?, ?, ?, ?, 1)
ON CONFLICT (node_id, account_id) DO UPDATE SET wanted = 1;

-- name: wanted
SELECT json_group_array(account_id) AS j FROM (
  SELECT account_id FROM node_account WHERE node_id = ? AND wanted = 1 ORDER BY account_id
);

-- name: asked_for
UPDATE node_account SET wanted = 0 WHERE node_id = ? AND wanted = 1;

-- name: drop_digests
DELETE FROM node_account WHERE node_id = ? AND account_id = ?;

-- name: tell
INSERT INTO outbox (account_id, node_id, change) SELECT account_id, node_id, ?2 FROM node_account WHERE node_id = ?1;

-- name: untell
DELETE FROM outbox WHERE node_id = ? AND change = ?;

-- name: outbox
SELECT json_group_array(json_array(id, account_id, node_id, change)) AS j FROM (
  SELECT * FROM outbox WHERE id > ? ORDER BY id LIMIT ?
);

-- name: outbox_size
SELECT json_array(COUNT(*)) AS j FROM outbox;

-- name: told
DELETE FROM outbox WHERE id = ?;
