-- One row a call (spec 40, "CDR"): written at the routing decision, upserted as the call goes on; a row with a lower
-- row_version never replaces one with a higher.
CREATE TABLE call_cdr (
  call_id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  row_version INTEGER NOT NULL,
  correlation_id TEXT,
  direction TEXT NOT NULL CHECK (direction IN ('internal', 'inbound', 'outbound')),
  from_num TEXT NOT NULL,
  to_num TEXT NOT NULL,
  start_ts INTEGER NOT NULL,
  answer_ts INTEGER,
  end_ts INTEGER,
  duration_sec INTEGER,
  billsec INTEGER,
  answered INTEGER NOT NULL DEFAULT 0,
  disposition TEXT CHECK (disposition IN ('answered', 'no_answer', 'busy', 'failed', 'rejected', 'abandoned')),
  hangup_cause TEXT,
  hangup_by TEXT,
  user_id TEXT,
  callee_user_id TEXT,
  node_id TEXT,
  region TEXT,
  mos REAL,
  media_app_ms INTEGER NOT NULL DEFAULT 0,
  cac_refused_by TEXT
);
CREATE INDEX call_cdr_account_start ON call_cdr (account_id, start_ts);
