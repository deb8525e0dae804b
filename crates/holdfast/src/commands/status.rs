//! `holdfast status`

use crate::cli::Global;
use crate::failure::{Exit, Outcome};
use crate::local::open_keyless;
use crate::terminal::{self, Json, counted, say};
use clap::Args;

/// Show what the vault holds.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(global: &Global, _: Arguments) -> Outcome<Exit> {
    let opened = open_keyless(global).await?;
    opened.prove_named_secret(global).await?;
    let domain = opened.domain(global).await?;
    let status = domain.status().await?;
    let name = opened.domain_entry(global)?.name.clone();
    if global.json {
        let mut json = Json::new("status");
        json.set("vault", opened.descriptor.vault.to_string());
        json.set("owner_fingerprint", opened.descriptor.owner.fingerprint());
        json.set("owner_pinned", opened.home.owner()?.is_some());
        json.set("descriptor_version", opened.descriptor.version);
        json.set("domain", status.domain.to_string());
        json.set("domain_name", name);
        json.set("incarnation", status.incarnation.0);
        json.set("items", status.items);
        json.set("points", status.points);
        json.set("points_deleted", status.points_deleted);
        json.set("packs", status.packs);
        json.set("pack_bytes", status.pack_bytes);
        json.set("blobs", status.blobs);
        json.set("copies_condemned", status.copies_condemned);
        json.set("copies_damaged", status.copies_damaged);
        json.set("sessions_open", status.sessions_open);
        json.set("packs_unmerged", status.packs_unmerged);
        json.set("segments", status.segments);
        json.print();
        return Ok(Exit::Clean);
    }
    say!("vault        {} in {}", opened.descriptor.vault, opened.place);
    say!(
        "owner        {}{}",
        opened.descriptor.owner.fingerprint(),
        if opened.home.owner()?.is_some() { "" } else { " (not known to this machine)" }
    );
    say!("domain       {} ({})", terminal::printable(name.as_bytes()), status.domain);
    say!("items        {}", status.items);
    say!("points       {} ({} soft-deleted)", status.points, status.points_deleted);
    let (packs, blobs) = (counted(status.packs, "pack", "packs"), counted(status.blobs, "blob", "blobs"));
    say!("stored       {} in {packs}, {blobs}", terminal::bytes(status.pack_bytes));
    say!("sessions     {} open", status.sessions_open);
    say!("authority    incarnation {}", status.incarnation);
    if status.copies_condemned > 0 {
        say!("garbage      {} for a collection", counted(status.copies_condemned, "copy waits", "copies wait"));
    }
    if status.copies_damaged > 0 {
        let copies = counted(status.copies_damaged, "copy is", "copies are");
        say!("damage       {copies} known to be damaged; the next backup heals what it can");
    }
    Ok(Exit::Clean)
}
