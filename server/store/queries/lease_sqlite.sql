-- The lease, for SQLite: within BEGIN IMMEDIATE no other connection writes. The time is SQLite's own.

-- name: read_lease
-- The holder, and the time in milliseconds.
SELECT epoch, beat, place, host, pid, length_ms, until_ms, CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) FROM lease WHERE name = 'server';

-- name: fence
-- The epoch that may write.
SELECT epoch FROM lease WHERE name = 'server';

-- name: heal_lease
-- A beat that no server can have reached would overflow with the next one, and keep every server from starting.
UPDATE lease SET beat = 0 WHERE name = 'server' AND (typeof(beat) <> 'integer' OR beat NOT BETWEEN 0 AND 4611686018427387904);

-- name: take_lease
-- The row must be unchanged since it was read.
UPDATE lease SET epoch = :epoch, beat = beat + 1, place = :place, host = :host, pid = :pid, length_ms = :length_ms,
    until_ms = CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) + :length_ms
WHERE name = 'server' AND epoch = :old AND beat = :beat;

-- name: renew_lease
-- Extend by its length from now.
UPDATE lease SET beat = beat + 1, until_ms = CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) + length_ms
WHERE name = 'server' AND epoch = :epoch;

-- name: give_back_lease
-- The next server need not wait.
UPDATE lease SET beat = beat + 1, until_ms = 0 WHERE name = 'server' AND epoch = :epoch;

-- name: save_epoch
-- The same number among the facts, where older backups have it.
INSERT INTO meta (name, value) VALUES ('epoch', :epoch) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
