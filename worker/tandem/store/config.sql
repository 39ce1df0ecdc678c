-- What the public API reads and writes. Names in braces are those of tables and columns (config_tables.py), never
-- anything that came with a request.

-- name: holds
SELECT CASE WHEN EXISTS ({query}) THEN json('!') ELSE 1 END AS holds;

-- name: reach
{column} IN (SELECT account_id FROM account_tree WHERE ancestor_id = ?);

-- name: get
SELECT {columns} FROM {table} AS t WHERE t.{key} = ? AND {where};

-- name: page
SELECT {columns} FROM {table} AS t WHERE {where} ORDER BY t.id {order} LIMIT ?;

-- name: calls
SELECT {columns} FROM call_cdr AS t WHERE {where} ORDER BY t.start_ts DESC, t.call_id DESC LIMIT ?;

-- name: insert
INSERT INTO {table} ({columns}) SELECT {fields} FROM json_each(?);

-- name: update
UPDATE {table} SET {assignments} WHERE id = ?;

-- name: delete
DELETE FROM {table} WHERE id = ?;

-- name: unchanged
SELECT 1 AS value WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE id = ? AND revision = ?);

-- name: missing
SELECT j.value AS value FROM json_each(?) AS j
WHERE NOT EXISTS (SELECT 1 FROM {table} AS t WHERE t.{column} = j.value AND {owned});

-- name: taken
SELECT json_extract(j.value, '$[1]') AS value FROM json_each(?) AS j
JOIN {table} AS t ON {same} AND t.id <> json_extract(j.value, '$[0]');

-- name: referrers
SELECT '{object}' AS object, id, '{field}' AS field FROM {table} WHERE {condition} AND id <> ?;

-- name: among
EXISTS (SELECT 1 FROM json_each({column}) WHERE value = ?);

-- name: in_graph
-- An archived flow holds nothing.
account_id = ? AND status <> 'archived' AND instr(graph || COALESCE(published_graph, ''), ?) > 0;

-- name: account
SELECT a.id, a.country, a.is_reseller, (
  SELECT domain FROM sip_domain WHERE account_id = a.id ORDER BY is_primary DESC, id LIMIT 1
) AS domain
FROM account AS a WHERE a.id = ? AND {where};

-- name: all_accounts
SELECT id FROM account;

-- name: usernames
SELECT id, username FROM sip_user WHERE account_id = ? AND id IN (SELECT value FROM json_each(?));

-- name: domains
SELECT domain FROM sip_domain WHERE account_id = ?;

-- name: no_other_primary
UPDATE sip_domain SET is_primary = 0, revision = revision + 1 WHERE account_id = ? AND id <> ? AND is_primary = 1;

-- name: other_domains
SELECT domain AS value FROM sip_domain WHERE account_id = ? AND id <> ?;

-- name: forget_addresses
DELETE FROM trunk_address WHERE trunk_id = ?;

-- name: overlapping
-- Of networks ([as written, trunk, first, last, length, port], ...), those that overlap another account's (?), where
-- either is a PBX's (?: the role of these). Port 0 is any.
SELECT json_extract(j.value, '$[0]') AS value FROM json_each(?) AS j
JOIN trunk_address AS x ON x.first <= json_extract(j.value, '$[3]') AND x.last >= json_extract(j.value, '$[2]')
  AND (x.port = 0 OR json_extract(j.value, '$[5]') IN (0, x.port))
JOIN sip_trunk AS t ON t.id = x.trunk_id
WHERE t.account_id IS NOT ? AND 'pbx' IN (t.role, ?);

-- name: remembered
SELECT request_hash, status, reply FROM idempotency_key WHERE owner = ? AND key = ? AND created_at > ?;

-- name: forget
DELETE FROM idempotency_key WHERE created_at <= ?;

-- name: remember
INSERT INTO idempotency_key (owner, key, request_hash, status, reply, created_at) VALUES (?, ?, ?, ?, ?, ?);
