-- The account's configuration as PresenceDO holds it: the tables of D1 with the columns that decisions need.
-- A change to this block rebuilds the replica of every account on its next wake.

-- name: schema
DROP TABLE IF EXISTS account;
DROP TABLE IF EXISTS sip_domain;
DROP TABLE IF EXISTS sip_user;
DROP TABLE IF EXISTS sip_device;
DROP TABLE IF EXISTS extension;
DROP TABLE IF EXISTS did;
DROP TABLE IF EXISTS ring_group;
DROP TABLE IF EXISTS ring_group_member;
DROP TABLE IF EXISTS forward;
DROP TABLE IF EXISTS time_schedule;
DROP TABLE IF EXISTS time_schedule_rule;
DROP TABLE IF EXISTS sip_trunk;
DROP TABLE IF EXISTS call_limit;
DROP TABLE IF EXISTS verified_number;
DROP TABLE IF EXISTS flow;
DROP TABLE IF EXISTS media_file;
DROP TABLE IF EXISTS media_playlist;
CREATE TABLE account (
  id TEXT PRIMARY KEY, parent_id TEXT, name TEXT, status TEXT, is_reseller INTEGER, timezone TEXT, language TEXT,
  voice_gender TEXT, brand_name TEXT, country TEXT, max_in INTEGER, max_out INTEGER, max_dialer INTEGER,
  default_cid_number TEXT, did_default_dest_kind TEXT, did_default_dest_id TEXT, media_engine TEXT,
  emergency_numbers TEXT
);
CREATE TABLE sip_domain (id TEXT PRIMARY KEY, domain TEXT COLLATE NOCASE, is_primary INTEGER);
CREATE INDEX sip_domain_domain ON sip_domain (domain);
CREATE TABLE sip_user (
  id TEXT PRIMARY KEY, username TEXT, display_name TEXT, is_agent INTEGER, out_cid_number TEXT, out_cid_name TEXT,
  max_simultaneous INTEGER, ring_strategy TEXT, ring_timeout_sec INTEGER, voicemail_id TEXT, dnd INTEGER,
  fwd_always_kind TEXT, fwd_always_id TEXT, fwd_busy_kind TEXT, fwd_busy_id TEXT, fwd_noanswer_kind TEXT,
  fwd_noanswer_id TEXT, allow_pstn_blind_transfer INTEGER, status TEXT
);
CREATE TABLE sip_device (
  id TEXT PRIMARY KEY, user_id TEXT, auth_username TEXT, realm TEXT, ha1 TEXT, ha1b TEXT, ha1_sha256 TEXT,
  ha1b_sha256 TEXT, is_webrtc INTEGER, ring_order INTEGER, ring_on_fork INTEGER, ring_specific INTEGER,
  user_agent_lock TEXT, status TEXT
);
CREATE INDEX sip_device_user ON sip_device (user_id);
CREATE INDEX sip_device_username ON sip_device (auth_username, realm);
CREATE TABLE extension (
  id TEXT PRIMARY KEY, digits TEXT, dest_kind TEXT, dest_id TEXT, dest_xform TEXT, schedule_id TEXT,
  closed_dest_kind TEXT, closed_dest_id TEXT, closed_dest_xform TEXT, holiday_dest_kind TEXT, holiday_dest_id TEXT,
  holiday_dest_xform TEXT
);
CREATE INDEX extension_digits ON extension (digits);
CREATE TABLE did (
  id TEXT PRIMARY KEY, e164 TEXT, label TEXT, accept_any_source INTEGER, status TEXT, dest_kind TEXT, dest_id TEXT,
  dest_xform TEXT, max_channels INTEGER, allow_anonymous INTEGER, fax_mode TEXT, schedule_id TEXT,
  closed_dest_kind TEXT, closed_dest_id TEXT, closed_dest_xform TEXT, holiday_dest_kind TEXT, holiday_dest_id TEXT,
  holiday_dest_xform TEXT
);
CREATE INDEX did_e164 ON did (e164);
CREATE TABLE ring_group (
  id TEXT PRIMARY KEY, name TEXT, strategy TEXT, ring_timeout_sec INTEGER, moh_media_id TEXT, exit_dest_kind TEXT,
  exit_dest_id TEXT, exit_dest_xform TEXT, schedule_id TEXT, closed_dest_kind TEXT, closed_dest_id TEXT,
  closed_dest_xform TEXT, holiday_dest_kind TEXT, holiday_dest_id TEXT, holiday_dest_xform TEXT
);
CREATE TABLE ring_group_member (
  id TEXT PRIMARY KEY, ring_group_id TEXT, user_id TEXT, device_id TEXT, position INTEGER, delay_sec INTEGER,
  timeout_sec INTEGER
);
CREATE INDEX ring_group_member_group ON ring_group_member (ring_group_id);
CREATE TABLE forward (id TEXT PRIMARY KEY, name TEXT, e164 TEXT, timeout_sec INTEGER, cid_mode TEXT);
CREATE TABLE time_schedule (id TEXT PRIMARY KEY, name TEXT, timezone TEXT);
CREATE TABLE time_schedule_rule (
  id TEXT PRIMARY KEY, schedule_id TEXT, kind TEXT, dow INTEGER, start_time TEXT, end_time TEXT, start_date TEXT,
  end_date TEXT, is_closed INTEGER, label TEXT
);
CREATE INDEX time_schedule_rule_schedule ON time_schedule_rule (schedule_id);
CREATE TABLE sip_trunk (
  id TEXT PRIMARY KEY, account_id TEXT, name TEXT, role TEXT, direction TEXT, inbound_auth TEXT, inbound_ips TEXT,
  inbound_number_from TEXT, max_channels INTEGER, cid_number TEXT, number_format TEXT, number_strip INTEGER,
  number_prepend TEXT, status TEXT
);
CREATE TABLE call_limit (
  id TEXT PRIMARY KEY, scope_kind TEXT, scope_id TEXT, pattern TEXT, direction TEXT, period_sec INTEGER,
  max_count INTEGER, hard INTEGER
);
CREATE INDEX call_limit_scope ON call_limit (scope_kind, scope_id);
CREATE INDEX call_limit_pattern ON call_limit (scope_kind, pattern);
CREATE TABLE verified_number (id TEXT PRIMARY KEY, e164 TEXT, verified_at INTEGER);
CREATE INDEX verified_number_e164 ON verified_number (e164);
CREATE TABLE flow (id TEXT PRIMARY KEY, name TEXT, status TEXT, version INTEGER, published_graph TEXT);
CREATE TABLE media_file (
  id TEXT PRIMARY KEY, name TEXT, kind TEXT, object_key TEXT, format TEXT, size INTEGER, etag TEXT, duration_ms INTEGER
);
CREATE TABLE media_playlist (id TEXT PRIMARY KEY, name TEXT, media_ids TEXT);

