-- Who may write: one row, which is there always. epoch: of the newest server. beat: grows with every renewal. until_ms: on the
-- database's own clock, 0 for given back.

CREATE TABLE lease (
    name      TEXT NOT NULL PRIMARY KEY,
    epoch     INTEGER NOT NULL,
    beat      INTEGER NOT NULL,
    place     TEXT NOT NULL,
    host      TEXT NOT NULL,
    pid       INTEGER NOT NULL,
    length_ms INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO lease (name, epoch, beat, place, host, pid, length_ms, until_ms) VALUES ('server', 0, 0, '', '', 0, 0, 0);
