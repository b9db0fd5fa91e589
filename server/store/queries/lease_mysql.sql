-- The lease, for MySQL and MariaDB. The time is that of the database server. beat grows, so that a row that was found also counts
-- as changed.

-- name: read_lease
-- The holder, and the time in milliseconds.
SELECT epoch, beat, place, host, pid, length_ms, until_ms, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) FROM lease WHERE name = 'server' FOR UPDATE;

-- name: heal_lease
-- A beat that no server can have reached would overflow with the next one, and keep every server from starting.
UPDATE lease SET beat = 0 WHERE name = 'server' AND (beat NOT BETWEEN 0 AND 4611686018427387904);

-- name: take_lease
-- The row must be unchanged since it was read: on a cluster only one node had locked it.
UPDATE lease SET epoch = :epoch, beat = beat + 1, place = :place, host = :host, pid = :pid, length_ms = :length_ms,
    until_ms = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) + :length_ms
WHERE name = 'server' AND epoch = :old AND beat = :beat;

-- name: renew_lease
-- Extend by its length from now. First in every transaction that writes: unlike a lock, a change of this row lets only one of two
-- transactions commit also on a cluster with several writing nodes (Galera).
UPDATE lease SET beat = beat + 1, until_ms = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) + length_ms WHERE name = 'server' AND epoch = :epoch;

-- name: give_back_lease
-- The next server need not wait.
UPDATE lease SET beat = beat + 1, until_ms = 0 WHERE name = 'server' AND epoch = :epoch;

-- name: save_epoch
-- The same number among the facts, where older backups have it.
INSERT INTO meta (name, value) VALUES ('epoch', :epoch) ON DUPLICATE KEY UPDATE value = VALUES(value);