-- name: columns
SELECT json_group_array(name) AS j FROM pragma_table_info(?);

-- name: changes
SELECT table_name, row_id, version FROM config_change
WHERE account_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3;

-- name: changed_rows
SELECT {columns} FROM {table} AS t JOIN (
  SELECT row_id, table_name FROM config_change WHERE account_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3
) AS c ON c.row_id = t.id AND c.table_name = '{table}'
WHERE {owned};

-- name: delete_rows
DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?));

-- name: insert_rows
INSERT INTO {table} ({columns}) SELECT {values} FROM json_each(?);

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
  id, username, display_name, max_simultaneous, ring_timeout_sec, dnd, status = 'active', ring_strategy, voicemail_id,
  fwd_always_kind, fwd_always_id, fwd_busy_kind, fwd_busy_id, fwd_noanswer_kind, fwd_noanswer_id,
  allow_pstn_blind_transfer, out_cid_number, out_cid_name
)) AS j FROM sip_user WHERE id = ?;

-- name: user_by_username
SELECT json_group_array(id) AS j FROM sip_user WHERE username = ?;

-- name: device_owner
SELECT json_group_array(user_id) AS j FROM sip_device WHERE id = ? AND status = 'active';

-- name: extension
SELECT json_group_array(json_array(
  id, digits, dest_kind, dest_id, dest_xform, schedule_id, closed_dest_kind, closed_dest_id, closed_dest_xform,
  holiday_dest_kind, holiday_dest_id, holiday_dest_xform
)) AS j FROM extension WHERE digits = ?;

-- name: extension_by_id
SELECT json_group_array(json_array(
  id, digits, dest_kind, dest_id, dest_xform, schedule_id, closed_dest_kind, closed_dest_id, closed_dest_xform,
  holiday_dest_kind, holiday_dest_id, holiday_dest_xform
)) AS j FROM extension WHERE id = ?;

-- name: did
SELECT json_group_array(json_array(
  id, e164, status, accept_any_source, allow_anonymous, max_channels, dest_kind, dest_id, dest_xform, schedule_id,
  closed_dest_kind, closed_dest_id, closed_dest_xform, holiday_dest_kind, holiday_dest_id, holiday_dest_xform
)) AS j FROM did WHERE e164 = ?;

-- name: ring_group
SELECT json_group_array(json_array(
  id, name, strategy, ring_timeout_sec, exit_dest_kind, exit_dest_id, exit_dest_xform, schedule_id, closed_dest_kind,
  closed_dest_id, closed_dest_xform, holiday_dest_kind, holiday_dest_id, holiday_dest_xform
)) AS j FROM ring_group WHERE id = ?;

