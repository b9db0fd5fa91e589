-- Host sets: a selector, or a JSON list of host ids, under a name. The statement may be run again.

CREATE TABLE IF NOT EXISTS host_set (
    name        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    selector    MEDIUMTEXT NOT NULL,
    hosts       MEDIUMTEXT NOT NULL,
    description MEDIUMTEXT NOT NULL,
    version     BIGINT NOT NULL,
    changed_by  VARCHAR(255) NOT NULL,
    changed_at  BIGINT NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
