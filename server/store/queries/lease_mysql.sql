-- The lease, for MySQL and MariaDB. The time is that of the database server. beat grows, so that a row that was found also counts
-- as changed.

-- name: read_lease
-- Who has it, and what time it is, in milliseconds.
SELECT epoch, beat, place, host, pid, length_ms, until_ms, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) FROM lease WHERE name = 'server' FOR UPDATE;

-- name: heal_lease
-- A beat that no server can have reached would overflow with the next one, and keep every server from starting.
UPDATE lease SET beat = 0 WHERE name = 'server' AND (beat NOT BETWEEN 0 AND 4611686018427387904);

-- name: take_lease
-- As it was when it was read: on a cluster the lock of that was one node's.
UPDATE lease SET epoch = :epoch, beat = beat + 1, place = :place, host = :host, pid = :pid, length_ms = :length_ms,
    until_ms = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) + :length_ms
WHERE name = 'server' AND epoch = :old AND beat = :beat;

-- name: renew_lease
-- From now on, as long as before. First in every transaction that writes: a change of this row, unlike a lock, is what also a
-- cluster of several writing nodes (Galera) lets only one of two transactions commit.
UPDATE lease SET beat = beat + 1, until_ms = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) + length_ms WHERE name = 'server' AND epoch = :epoch;

-- name: give_back_lease
-- The next one need not wait.
UPDATE lease SET beat = beat + 1, until_ms = 0 WHERE name = 'server' AND epoch = :epoch;

-- name: save_epoch
-- The same number among the facts, where older backups have it.
INSERT INTO meta (name, value) VALUES ('epoch', :epoch) ON DUPLICATE KEY UPDATE value = VALUES(value);