-- name: members
-- A device that is a member itself rings whatever its user's strategy and forks say.
SELECT json_group_array(json_array(
  id, delay_sec, timeout_sec, user_id, username, display_name, max_simultaneous, ring_timeout_sec, dnd, active,
  ring_strategy, json(devices)
)) AS j FROM (
  SELECT m.id, m.delay_sec, m.timeout_sec, u.id AS user_id, u.username, u.display_name, u.max_simultaneous,
    u.ring_timeout_sec, u.dnd, u.status = 'active' AS active, u.ring_strategy, (
      SELECT json_group_array(json_array(id, realm, is_webrtc, specific, node_id)) FROM (
        SELECT DISTINCT d.id, d.realm, d.is_webrtc, m.device_id IS NOT NULL OR d.ring_specific AS specific, c.node_id
        FROM sip_device AS d JOIN contact AS c ON c.device_id = d.id
        WHERE d.user_id = u.id AND d.id = COALESCE(m.device_id, d.id) AND d.status = 'active'
          AND (d.ring_on_fork = 1 OR m.device_id IS NOT NULL) AND c.expires_at > ?2
          AND NOT EXISTS (SELECT 1 FROM lost_node AS n WHERE n.node_id = c.node_id)
        ORDER BY d.ring_order, d.id, c.node_id
      )
    ) AS devices
  FROM ring_group_member AS m LEFT JOIN sip_device AS own ON own.id = m.device_id
  JOIN sip_user AS u ON u.id = COALESCE(m.user_id, own.user_id)
  WHERE m.ring_group_id = ?1 ORDER BY m.position, m.id
);

-- name: forward
SELECT json_group_array(json_array(id, e164, timeout_sec, cid_mode)) AS j FROM forward WHERE id = ?;

-- name: schedule
SELECT json_group_array(json_array(id, timezone)) AS j FROM time_schedule WHERE id = ?;

-- name: schedule_rules
SELECT json_group_array(json_array(kind, dow, start_time, end_time, start_date, end_date, is_closed, label)) AS j
FROM time_schedule_rule WHERE schedule_id = ?;

-- name: flow
SELECT json_group_array(json_array(id, name, version, published_graph)) AS j FROM flow
WHERE id = ? AND status = 'published';

-- name: media_files
SELECT json_group_array(json_array(id, object_key, etag)) AS j FROM media_file
WHERE id IN (SELECT value FROM json_each(?)) AND object_key IS NOT NULL AND etag IS NOT NULL;

-- name: media_playlists
SELECT json_group_array(json_array(id, json(media_ids))) AS j FROM media_playlist
WHERE id IN (SELECT value FROM json_each(?));

-- name: inbound_trunks
SELECT json_group_array(json_array(
  id, name, role, account_id IS NOT NULL, inbound_number_from, max_channels, cid_number, inbound_ips
)) AS j FROM sip_trunk WHERE status = 'active' AND inbound_auth = 'ip' AND direction <> 'outbound';

-- name: owns_number
SELECT json_array(
  EXISTS (SELECT 1 FROM did WHERE e164 = ?1)
  OR EXISTS (SELECT 1 FROM verified_number WHERE e164 = ?1 AND verified_at IS NOT NULL)
) AS j;

-- name: has_limits
SELECT json_array(EXISTS (SELECT 1 FROM call_limit)) AS j;

-- name: limits
-- ?1: the user, ?2: the did, ?3: the beginnings of the number called (JSON), ?4: the direction.
SELECT json_group_array(json_array(id, subject, period_sec, max_count, hard)) AS j FROM (
  SELECT id, COALESCE(scope_id, pattern, scope_kind) AS subject, period_sec, max_count, hard FROM call_limit
  WHERE direction IN ('any', ?4) AND (
    scope_kind = 'account' OR (scope_kind = 'user' AND scope_id = ?1) OR (scope_kind = 'did' AND scope_id = ?2)
    OR (scope_kind = 'number' AND pattern IN (SELECT value FROM json_each(?3)))
  ) ORDER BY id
);

-- name: domains
SELECT json_group_array(json_array(domain, is_primary)) AS j FROM sip_domain;

-- name: account
SELECT json_group_array(json_array(
  id, parent_id, name, status, timezone, language, voice_gender, brand_name, country, max_in, max_out, max_dialer,
  default_cid_number, did_default_dest_kind, did_default_dest_id, media_engine, emergency_numbers
)) AS j FROM account;

-- name: reachable_devices
SELECT json_group_array(json_array(id, realm, is_webrtc, ring_specific, node_id)) AS j FROM (
  SELECT DISTINCT d.id, d.realm, d.is_webrtc, d.ring_specific, c.node_id
  FROM sip_device AS d JOIN contact AS c ON c.device_id = d.id
  WHERE d.user_id = ?1 AND d.status = 'active' AND d.ring_on_fork = 1 AND c.expires_at > ?2
    AND NOT EXISTS (SELECT 1 FROM lost_node AS n WHERE n.node_id = c.node_id)
  ORDER BY d.ring_order, d.id, c.node_id
);

-- name: reachable_device
SELECT json_group_array(json_array(id, realm, is_webrtc, ring_specific, node_id)) AS j FROM (
  SELECT DISTINCT d.id, d.realm, d.is_webrtc, d.ring_specific, c.node_id
  FROM sip_device AS d JOIN contact AS c ON c.device_id = d.id
  WHERE d.id = ?1 AND d.status = 'active' AND c.expires_at > ?2
    AND NOT EXISTS (SELECT 1 FROM lost_node AS n WHERE n.node_id = c.node_id)
  ORDER BY c.node_id
);
