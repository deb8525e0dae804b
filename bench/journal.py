#!/usr/bin/env python3
"""An agent that follows changes: what a backup of many files takes when nothing, and when little, has changed.

    bench/journal.py DIRECTORY_OF_PROGRAMS [FILES, 1000000] [ROUNDS, 3] [PEER ...]

Root, Linux 5.19 or later. Makes the files (on the file system of the temporary directory), starts a service and an agent on this machine, and has
the agent back them up: with the journal and, as another agent of the same service, without it. A peer is a command that backs the tree
up, with {src} for it; it is run by turns with the agents, the page cache dropped before each. The first run of each is not counted.
Prints seconds (for agents, until a job that was asked for is over), medians, and the peak resident memory of the agents. Where some process hides
from root, HOLDFAST_JOURNAL=lenient lets the journal go on (docs/agent.md).
"""
import json, os, pathlib, re, shutil, statistics, subprocess, sys, tempfile, time

PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
FILES = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
PEERS = sys.argv[4:]
# Inodes, blocks of the small files, and what is stored.
NEEDED = FILES * 6000 + (1 << 30)
DIRECTORIES = max(1, FILES // 500)
CHANGED = max(1, FILES // 1000)
CAUTION = os.environ.get("HOLDFAST_JOURNAL", "safe")


def refuse_without_room(place):
    free = shutil.disk_usage(place).free
    if free < NEEDED:
        sys.exit(f"{place} has {free >> 20} MiB free; {FILES} files and their backups need {NEEDED >> 20}")


def generate(root):
    for directory in range(DIRECTORIES):
        path = root / f"{directory % 50}" / f"{directory}"
        path.mkdir(parents=True)
        for number in range(directory, FILES, DIRECTORIES):
            (path / str(number)).write_bytes((f"file {number} of the benchmark\n" * (1 + number % 10)).encode())


def change(root, round_number):
    for each in range(CHANGED):
        number = (each * 997 + round_number * 131) % FILES
        directory = number % DIRECTORIES
        (root / f"{directory % 50}" / f"{directory}" / str(number)).write_text(f"changed in round {round_number}: {number}\n")


class User:
    def __init__(self, home, url):
        home.mkdir()
        self.home = home
        self.env = {**os.environ, "HOLDFAST_VAULT": url} | {f"XDG_{name}_HOME": str(home / name) for name in ("CONFIG", "STATE", "CACHE")}

    def run(self, *arguments):
        done = subprocess.run([PROGRAMS / "holdfast", *map(str, arguments), "--json", "--quiet"], env=self.env, text=True, capture_output=True)
        if done.returncode not in (0, 3):
            sys.exit(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def secret(self, name, text):
        path = self.home / name
        path.touch(0o600)
        path.write_text(text)
        return path


class Service:
    def __init__(self, work):
        out = work / "service.out"
        command = [PROGRAMS / "holdfast-vault", "serve", "--data", work / "service", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=open(out, "w"), stderr=open(work / "service.log", "w"))
        while "one-time token" not in (said := out.read_text()):
            time.sleep(0.05)
        self.url = re.search(r"vault service at (\S+)", said)[1]
        self.owner = User(work / "owner", self.url)
        authority, one_time = re.search(r"\(SHA-256\) (\S+)", said)[1], re.search(r"one-time token (\S+)", said)[1]
        self.owner.run("login", self.url, "--fingerprint", authority, "--token-file", self.owner.secret("one-time", one_time))
        passphrase = self.owner.secret("passphrase", "a passphrase of the benchmark\n")
        self.owner.run("init", "--kit", self.owner.home / "kit", "--passphrase-file", passphrase)
        self.owner.env["HOLDFAST_RECOVERY_KIT_FILE"] = str(self.owner.home / "kit")


class Agent:
    """An agent with a domain and an item of its own."""

    def __init__(self, work, service, name, journal, root):
        self.owner, self.name = service.owner, name
        token = work / f"token-{name}"
        self.owner.run("agent", "token", name, "--to", token)
        user = User(work / name, service.url)
        user.run("agent", "enroll", "--token-file", token)
        bounds = user.home / "CONFIG" / "holdfast" / "agent.toml"
        bounds.write_text(f"journal = '{journal}'\n")
        bounds.chmod(0o600)
        self.owner.run("item", "set", name, root, "--domain", name)
        self.log = open(user.home / "log", "w")
        self.process = subprocess.Popen([PROGRAMS / "holdfast", "agent", "run"], env=user.env, stdout=self.log, stderr=self.log)
        while "connected" not in pathlib.Path(self.log.name).read_text():
            time.sleep(0.1)

    def backup(self):
        self.owner.run("job", "backup", self.name, "--domain", self.name, "--wait")

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def drop_cache():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-journal-"))
    refuse_without_room(work)
    root, ended = work / "root", []
    try:
        root.mkdir()
        generate(root)
        service = Service(work)
        ended.append(service.process)
        contenders = {}
        for name, journal in (("with", CAUTION), ("without", "off")):
            agent = Agent(work, service, name, journal, root)
            ended.append(agent.process)
            contenders[f"{name} journal"] = agent
        times = {name: {"unchanged": [], "changed": []} for name in [*contenders, *PEERS]}

        def run(name):
            drop_cache()
            started = time.time()
            if name in contenders:
                contenders[name].backup()
            else:
                subprocess.run(name.replace("{src}", str(root)), shell=True, check=True, stdout=subprocess.DEVNULL)
            return time.time() - started

        for name in times:
            print(f"first {name}: {run(name):.2f} s", flush=True)
        for round_number in range(ROUNDS):
            names = list(times)
            names = names[round_number % len(names):] + names[:round_number % len(names)]
            for kind in ("unchanged", "changed"):
                if kind == "changed":
                    change(root, round_number)
                for name in names:
                    times[name][kind].append(run(name))
        for name, kinds in times.items():
            for kind, seconds in kinds.items():
                print(f"{kind:10} {' '.join(f'{each:.2f}' for each in seconds)}   median {statistics.median(seconds):.2f}   {name}")
        for name, agent in contenders.items():
            print(f"{name}: {agent.peak_mib():.0f} MiB at most")
    finally:
        for process in reversed(ended):
            process.terminate()
            process.wait()
        shutil.rmtree(work)


main()
