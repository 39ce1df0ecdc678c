-- A row keeps its id and its account, whatever statement writes it; and a row that REPLACE pushes out is logged, though
-- SQLite fires no trigger for its deletion (docs/decisions/0002-change-log.md).

DROP TRIGGER sip_domain_moved;
CREATE TRIGGER sip_domain_stays BEFORE UPDATE OF id, account_id ON sip_domain
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
DROP TRIGGER sip_user_moved;
CREATE TRIGGER sip_user_stays BEFORE UPDATE OF id, account_id ON sip_user
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
DROP TRIGGER sip_device_moved;
CREATE TRIGGER sip_device_stays BEFORE UPDATE OF id, account_id ON sip_device
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
DROP TRIGGER extension_moved;
CREATE TRIGGER extension_stays BEFORE UPDATE OF id, account_id ON extension
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

DROP TRIGGER account_stays;
CREATE TRIGGER account_stays BEFORE UPDATE OF id, parent_id ON account
WHEN OLD.id IS NOT NEW.id OR OLD.parent_id IS NOT NEW.parent_id BEGIN
  SELECT RAISE(ABORT, 'an account stays below the parent it was made under');
END;

-- REPLACE of a row by one with the same id is a change of that row, which the insert logs; by one of another account it
-- would be a move.
CREATE TRIGGER account_keeps_parent BEFORE INSERT ON account
WHEN EXISTS (SELECT 1 FROM account WHERE id = NEW.id AND parent_id IS NOT NEW.parent_id) BEGIN
  SELECT RAISE(ABORT, 'an account stays below the parent it was made under');
END;
CREATE TRIGGER account_replaced AFTER INSERT ON account BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT below.account_id, 'account', NEW.id,
    1 + COALESCE((SELECT MAX(version) FROM config_change AS c WHERE c.account_id = below.account_id), 0)
  FROM account_tree AS below WHERE below.ancestor_id = NEW.id AND below.account_id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_domain_keeps_account BEFORE INSERT ON sip_domain
