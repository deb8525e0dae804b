//! Faults put in on purpose, to prove that the simulation finds them. Outside of tests none of this exists.

/// A rule that is broken on purpose. The number of the invariant in the design that it breaks stands with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Sabotage {
    /// 2: commit does not look at the links of the session's pages.
    CommitWithoutProof,
    /// 2: the proof counts packs that were only issued, not registered.
    PackRegisteredBeforeItIsDurable,
    /// 2: a session may register packs before its key object is durable.
    KeyObjectIsNotStored,
    /// 3: condemned copies count as present for sessions that open afterwards.
    CondemnedCopiesCountAsPresent,
    /// 3: nothing waits for sessions that opened before the condemnation.
    SweepDoesNotWaitForSessions,
    /// 3: what was condemned is deleted without a second mark.
    NoSecondMark,
    /// 3: the second mark forgets points that were purged since.
    SecondMarkForgetsPurgedPoints,
    /// 3: pages of the session that its root does not reach stay visible.
    UnreachedPagesStayVisible,
    /// 3: pages of sessions that run, or ended without a point, are not condemned, as their data is not.
    PagesHaveGrace,
    /// 3: a second tombstone for a point makes it a root of now again.
    SecondPurgeRevives,
    /// 3: a point that is being read is no root.
    ReaderPinsNothing,
    /// 3: a collection's hold runs out like the lease of a client, so that a second one begins beside it.
    CollectorsExpire,
    /// 3: a rewritten pack is swapped in although another collection put its name on a deletion list.
    DeletedPacksAreSwappedIn,
    /// 3: a commit under way counts neither as a session nor as a root.
    CommitUnderWayIsForgotten,
    /// 3: a rebuild does not say which packs it could not read, and a collection does not mind what set-aside records lack.
    UnreadPacksAreForgotten,
    /// 3: a collection deletes a copy although its winner was found damaged since the marking.
    DamageFoundMeanwhileIsForgotten,
    /// 3: packs of sessions that run are written anew under other names.
    PacksOfSessionsAreRewritten,
    /// 4: a collection does not wait for sessions that are old by the authority's clock.
    ClockEndsSessions,
    /// 4: points that are old by the authority's clock are no roots.
    ClockDropsRoots,
    /// 6: an entry is put into the journal although an earlier one is not there yet.
    JournalHasGaps,
    /// 6: a key object is deleted although the record of a point names it.
    KeyOfRecordIsForgotten,
    /// 6: a session may seal with a key that a deletion list names.
    DeletedKeyIsUsedAgain,
    /// 6: a record is acknowledged before it is in storage.
    AcknowledgeBeforeRecordIsDurable,
    /// 6: a deletion is not listed before it is done.
    DeleteWithoutList,
    /// 6: purging writes no tombstone.
    PurgeWithoutTombstone,
    /// 6: an authority does not look for a successor before it acknowledges, nor at what stands under its journal's next number.
    NoFencing,
    /// 6: a database behind its storage goes on.
    BehindGoesOn,
    /// 8: records are taken without a look at their signature.
    RecordIsNotVerified,
    /// 8: any agent may sign for any item.
    AgentIsNotAuthorised,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Sabotage>> = const { std::cell::Cell::new(None) };
}

/// Those that random seeds must find.
#[cfg(test)]
pub(crate) const CAUGHT: [Sabotage; 18] = [
    Sabotage::CommitWithoutProof,
    Sabotage::PackRegisteredBeforeItIsDurable,
    Sabotage::KeyObjectIsNotStored,
    Sabotage::CondemnedCopiesCountAsPresent,
    Sabotage::SweepDoesNotWaitForSessions,
    Sabotage::NoSecondMark,
    Sabotage::ReaderPinsNothing,
    Sabotage::CommitUnderWayIsForgotten,
    Sabotage::ClockEndsSessions,
    Sabotage::ClockDropsRoots,
    Sabotage::KeyOfRecordIsForgotten,
    Sabotage::AcknowledgeBeforeRecordIsDurable,
    Sabotage::DeleteWithoutList,
    Sabotage::PurgeWithoutTombstone,
    Sabotage::NoFencing,
    Sabotage::BehindGoesOn,
    Sabotage::RecordIsNotVerified,
    Sabotage::AgentIsNotAuthorised,
];

/// Those that take too much coming together for 500 random seeds: scripted scenarios must find them.
#[cfg(test)]
pub(crate) const CAUGHT_BY_SCENARIOS: [Sabotage; 11] = [
    Sabotage::SecondMarkForgetsPurgedPoints,
    Sabotage::UnreachedPagesStayVisible,
    Sabotage::PagesHaveGrace,
    Sabotage::JournalHasGaps,
    Sabotage::SecondPurgeRevives,
    Sabotage::CollectorsExpire,
    Sabotage::DeletedPacksAreSwappedIn,
    Sabotage::DeletedKeyIsUsedAgain,
    Sabotage::UnreadPacksAreForgotten,
    Sabotage::DamageFoundMeanwhileIsForgotten,
    Sabotage::PacksOfSessionsAreRewritten,
];

/// Switches a sabotage on for this thread, or all off.
#[cfg(test)]
pub(crate) fn set_sabotage(sabotage: Option<Sabotage>) {
    ACTIVE.with(|active| active.set(sabotage));
}

/// Whether this rule is broken on purpose. Never, outside of tests.
#[cfg(test)]
pub(crate) fn sabotaged(sabotage: Sabotage) -> bool {
    ACTIVE.with(|active| active.get() == Some(sabotage))
}

/// Whether this rule is broken on purpose. Never, outside of tests.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn sabotaged(_: Sabotage) -> bool {
    false
}
