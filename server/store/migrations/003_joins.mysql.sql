-- Join tokens that are bound to networks, and joins that wait for an operator's word.
-- Each statement is a step that may be run again; a column that is there already is passed over.

ALTER TABLE join_token ADD COLUMN networks VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '[]';

ALTER TABLE join_token ADD COLUMN approve TINYINT UNSIGNED NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS join_request (
    request_id       CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    token_id         VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    csr              VARBINARY(8192) NOT NULL,
    hostname         VARCHAR(255) NOT NULL,
    previous_host_id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    address          VARCHAR(64) NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    decided_at       BIGINT,
    decided_by       MEDIUMTEXT,
    approved         TINYINT UNSIGNED NOT NULL,
    PRIMARY KEY (request_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
