-- Credentials of /v1. An account is suspended when it or an account above it is not active.

-- name: key
SELECT k.id, k.account_id, k.scopes, k.last_used_at, COALESCE(a.is_reseller, 0) AS is_reseller,
  EXISTS (
    SELECT 1 FROM account_tree AS t JOIN account AS up ON up.id = t.ancestor_id
    WHERE t.account_id = k.account_id AND up.status <> 'active'
  ) AS suspended
FROM api_key AS k LEFT JOIN account AS a ON a.id = k.account_id
WHERE k.hash = ? AND k.revoked_at IS NULL;

-- name: key_used
UPDATE api_key SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?);

-- name: console_user
SELECT c.id, c.account_id, c.scopes, c.password_hash, COALESCE(a.is_reseller, 0) AS is_reseller,
  EXISTS (
    SELECT 1 FROM account_tree AS t JOIN account AS up ON up.id = t.ancestor_id
    WHERE t.account_id = c.account_id AND up.status <> 'active'
  ) AS suspended
FROM console_user AS c LEFT JOIN account AS a ON a.id = c.account_id
WHERE c.id = ? AND c.status = 'active';

-- name: login
SELECT id, account_id, role, scopes, status, password_hash, failed_logins, locked_until FROM console_user
WHERE email = ?;

-- name: login_failed
UPDATE console_user SET
  failed_logins = CASE WHEN failed_logins + 1 >= ?2 THEN 0 ELSE failed_logins + 1 END,
  locked_until = CASE WHEN failed_logins + 1 >= ?2 THEN ?3 ELSE locked_until END
WHERE id = ?1;

-- name: login_done
UPDATE console_user SET failed_logins = 0, locked_until = NULL WHERE id = ?;
