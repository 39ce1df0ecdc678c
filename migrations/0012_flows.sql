-- Call flows, and the media that they play (spec 20). graph is the draft, a JSON object that may be wrong; published_graph
-- is what calls take: the version named, null before the first and after the flow was archived.
CREATE TABLE flow (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'archived')),
  version INTEGER NOT NULL DEFAULT 0,
  graph TEXT NOT NULL,
  published_graph TEXT,
  published_at INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account_id, name),
  CHECK ((status = 'published') = (published_graph IS NOT NULL))
);
-- What was ever published, for good: a version goes only with its flow. published_by: the key (key_…) or console user.
CREATE TABLE flow_version (
  flow_id TEXT NOT NULL REFERENCES flow (id),
  account_id TEXT NOT NULL REFERENCES account (id),
  version INTEGER NOT NULL,
  graph TEXT NOT NULL,
  published_at INTEGER NOT NULL,
  published_by TEXT NOT NULL,
  PRIMARY KEY (flow_id, version)
);
CREATE INDEX flow_version_account ON flow_version (account_id, flow_id);
CREATE TRIGGER flow_version_never_changes BEFORE UPDATE ON flow_version BEGIN
  SELECT RAISE(ABORT, 'a published version never changes');
END;
CREATE TRIGGER flow_version_goes_with_its_flow BEFORE DELETE ON flow_version
WHEN EXISTS (SELECT 1 FROM flow WHERE id = OLD.flow_id) BEGIN
  SELECT RAISE(ABORT, 'a published version never changes');
END;
CREATE TRIGGER flow_takes_its_versions AFTER DELETE ON flow BEGIN
  DELETE FROM flow_version WHERE flow_id = OLD.id;
END;

-- The sound itself is the object object_key of the bucket; null before the first upload. previous_key: the object that it
-- replaced, still there for calls that began before. etag is the object's, and names its content.
CREATE TABLE media_file (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('prompt', 'moh', 'greeting', 'announcement')),
  object_key TEXT,
  previous_key TEXT,
  format TEXT CHECK (format IN ('wav', 'mp3', 'ogg', 'flac')),
  size INTEGER,
  etag TEXT,
  duration_ms INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account_id, name)
);
-- media_ids: a JSON list, in the order in which they are played.
CREATE TABLE media_playlist (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  name TEXT NOT NULL,
  media_ids TEXT NOT NULL DEFAULT '[]',
  revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account_id, name)
);

-- What happened in a call, step by step. A source (`flow`, …) numbers its own steps, so a flush that is repeated changes
-- nothing. data is a JSON object; at is epoch ms.
CREATE TABLE call_trace (
  account_id TEXT NOT NULL,
  call_id TEXT NOT NULL,
  source TEXT NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  node_id TEXT,
  data TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (account_id, call_id, source, seq)
) WITHOUT ROWID;

-- The change log (docs/decisions/0002-change-log.md). No replica has a flow's draft: saving one is no change to anybody.
CREATE TRIGGER flow_inserted AFTER INSERT ON flow BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'flow', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER flow_updated AFTER UPDATE OF name, status, version, published_graph ON flow BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'flow', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER flow_deleted AFTER DELETE ON flow BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'flow', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER flow_stays BEFORE UPDATE OF id, account_id ON flow
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER flow_keeps_account BEFORE INSERT ON flow
WHEN EXISTS (SELECT 1 FROM flow WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER flow_pushed_out_by_insert BEFORE INSERT ON flow BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'flow', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM flow AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER flow_pushed_out_by_update BEFORE UPDATE OF name ON flow BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'flow', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM flow AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

CREATE TRIGGER media_file_inserted AFTER INSERT ON media_file BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'media_file', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_file_updated AFTER UPDATE ON media_file BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'media_file', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_file_deleted AFTER DELETE ON media_file BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'media_file', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_file_stays BEFORE UPDATE OF id, account_id ON media_file
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER media_file_keeps_account BEFORE INSERT ON media_file
WHEN EXISTS (SELECT 1 FROM media_file WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER media_file_pushed_out_by_insert BEFORE INSERT ON media_file BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'media_file', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM media_file AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_file_pushed_out_by_update BEFORE UPDATE OF name ON media_file BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'media_file', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM media_file AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

CREATE TRIGGER media_playlist_inserted AFTER INSERT ON media_playlist BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'media_playlist', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_playlist_updated AFTER UPDATE ON media_playlist BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'media_playlist', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_playlist_deleted AFTER DELETE ON media_playlist BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'media_playlist', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_playlist_stays BEFORE UPDATE OF id, account_id ON media_playlist
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER media_playlist_keeps_account BEFORE INSERT ON media_playlist
WHEN EXISTS (SELECT 1 FROM media_playlist WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER media_playlist_pushed_out_by_insert BEFORE INSERT ON media_playlist BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'media_playlist', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM media_playlist AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER media_playlist_pushed_out_by_update BEFORE UPDATE OF name ON media_playlist BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'media_playlist', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM media_playlist AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
