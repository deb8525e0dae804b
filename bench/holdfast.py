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
        one=f"{PROGRAM} restore latest --item bench --path {{path}} --to {{out}}",
        diff=f"{PROGRAM} diff {{first}} latest --item bench",
        check=f"{PROGRAM} check --read-data",
        prune=f"{PROGRAM} expire {{first}} --purge --yes && {PROGRAM} collect",
    )
}

# An agent's keys lie in a file, as bupstash's key does: no passphrase has to be stretched.
TOOLS["holdfast-agent"] = TOOLS["holdfast"] | dict(
    note="as holdfast, with keys from a file instead of a passphrase, as agents have them",
    env=TOOLS["holdfast"]["env"] | {"HOLDFAST_RECOVERY_KIT_FILE": "{cache}/kit"},
    init=f"env -u HOLDFAST_RECOVERY_KIT_FILE {PROGRAM} init --kit {{cache}}/kit",
)

TOOLS["holdfast-level-3"] = TOOLS["holdfast-agent"] | dict(
    note="as holdfast-agent, with level 3 for small files too",
    backup=f"{PROGRAM} backup --item bench --level 3 {{src}}",
)

SERVICE = os.path.join(os.path.dirname(PROGRAM), "holdfast-vault")
ADDRESS = "127.0.0.1:18443"
LOGIN = (
    "out={cache}/service.out; umask 077; sed -n 's/^one-time token //p' $out > {cache}/one-time; "
    "authority=$(sed -n 's/^certificate authority (SHA-256) //p' $out | head -1); "
)

TOOLS["holdfast-service"] = TOOLS["holdfast"] | dict(
    note="as holdfast, through a vault service over TLS on loopback; processor time and memory of client and service together",
    env=TOOLS["holdfast"]["env"] | {"HOLDFAST_VAULT": f"https://{ADDRESS}"},
    server=[f"{SERVICE} serve --data {{repo}} --listen {ADDRESS} >> {{cache}}/service.out"],
    server_ready=ADDRESS,
    init=f"{LOGIN}{PROGRAM} login https://{ADDRESS} --fingerprint $authority --token-file {{cache}}/one-time && {PROGRAM} init",
)
