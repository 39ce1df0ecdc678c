-- Where calls can go. A route target is the trio dest_kind, dest_id, dest_xform (a JSON object of variables).
-- An attached schedule (schedule_id) sends calls to closed_dest_* and holiday_dest_* outside opening hours.
ALTER TABLE sip_user ADD COLUMN out_cid_number TEXT;
ALTER TABLE sip_user ADD COLUMN out_cid_name TEXT;
ALTER TABLE sip_user ADD COLUMN ring_strategy TEXT NOT NULL DEFAULT 'simultaneous'
  CHECK (ring_strategy IN ('simultaneous', 'sequential', 'specific'));
ALTER TABLE sip_user ADD COLUMN voicemail_id TEXT;
ALTER TABLE sip_user ADD COLUMN fwd_always_kind TEXT;
ALTER TABLE sip_user ADD COLUMN fwd_always_id TEXT;
ALTER TABLE sip_user ADD COLUMN fwd_busy_kind TEXT;
ALTER TABLE sip_user ADD COLUMN fwd_busy_id TEXT;
ALTER TABLE sip_user ADD COLUMN fwd_noanswer_kind TEXT;
ALTER TABLE sip_user ADD COLUMN fwd_noanswer_id TEXT;
ALTER TABLE sip_user ADD COLUMN auto_ready_on_login INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sip_user ADD COLUMN auto_queue_login INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sip_user ADD COLUMN allow_pstn_blind_transfer INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sip_user ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
-- Opted in for a user whose ring_strategy is `specific`.
ALTER TABLE sip_device ADD COLUMN ring_specific INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sip_device ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE extension ADD COLUMN dest_xform TEXT;
ALTER TABLE extension ADD COLUMN schedule_id TEXT;
ALTER TABLE extension ADD COLUMN closed_dest_kind TEXT;
ALTER TABLE extension ADD COLUMN closed_dest_id TEXT;
ALTER TABLE extension ADD COLUMN closed_dest_xform TEXT;
ALTER TABLE extension ADD COLUMN holiday_dest_kind TEXT;
ALTER TABLE extension ADD COLUMN holiday_dest_id TEXT;
ALTER TABLE extension ADD COLUMN holiday_dest_xform TEXT;
ALTER TABLE extension ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

-- timezone: IANA name; null: the account's.
CREATE TABLE time_schedule (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  timezone TEXT,
  revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account_id, name)
);
-- dow 0 = Sunday … 6; times HH:MM of the wall clock, end_time 24:00 allowed; dates YYYY-MM-DD.
CREATE TABLE time_schedule_rule (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  schedule_id TEXT NOT NULL REFERENCES time_schedule (id),
  kind TEXT NOT NULL CHECK (kind IN ('weekly', 'date', 'date_range')),
  dow INTEGER CHECK (dow BETWEEN 0 AND 6),
  start_time TEXT,
  end_time TEXT,
  start_date TEXT,
  end_date TEXT,
  is_closed INTEGER NOT NULL DEFAULT 0,
  label TEXT NOT NULL DEFAULT '',
  revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX time_schedule_rule_schedule ON time_schedule_rule (account_id, schedule_id);

CREATE TABLE did (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  e164 TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL DEFAULT '',
  accept_any_source INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'virtual')),
  dest_kind TEXT,
  dest_id TEXT,
  dest_xform TEXT,
  max_channels INTEGER,
  allow_anonymous INTEGER NOT NULL DEFAULT 1,
  fax_mode TEXT NOT NULL DEFAULT 'voice' CHECK (fax_mode IN ('voice', 't38', 'passthrough')),
  schedule_id TEXT,
  closed_dest_kind TEXT,
  closed_dest_id TEXT,
  closed_dest_xform TEXT,
  holiday_dest_kind TEXT,
  holiday_dest_id TEXT,
  holiday_dest_xform TEXT,
  revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX did_account ON did (account_id, e164);

CREATE TABLE ring_group (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  strategy TEXT NOT NULL DEFAULT 'ring_all' CHECK (strategy IN ('ring_all', 'sequential', 'round_robin')),
  ring_timeout_sec INTEGER NOT NULL DEFAULT 25,
  moh_media_id TEXT,
  exit_dest_kind TEXT,
  exit_dest_id TEXT,
  exit_dest_xform TEXT,
  schedule_id TEXT,
  closed_dest_kind TEXT,
  closed_dest_id TEXT,
  closed_dest_xform TEXT,
  holiday_dest_kind TEXT,
  holiday_dest_id TEXT,
  holiday_dest_xform TEXT,
  revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account_id, name)
);
-- A member is a user or one device.
CREATE TABLE ring_group_member (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  ring_group_id TEXT NOT NULL REFERENCES ring_group (id),
  user_id TEXT REFERENCES sip_user (id),
  device_id TEXT REFERENCES sip_device (id),
  position INTEGER NOT NULL DEFAULT 0,
  delay_sec INTEGER NOT NULL DEFAULT 0,
  timeout_sec INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  CHECK ((user_id IS NULL) <> (device_id IS NULL))
);
CREATE INDEX ring_group_member_group ON ring_group_member (account_id, ring_group_id);

CREATE TABLE forward (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  e164 TEXT NOT NULL,
  timeout_sec INTEGER NOT NULL DEFAULT 30,
  cid_mode TEXT NOT NULL DEFAULT 'caller' CHECK (cid_mode IN ('caller', 'own')),
  revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account_id, name)
);

CREATE TRIGGER time_schedule_inserted AFTER INSERT ON time_schedule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'time_schedule', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_updated AFTER UPDATE ON time_schedule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'time_schedule', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_deleted AFTER DELETE ON time_schedule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'time_schedule', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_stays BEFORE UPDATE OF id, account_id ON time_schedule
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

CREATE TRIGGER time_schedule_rule_inserted AFTER INSERT ON time_schedule_rule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'time_schedule_rule', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_rule_updated AFTER UPDATE ON time_schedule_rule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'time_schedule_rule', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_rule_deleted AFTER DELETE ON time_schedule_rule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'time_schedule_rule', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_rule_stays BEFORE UPDATE OF id, account_id ON time_schedule_rule
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

CREATE TRIGGER did_inserted AFTER INSERT ON did BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'did', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER did_updated AFTER UPDATE ON did BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'did', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER did_deleted AFTER DELETE ON did BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'did', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER did_stays BEFORE UPDATE OF id, account_id ON did
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

CREATE TRIGGER ring_group_inserted AFTER INSERT ON ring_group BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'ring_group', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_updated AFTER UPDATE ON ring_group BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'ring_group', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_deleted AFTER DELETE ON ring_group BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'ring_group', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_stays BEFORE UPDATE OF id, account_id ON ring_group
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

CREATE TRIGGER ring_group_member_inserted AFTER INSERT ON ring_group_member BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'ring_group_member', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_member_updated AFTER UPDATE ON ring_group_member BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'ring_group_member', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_member_deleted AFTER DELETE ON ring_group_member BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'ring_group_member', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_member_stays BEFORE UPDATE OF id, account_id ON ring_group_member
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

CREATE TRIGGER forward_inserted AFTER INSERT ON forward BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'forward', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER forward_updated AFTER UPDATE ON forward BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'forward', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER forward_deleted AFTER DELETE ON forward BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'forward', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER forward_stays BEFORE UPDATE OF id, account_id ON forward
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
