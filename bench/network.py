#!/usr/bin/env python3
"""Backups over bad networks: a client in a network namespace of its own, a vault service outside, and between them 20 Mbit/s, a partition of
two minutes, or 20 % of all packets lost. Needs root, ip, tc, nft.

    bench/network.py DIRECTORY_OF_PROGRAMS [rate|partition|loss ...]

Prints a line for each: how much of the link was used, and from the service's log how often packs were sent again. Ends with 1 if a promise
is broken: 90 % of the link; no pack again without an interruption, and at most one a stream (two are stored at once) for each.
"""
import collections, hashlib, json, os, pathlib, re, shutil, signal, subprocess, sys, tempfile, time

PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
WANTED = sys.argv[2:] or ["rate", "partition", "loss"]
RATE_MBIT = 20
STREAMS = 2
SPACE, OUT, IN = "hf-client", "hf-out", "hf-in"
HERE, THERE = "10.231.7.1", "10.231.7.2"


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def quiet(*command):
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def noise(path, mebibytes, seed):
    with open(path, "wb") as file:
        for part in range(mebibytes):
            file.write(hashlib.shake_256(f"{seed} {part}".encode()).digest(1 << 20))


class Network:
    """A cable between the two, and what goes wrong with it."""

    def __init__(self):
        self.remove()
        run("ip", "netns", "add", SPACE)
        run("ip", "link", "add", OUT, "type", "veth", "peer", "name", IN, "netns", SPACE)
        run("ip", "addr", "add", f"{HERE}/24", "dev", OUT)
        run("ip", "link", "set", OUT, "up")
        for command in (["addr", "add", f"{THERE}/24", "dev", IN], ["link", "set", IN, "up"], ["link", "set", "lo", "up"]):
            run("ip", "-n", SPACE, *command)

    def remove(self):
        quiet("ip", "netns", "del", SPACE)
        quiet("ip", "link", "del", OUT)
        quiet("nft", "delete", "table", "ip", "hf_bad")

    def slow(self):
        # Both ways: acknowledgements take the same line.
        for prefix in ([], ["ip", "netns", "exec", SPACE]):
            device = IN if prefix else OUT
            run(*prefix, "tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", f"{RATE_MBIT}mbit", "burst", "32kb", "latency", "100ms")

    def lose(self, percent):
        rule = "drop" if percent == 100 else f"numgen random mod 100 < {percent} drop"
        run("nft", "-f", "-", input=f"""table ip hf_bad {{
            chain input {{ type filter hook input priority 0; iifname "{OUT}" {rule}; }}
            chain output {{ type filter hook output priority 0; oifname "{OUT}" {rule}; }}
        }}""")

    def mend(self):
        quiet("nft", "delete", "table", "ip", "hf_bad")


