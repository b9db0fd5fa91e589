-- Identity: tokens with which hosts join, who has joined with which, and what is known of each host's certificates.
-- Each statement is a step that may be run again.

CREATE TABLE IF NOT EXISTS join_token (
    token_id   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    digest     BINARY(32) NOT NULL,
    expires_at BIGINT NOT NULL,
    uses_left  INT UNSIGNED NOT NULL,
    labels     MEDIUMTEXT NOT NULL,
    created_by VARCHAR(255) NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (token_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row per join. It makes a transaction that is repeated take one use only, and outlives token and host.
CREATE TABLE IF NOT EXISTS join_use (
    serial   VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    token_id VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    host_id  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    used_at  BIGINT NOT NULL,
    PRIMARY KEY (serial)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS host_identity (
    host_id           CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    generation        BIGINT NOT NULL,
    joined_generation BIGINT NOT NULL,
    serial            VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    not_after         BIGINT NOT NULL,
    issued_at         BIGINT NOT NULL,
    token_id          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    next_serial       VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin,
    next_not_after    BIGINT,
    revoked_at        BIGINT,
    revoked_by        MEDIUMTEXT,
    quarantined_at    BIGINT,
    quarantine_reason MEDIUMTEXT,
    released_at       BIGINT,
    PRIMARY KEY (host_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
