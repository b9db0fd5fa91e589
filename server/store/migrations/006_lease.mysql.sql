-- Who may write: one row, which is there always. epoch: of the newest server. beat: grows with every renewal and every commit.
-- until_ms: on the database's own clock, 0 for given back.

CREATE TABLE IF NOT EXISTS lease (
    name      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch     BIGINT NOT NULL,
    beat      BIGINT NOT NULL,
    place     VARCHAR(255) NOT NULL,
    host      VARCHAR(255) NOT NULL,
    pid       BIGINT NOT NULL,
    length_ms BIGINT NOT NULL,
    until_ms  BIGINT NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT INTO lease (name, epoch, beat, place, host, pid, length_ms, until_ms) VALUES ('server', 0, 0, '', '', 0, 0, 0) ON DUPLICATE KEY UPDATE name = lease.name;
