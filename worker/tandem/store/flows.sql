-- Flows in D1 (spec 20): publishing them, their versions, and what they are checked and tried out with.

-- name: publish
UPDATE flow SET status = 'published', version = ?1, published_graph = graph, published_at = ?2, revision = revision + 1
WHERE id = ?3;

-- name: keep_version
INSERT INTO flow_version (flow_id, account_id, version, graph, published_at, published_by)
SELECT id, account_id, version, graph, published_at, ?2 FROM flow WHERE id = ?1;

-- name: archive
UPDATE flow SET status = 'archived', published_graph = NULL, revision = revision + 1 WHERE id = ?;

-- name: too_much
-- All that calls of an account may take is in the memory of its object.
SELECT total AS value FROM (
  SELECT SUM(length(CAST(CASE WHEN id = ?2 THEN graph ELSE published_graph END AS BLOB))) AS total
  FROM flow WHERE account_id = ?1
) WHERE total > ?3;

-- name: is_unpublished
SELECT ?2 IS NOT published_graph AS unpublished FROM flow WHERE id = ?1;

-- name: versions
SELECT version, published_at, published_by FROM flow_version
WHERE account_id = ? AND flow_id = ? AND version < ? ORDER BY version DESC LIMIT ?;

-- name: version
SELECT version, published_at, published_by, graph FROM flow_version
WHERE account_id = ? AND flow_id = ? AND version = ?;

-- name: published
SELECT id, name, version, published_graph FROM flow
WHERE account_id = ?1 AND id IN (SELECT value FROM json_each(?2)) AND published_graph IS NOT NULL;

-- name: callers
-- As graphs are kept, an id in one is a text of its own.
SELECT name, published_graph FROM flow
WHERE account_id = ?1 AND id <> ?2 AND instr(published_graph, '"' || ?2 || '"') > 0 ORDER BY name;

-- name: exits
-- Ring groups whose own exit is a flow.
SELECT id, exit_dest_id, exit_dest_xform FROM ring_group
WHERE account_id = ?1 AND id IN (SELECT value FROM json_each(?2)) AND exit_dest_kind = 'flow';

-- name: existing
SELECT id FROM {table} WHERE account_id = ?1 AND id IN (SELECT value FROM json_each(?2));

-- name: media
-- Those named, and those of the playlists named.
SELECT id, name, object_key, etag FROM media_file WHERE account_id = ?1 AND id IN (
  SELECT value FROM json_each(?2) UNION
  SELECT m.value FROM media_playlist AS p, json_each(p.media_ids) AS m
  WHERE p.account_id = ?1 AND p.id IN (SELECT value FROM json_each(?3))
);

-- name: playlists
SELECT id, media_ids FROM media_playlist WHERE account_id = ?1 AND id IN (SELECT value FROM json_each(?2));

-- name: schedules
SELECT id, timezone FROM time_schedule WHERE account_id = ?1 AND id IN (SELECT value FROM json_each(?2));

-- name: schedule_rules
SELECT schedule_id, kind, dow, start_time, end_time, start_date, end_date, is_closed, label FROM time_schedule_rule
WHERE account_id = ?1 AND schedule_id IN (SELECT value FROM json_each(?2));

-- name: ancestry
SELECT id, parent_id, name, status, timezone, language, voice_gender FROM account
WHERE id IN (SELECT ancestor_id FROM account_tree WHERE account_id = ?);

-- name: trace
SELECT at, source, seq, kind, node_id, data FROM call_trace
WHERE account_id = ? AND call_id = ? AND (at, source, seq) > (?, ?, ?) ORDER BY at, source, seq LIMIT ?;

-- name: media_keys
SELECT object_key, previous_key FROM media_file WHERE account_id = ? AND id = ?;
