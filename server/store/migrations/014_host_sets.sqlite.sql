-- Host sets: a selector, or a JSON list of host ids, under a name.

CREATE TABLE host_set (
    name        TEXT PRIMARY KEY NOT NULL CHECK (length(name) <= 64),
    selector    TEXT NOT NULL,
    hosts       TEXT NOT NULL,
    description TEXT NOT NULL,
    version     INTEGER NOT NULL,
    changed_by  TEXT NOT NULL CHECK (length(changed_by) <= 255),
    changed_at  INTEGER NOT NULL
) WITHOUT ROWID;
