//! Every statement of the transactions, in one place: a test prepares each, and looks that none reads a whole table or
//! sorts.

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(pub(super) const $name: &str = $text;)*

        /// All of them, with their names.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

macro_rules! pack_columns {
    () => {
        "p.domain, p.name, p.number, p.kind, p.state, p.session, p.length, p.entries, p.footer_hash, p.recovered, p.sightings, \
         p.frame_damaged, p.segment"
    };
}

macro_rules! pack_with_footer {
    () => {
        concat!(
            "SELECT ",
            pack_columns!(),
            ", f.footer FROM packs p LEFT JOIN footers f ON f.domain = p.domain AND f.pack = p.name "
        )
    };
}

macro_rules! pack_without_footer {
    () => {
        concat!("SELECT ", pack_columns!(), ", NULL FROM packs p ")
    };
}

macro_rules! session_columns {
    () => {
        "domain, id, number, kind, state, item, agent, generation, pinned, key, opened_ms, lease_until_ms, point"
    };
}

macro_rules! point_columns {
    () => {
        "domain, id, kind, item, sequence, root, state, number, session, time_ms, received_ms, purged_at, record"
    };
}

statements! {
    DOMAIN = "SELECT domain, incarnation, nonce, ready, next_number, next_pack, next_session, next_segment, marking, generation \
              FROM domains WHERE domain = ?1";
    PUT_DOMAIN = "REPLACE INTO domains (domain, incarnation, nonce, ready, next_number, next_pack, next_session, next_segment, \
                  marking, generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

    ERASE_FOOTERS = "DELETE FROM footers WHERE domain = ?1";
    ERASE_PACKS = "DELETE FROM packs WHERE domain = ?1";
    ERASE_SESSIONS = "DELETE FROM sessions WHERE domain = ?1";
    ERASE_CONDEMNED = "DELETE FROM condemned WHERE domain = ?1";
    ERASE_DAMAGE = "DELETE FROM damage WHERE domain = ?1";
    ERASE_POINTS = "DELETE FROM points WHERE domain = ?1";
    ERASE_HEADS = "DELETE FROM heads WHERE domain = ?1";
    ERASE_JOURNAL = "DELETE FROM journal WHERE domain = ?1";
    ERASE_SEGMENTS = "DELETE FROM segments WHERE domain = ?1";
    ERASE_DOMAIN = "DELETE FROM domains WHERE domain = ?1";

    SESSION = concat!("SELECT ", session_columns!(), " FROM sessions WHERE domain = ?1 AND id = ?2");
    SESSIONS = concat!("SELECT ", session_columns!(), " FROM sessions WHERE domain = ?1 AND state = ?2 ORDER BY number, id");
    PUT_SESSION = concat!("REPLACE INTO sessions (", session_columns!(),
                          ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    REMOVE_SESSION = "DELETE FROM sessions WHERE domain = ?1 AND id = ?2";

    PACK = concat!(pack_with_footer!(), "WHERE p.domain = ?1 AND p.name = ?2");
    PACK_ALONE = concat!(pack_without_footer!(), "WHERE p.domain = ?1 AND p.name = ?2");
    PACKS = concat!(pack_without_footer!(), "WHERE p.domain = ?1 ORDER BY p.number, p.name");
    PACKS_OF_SESSION = concat!(pack_without_footer!(), "WHERE p.domain = ?1 AND p.session = ?2 ORDER BY p.number, p.name");
    TAILS = concat!(pack_with_footer!(),
                    "WHERE p.domain = ?1 AND p.segment IS NULL AND p.state IN (2, 3) ORDER BY p.number, p.name");
    // not REPLACE: that would take the footer along
    PUT_PACK = "INSERT INTO packs (domain, name, number, kind, state, session, length, entries, footer_hash, recovered, sightings, \
                frame_damaged, segment) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
                ON CONFLICT (domain, name) DO UPDATE SET number = ?3, kind = ?4, state = ?5, session = ?6, length = ?7, \
                entries = ?8, footer_hash = ?9, recovered = ?10, sightings = ?11, frame_damaged = ?12, segment = ?13";
    UPDATE_PACK = "UPDATE packs SET number = ?3, kind = ?4, state = ?5, session = ?6, length = ?7, entries = ?8, \
                   footer_hash = ?9, recovered = ?10, sightings = ?11, frame_damaged = ?12, segment = ?13 \
                   WHERE domain = ?1 AND name = ?2";
    MOVE_PACKS = "UPDATE packs SET segment = ?3 WHERE domain = ?1 AND segment IN (SELECT value FROM json_each(?2)) AND state IN (2, 3)";
    REMOVE_PACK = "DELETE FROM packs WHERE domain = ?1 AND name = ?2";
    PUT_FOOTER = "REPLACE INTO footers (domain, pack, footer) VALUES (?1, ?2, ?3)";
    REMOVE_FOOTER = "DELETE FROM footers WHERE domain = ?1 AND pack = ?2";

    CONDEMNED = "SELECT domain, pack, generation, places FROM condemned WHERE domain = ?1 ORDER BY pack, generation";
    PUT_CONDEMNED = "REPLACE INTO condemned (domain, pack, generation, places) VALUES (?1, ?2, ?3, ?4)";
    REMOVE_CONDEMNED = "DELETE FROM condemned WHERE domain = ?1 AND pack = ?2";
    REMOVE_CONDEMNED_GENERATION = "DELETE FROM condemned WHERE domain = ?1 AND pack = ?2 AND generation = ?3";

    DAMAGE = "SELECT domain, pack, place, blob, source FROM damage WHERE domain = ?1 ORDER BY pack, place";
    DAMAGE_OF_PACK = "SELECT domain, pack, place, blob, source FROM damage WHERE domain = ?1 AND pack = ?2 ORDER BY place";
    PUT_DAMAGE = "REPLACE INTO damage (domain, pack, place, blob, source) VALUES (?1, ?2, ?3, ?4, ?5)";
    REMOVE_DAMAGE = "DELETE FROM damage WHERE domain = ?1 AND pack = ?2";

    POINT = concat!("SELECT ", point_columns!(), " FROM points WHERE domain = ?1 AND id = ?2");
    POINTS = concat!("SELECT ", point_columns!(), " FROM points WHERE domain = ?1 ORDER BY number, id");
    POINTS_OF_ITEM = concat!("SELECT ", point_columns!(), " FROM points WHERE domain = ?1 AND item = ?2 ORDER BY number, id");
    PUT_POINT = concat!("REPLACE INTO points (", point_columns!(),
                        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    REMOVE_POINT = "DELETE FROM points WHERE domain = ?1 AND id = ?2";

    HEAD = "SELECT domain, item, point, sequence FROM heads WHERE domain = ?1 AND item = ?2";
    PUT_HEAD = "REPLACE INTO heads (domain, item, point, sequence) VALUES (?1, ?2, ?3, ?4)";

    JOURNAL = "SELECT domain, number, state, bytes FROM journal WHERE domain = ?1 AND number = ?2";
    JOURNAL_IN = "SELECT domain, number, state, bytes FROM journal WHERE domain = ?1 AND state = ?2 ORDER BY number";
    PUT_JOURNAL = "REPLACE INTO journal (domain, number, state, bytes) VALUES (?1, ?2, ?3, ?4)";

    SEGMENTS = "SELECT domain, id, packs, entries FROM segments WHERE domain = ?1 ORDER BY id";
    PUT_SEGMENT = "INSERT INTO segments (domain, id, packs, entries) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (domain, id) DO NOTHING";
    REMOVE_SEGMENT = "DELETE FROM segments WHERE domain = ?1 AND id = ?2";

    SETTING = "SELECT value FROM settings WHERE name = ?1";
    PUT_SETTING = "REPLACE INTO settings (name, value) VALUES (?1, ?2)";
    REMOVE_SETTING = "DELETE FROM settings WHERE name = ?1";
}

/// What one domain owns, in an order that foreign keys allow.
pub(super) const ERASE: [&str; 10] = [
    ERASE_FOOTERS,
    ERASE_PACKS,
    ERASE_SESSIONS,
    ERASE_CONDEMNED,
    ERASE_DAMAGE,
    ERASE_POINTS,
    ERASE_HEADS,
    ERASE_JOURNAL,
    ERASE_SEGMENTS,
    ERASE_DOMAIN,
];
