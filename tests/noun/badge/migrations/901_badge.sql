-- Badges and stamps.

CREATE TABLE IF NOT EXISTS badge (
    code    {word 16} NOT NULL,
    color   {line 64} NOT NULL,
    tags    {text} NOT NULL,
    shiny   {flag} NOT NULL,
    version {number} NOT NULL,
    PRIMARY KEY (code)
) {table};

CREATE TABLE IF NOT EXISTS stamp (
    stamp_id {word 36} NOT NULL,
    image    {bytes},
    PRIMARY KEY (stamp_id)
) {table};

ALTER TABLE stamp ADD COLUMN at {number};
