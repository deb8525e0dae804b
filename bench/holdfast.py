# Holdfast as one tool of the side-by-side benchmark of backup tools: bench.py --toolfile bench/holdfast.py --tools holdfast,restic,…
# BASE, the benchmark's directory, is given by the benchmark; HOLDFAST_BIN names another build of the program than {BASE}/bin/holdfast.
import os

PROGRAM = os.environ.get("HOLDFAST_BIN") or f"{BASE}/bin/holdfast"  # noqa: F821

TOOLS = {
    "holdfast": dict(
        note="defaults (AES-256-GCM-SIV, keyed BLAKE3, zstd); embedded vault: SQLite and packs in one directory, which is what is measured",
        version=f"{PROGRAM} --version",
        env={"HOLDFAST_VAULT": "{repo}", "HOLDFAST_PASSPHRASE": "bench bench bench", "XDG_STATE_HOME": "{cache}"},
        init=f"{PROGRAM} init",
        backup=f"{PROGRAM} backup --item bench {{src}}",
        first=f"{PROGRAM} points --json | jq -r '.points[0:2][].id'",
        last=f"{PROGRAM} points --json | jq -r '.points[-1].id'",
        restore=f"{PROGRAM} restore latest --item bench --to {{out}}",
        restored="{out}{src}",
        check=f"{PROGRAM} check --read-data",
        prune=f"{PROGRAM} expire {{first}} --purge --yes && {PROGRAM} collect",
    )
}