WHEN EXISTS (SELECT 1 FROM sip_domain WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER sip_user_keeps_account BEFORE INSERT ON sip_user
WHEN EXISTS (SELECT 1 FROM sip_user WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER sip_device_keeps_account BEFORE INSERT ON sip_device
WHEN EXISTS (SELECT 1 FROM sip_device WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER extension_keeps_account BEFORE INSERT ON extension
WHEN EXISTS (SELECT 1 FROM extension WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER did_keeps_account BEFORE INSERT ON did
WHEN EXISTS (SELECT 1 FROM did WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER ring_group_keeps_account BEFORE INSERT ON ring_group
WHEN EXISTS (SELECT 1 FROM ring_group WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER ring_group_member_keeps_account BEFORE INSERT ON ring_group_member
WHEN EXISTS (SELECT 1 FROM ring_group_member WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER forward_keeps_account BEFORE INSERT ON forward
WHEN EXISTS (SELECT 1 FROM forward WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER time_schedule_keeps_account BEFORE INSERT ON time_schedule
WHEN EXISTS (SELECT 1 FROM time_schedule WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER time_schedule_rule_keeps_account BEFORE INSERT ON time_schedule_rule
WHEN EXISTS (SELECT 1 FROM time_schedule_rule WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER sip_trunk_keeps_account BEFORE INSERT ON sip_trunk
WHEN EXISTS (SELECT 1 FROM sip_trunk WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER call_limit_keeps_account BEFORE INSERT ON call_limit
WHEN EXISTS (SELECT 1 FROM call_limit WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER verified_number_keeps_account BEFORE INSERT ON verified_number
WHEN EXISTS (SELECT 1 FROM verified_number WHERE id = NEW.id AND account_id IS NOT NEW.account_id) BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

-- A row with another id and the same unique key: pushed out by REPLACE, and then its deletion is in the log already. When
-- the statement is refused the log entry goes with it; where the row stays (upsert, IGNORE) it is merely read once more.
CREATE TRIGGER sip_domain_pushed_out_by_insert BEFORE INSERT ON sip_domain BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'sip_domain', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM sip_domain AS o WHERE o.domain = NEW.domain AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_domain_pushed_out_by_update BEFORE UPDATE OF domain ON sip_domain BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'sip_domain', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM sip_domain AS o WHERE o.domain = NEW.domain AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_user_pushed_out_by_insert BEFORE INSERT ON sip_user BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'sip_user', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM sip_user AS o WHERE o.account_id = NEW.account_id AND o.username = NEW.username AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_user_pushed_out_by_update BEFORE UPDATE OF username ON sip_user BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'sip_user', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM sip_user AS o WHERE o.account_id = NEW.account_id AND o.username = NEW.username AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_device_pushed_out_by_insert BEFORE INSERT ON sip_device BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'sip_device', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM sip_device AS o WHERE o.account_id = NEW.account_id AND o.realm = NEW.realm AND o.auth_username = NEW.auth_username AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_device_pushed_out_by_update BEFORE UPDATE OF realm, auth_username ON sip_device BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'sip_device', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM sip_device AS o WHERE o.account_id = NEW.account_id AND o.realm = NEW.realm AND o.auth_username = NEW.auth_username AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER extension_pushed_out_by_insert BEFORE INSERT ON extension BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'extension', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM extension AS o WHERE o.account_id = NEW.account_id AND o.digits = NEW.digits AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER extension_pushed_out_by_update BEFORE UPDATE OF digits ON extension BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'extension', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM extension AS o WHERE o.account_id = NEW.account_id AND o.digits = NEW.digits AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER did_pushed_out_by_insert BEFORE INSERT ON did BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'did', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM did AS o WHERE o.e164 = NEW.e164 AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER did_pushed_out_by_update BEFORE UPDATE OF e164 ON did BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'did', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM did AS o WHERE o.e164 = NEW.e164 AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_pushed_out_by_insert BEFORE INSERT ON ring_group BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'ring_group', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM ring_group AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER ring_group_pushed_out_by_update BEFORE UPDATE OF name ON ring_group BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'ring_group', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM ring_group AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER forward_pushed_out_by_insert BEFORE INSERT ON forward BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'forward', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM forward AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER forward_pushed_out_by_update BEFORE UPDATE OF name ON forward BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'forward', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM forward AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_pushed_out_by_insert BEFORE INSERT ON time_schedule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'time_schedule', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM time_schedule AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER time_schedule_pushed_out_by_update BEFORE UPDATE OF name ON time_schedule BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'time_schedule', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM time_schedule AS o WHERE o.account_id = NEW.account_id AND o.name = NEW.name AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER verified_number_pushed_out_by_insert BEFORE INSERT ON verified_number BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'verified_number', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM verified_number AS o WHERE o.account_id = NEW.account_id AND o.e164 = NEW.e164 AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER verified_number_pushed_out_by_update BEFORE UPDATE OF e164 ON verified_number BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT o.account_id, 'verified_number', o.id,
    1 + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = o.account_id)
  FROM verified_number AS o WHERE o.account_id = NEW.account_id AND o.e164 = NEW.e164 AND o.id <> NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

-- A deleted account's replica loses the rows that were not its own, too.
DROP TRIGGER account_deleted;
CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.id, seen.table_name, seen.row_id, ROW_NUMBER() OVER (ORDER BY seen.table_name, seen.row_id)
    + COALESCE((SELECT MAX(version) FROM config_change WHERE account_id = OLD.id), 0)
  FROM (
    SELECT 'account' AS table_name, ancestor_id AS row_id FROM account_tree WHERE account_id = OLD.id
    UNION ALL SELECT 'sip_trunk', id FROM sip_trunk WHERE account_id IS NULL
  ) AS seen WHERE true
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
  DELETE FROM account_tree WHERE account_id = OLD.id;
END;