class Vault:
    """A service of its own, with an administrator in the namespace."""

    def __init__(self, work):
        self.work = work
        self.log = open(work / "service.log", "w")
        self.out = open(work / "service.out", "w")
        self.process = subprocess.Popen(
            [PROGRAMS / "holdfast-vault", "serve", "--data", work / "service", "--listen", f"{HERE}:0", "--log", "debug"], stdout=self.out, stderr=self.log)
        while "one-time token" not in (said := (work / "service.out").read_text()):
            time.sleep(0.05)
        self.url = re.search(r"vault service at (\S+)", said)[1]
        authority = re.search(r"\(SHA-256\) (\S+)", said)[1]
        token = work / "token"
        token.touch(0o600)
        token.write_text(re.search(r"one-time token (\S+)", said)[1])
        passphrase = work / "passphrase"
        passphrase.touch(0o600)
        passphrase.write_text("a passphrase of the benchmark\n")
        self.env = {**os.environ, "HOLDFAST_VAULT": self.url, "HOLDFAST_PASSPHRASE_FILE": str(passphrase)}
        self.env |= {f"XDG_{name}_HOME": str(work / name) for name in ("CONFIG", "STATE", "CACHE")}
        self.holdfast("login", self.url, "--fingerprint", authority, "--token-file", str(token))
        self.holdfast("init")

    def command(self, *arguments):
        return ["ip", "netns", "exec", SPACE, PROGRAMS / "holdfast", *arguments]

    def holdfast(self, *arguments):
        return run(*self.command(*arguments), env=self.env)

    def begin(self, *arguments):
        return subprocess.Popen(self.command(*arguments), env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def puts(self):
        """How often each pack was answered, by status; and over how many connections."""
        packs, peers = collections.defaultdict(list), set()
        for line in (self.work / "service.log").read_text().splitlines():
            event = json.loads(line)
            if event.get("method") == "PUT" and "/packs/" in event.get("path", ""):
                packs[event["path"].rsplit("/", 1)[1]].append(int(event["status"]))
                peers.add(event.get("peer"))
        return packs, len(peers)


def backup(vault, source, during=lambda: None):
    started, before = time.time(), received()
    process = vault.begin("backup", str(source), "--item", "network", "--json", "--quiet")
    during()
    out, said = process.communicate(timeout=1800)
    took = time.time() - started
    if process.returncode != 0:
        sys.exit(f"the backup failed: {out}\n{said}")
    return json.loads(out), took, before


def received():
    return int(pathlib.Path(f"/sys/class/net/{OUT}/statistics/rx_bytes").read_text())


def counted(vault, stored_bytes, before):
    packs, connections = vault.puts()
    interruptions = connections - 1
    # An answer that got lost on the way is no acknowledgement: that pack counts with those that broke off.
    again = sum(len(statuses) - 1 for statuses in packs.values())
    stored = sum(1 for statuses in packs.values() if 204 in statuses)
    # What broke off before it was answered stands in no log, but on the wire it was.
    over = received() - before - stored_bytes
    print(f"    {stored} packs stored, {again} sent again after {interruptions} connections that broke; {over / stored_bytes:.3f} of their bytes more on the wire")
    return stored == len(packs) and again <= STREAMS * interruptions


def rate(vault, network, source):
    network.slow()
    answer, took, before = backup(vault, source)
    used = answer["bytes_stored"] * 8 / took / (RATE_MBIT * 1e6)
    print(f"rate: {answer['bytes_stored']} bytes in {took:.1f} s at {RATE_MBIT} Mbit/s: {100 * used:.1f} % of the link")
    return counted(vault, answer["bytes_stored"], before) and used >= 0.9


def partition(vault, network, source):
    network.slow()

    def during():
        time.sleep(8)
        network.lose(100)
        time.sleep(120)
        network.mend()

    answer, took, before = backup(vault, source, during)
    print(f"partition: {answer['bytes_stored']} bytes in {took:.1f} s, 120 s of them cut off")
    return counted(vault, answer["bytes_stored"], before)


def loss(vault, network, source):
    network.lose(20)
    answer, took, before = backup(vault, source)
    network.mend()
    print(f"loss: {answer['bytes_stored']} bytes in {took:.1f} s with 20 % of the packets lost each way")
    return counted(vault, answer["bytes_stored"], before)


def main():
    kept = True
    for name in WANTED:
        work = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-network-"))
        network = Network()
        vault = Vault(work)
        try:
            source = work / "source"
            source.mkdir()
            for number in range(12 if name == "loss" else 40):
                noise(source / f"noise-{number}", 4, f"{name} {number}")
            if not {"rate": rate, "partition": partition, "loss": loss}[name](vault, network, source):
                print(f"    NOT AS PROMISED ({work / 'service.log'})")
                kept = False
            vault.holdfast("check", "--read-data")
        finally:
            network.mend()
            vault.end()
            network.remove()
        if kept:
            shutil.rmtree(work)
    sys.exit(0 if kept else 1)


main()
