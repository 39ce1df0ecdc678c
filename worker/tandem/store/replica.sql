-- The account's configuration as PresenceDO holds it: the tables of D1 with the columns that decisions need.
-- A change to this block rebuilds the replica of every account on its next wake.

-- name: schema
DROP TABLE IF EXISTS account;
DROP TABLE IF EXISTS sip_domain;
DROP TABLE IF EXISTS sip_user;
DROP TABLE IF EXISTS sip_device;
DROP TABLE IF EXISTS extension;
CREATE TABLE account (id TEXT PRIMARY KEY, name TEXT, status TEXT, timezone TEXT, language TEXT, country TEXT);
CREATE TABLE sip_domain (id TEXT PRIMARY KEY, domain TEXT COLLATE NOCASE, is_primary INTEGER);
CREATE INDEX sip_domain_domain ON sip_domain (domain);
CREATE TABLE sip_user (
  id TEXT PRIMARY KEY, username TEXT, display_name TEXT, is_agent INTEGER, max_simultaneous INTEGER,
  ring_timeout_sec INTEGER, dnd INTEGER, status TEXT
);
CREATE TABLE sip_device (
  id TEXT PRIMARY KEY, user_id TEXT, auth_username TEXT, realm TEXT, ha1 TEXT, ha1b TEXT, ha1_sha256 TEXT,
  ha1b_sha256 TEXT, is_webrtc INTEGER, ring_order INTEGER, ring_on_fork INTEGER, user_agent_lock TEXT, status TEXT
);
CREATE INDEX sip_device_user ON sip_device (user_id);
CREATE INDEX sip_device_username ON sip_device (auth_username, realm);
CREATE TABLE extension (id TEXT PRIMARY KEY, digits TEXT, dest_kind TEXT, dest_id TEXT);
CREATE INDEX extension_digits ON extension (digits);

-- name: columns
SELECT json_group_array(name) AS j FROM pragma_table_info(?);

-- name: changes
SELECT table_name, row_id, version FROM config_change
WHERE account_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3;

-- name: changed_rows
SELECT {columns} FROM {table} AS t JOIN (
  SELECT row_id, table_name FROM config_change WHERE account_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3
) AS c ON c.row_id = t.id AND c.table_name = '{table}'
WHERE t.{owner} = ?1;

-- name: delete_row
DELETE FROM {table} WHERE id = ?;

-- name: insert_row
INSERT INTO {table} ({columns}) VALUES ({marks});

-- name: get_meta
SELECT json_group_array(value) AS j FROM meta WHERE key = ?;

-- name: set_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: caller_by_username
SELECT json_group_array(json_array(
  d.id, d.user_id, d.realm, d.ha1, d.ha1b, d.ha1_sha256, d.ha1b_sha256, d.is_webrtc, d.user_agent_lock,
  d.status = 'active', u.username, u.display_name, u.max_simultaneous, u.ring_timeout_sec, u.dnd, u.status = 'active'
)) AS j
FROM sip_device AS d JOIN sip_user AS u ON u.id = d.user_id
WHERE d.auth_username = ? AND d.realm = ? COLLATE NOCASE;

-- name: user
SELECT json_group_array(json_array(
  id, username, display_name, max_simultaneous, ring_timeout_sec, dnd, status = 'active'
)) AS j FROM sip_user WHERE id = ?;

-- name: extension
SELECT json_group_array(json_array(dest_kind, dest_id)) AS j FROM extension WHERE digits = ?;

-- name: canonical_domain
SELECT json_array((SELECT domain FROM sip_domain WHERE domain = ?)) AS j;

-- name: account
SELECT json_group_array(json_array(name, status)) AS j FROM account;

-- name: reachable_devices
SELECT json_group_array(json_array(id, realm, is_webrtc)) AS j FROM (
  SELECT d.id, d.realm, d.is_webrtc FROM sip_device AS d
  WHERE d.user_id = ?1 AND d.status = 'active' AND d.ring_on_fork = 1 AND EXISTS (
    SELECT 1 FROM contact AS c WHERE c.device_id = d.id AND c.expires_at > ?2
      AND NOT EXISTS (SELECT 1 FROM lost_node AS n WHERE n.node_id = c.node_id)
  ) ORDER BY d.ring_order, d.id
);
