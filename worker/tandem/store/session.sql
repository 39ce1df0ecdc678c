-- A call's session: one object a call. Times are epoch milliseconds.
-- The blocks named step_… are this file's migrations, in order; what was released is never edited.

-- name: exists
SELECT json_array(EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'session')) AS j;

-- name: step_1_session
CREATE TABLE session (
  call_id TEXT PRIMARY KEY, account_id TEXT NOT NULL, node_id TEXT NOT NULL, started_at INTEGER NOT NULL,
  checked_at INTEGER NOT NULL, state TEXT NOT NULL, ended_at INTEGER, flushed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE fact (part INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE trace (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, node_id TEXT, data TEXT NOT NULL
);

-- name: session
SELECT json_group_array(json_array(call_id, account_id, node_id, started_at, checked_at, state, ended_at, flushed)) AS j
FROM session;

-- name: facts
SELECT json_group_array(text) AS j FROM (SELECT text FROM fact ORDER BY part);

-- name: begin
INSERT INTO session (call_id, account_id, node_id, started_at, checked_at, state) VALUES (?, ?, ?, ?, ?, ?);

-- name: put_fact
INSERT INTO fact (part, text) VALUES (?, ?);

-- name: put_state
UPDATE session SET state = ?;

-- name: end
UPDATE session SET state = ?, ended_at = COALESCE(ended_at, ?);

-- name: add_trace
INSERT INTO trace (seq, at, kind, node_id, data) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
FROM json_each(?);

-- name: last_trace
SELECT json_array((SELECT MAX(seq) FROM trace)) AS j;

-- name: trace
SELECT json_group_array(json_array(seq, at, kind, node_id, data)) AS j FROM (SELECT * FROM trace ORDER BY seq);

-- name: checked
UPDATE session SET checked_at = ?;

-- name: flushed
UPDATE session SET flushed = 1;
