-- The agent's own file: what must outlive it. Times are epoch milliseconds by the node's clock.

-- What happened, until the brain has acknowledged it; `seq` is the order. `repairable` events are restated by snapshots.
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, account_id TEXT NOT NULL,
  repairable INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_repairable ON event (seq) WHERE repairable = 1;

-- Commands that were taken, with their outcome (NULL while one runs).
CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, reply TEXT, at INTEGER NOT NULL) WITHOUT ROWID;

-- Request ids of signed commands: each is good for one use.
CREATE TABLE IF NOT EXISTS request (request_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;

-- Whose a device is, learned from the brain's verdicts: Kamailio's location store knows no accounts.
CREATE TABLE IF NOT EXISTS device (
  device_id TEXT PRIMARY KEY, account_id TEXT NOT NULL, domain TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
