-- name: upsert
INSERT INTO call_cdr (
  call_id, account_id, row_version, direction, from_num, to_num, start_ts, answer_ts, end_ts, duration_sec, billsec,
  answered, disposition, hangup_cause, hangup_by, user_id, callee_user_id, node_id, region, mos, media_app_ms, cac_refused_by,
  did_id, trunk_id, ring_group_id, limit_warnings
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (call_id) DO UPDATE SET
  row_version = excluded.row_version, direction = excluded.direction, answer_ts = excluded.answer_ts, end_ts = excluded.end_ts,
  duration_sec = excluded.duration_sec, billsec = excluded.billsec, answered = excluded.answered,
  disposition = excluded.disposition, hangup_cause = excluded.hangup_cause, hangup_by = excluded.hangup_by,
  callee_user_id = excluded.callee_user_id, mos = excluded.mos, media_app_ms = excluded.media_app_ms, cac_refused_by = excluded.cac_refused_by,
  did_id = excluded.did_id, trunk_id = excluded.trunk_id, ring_group_id = excluded.ring_group_id,
  limit_warnings = excluded.limit_warnings
WHERE excluded.row_version > call_cdr.row_version;

-- name: add_trace
INSERT INTO call_trace (account_id, call_id, source, seq, at, kind, node_id, data)
SELECT ?1, ?2, ?3, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?4) WHERE 1
ON CONFLICT DO NOTHING;
