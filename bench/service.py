#!/usr/bin/env python3
"""A vault service beside an embedded vault: throughput through TLS on loopback, and what memory the service needs with 1, 10 and 100 agents
that back up at once.

    bench/service.py DIRECTORY_OF_PROGRAMS DATA [ROUNDS, 3] [AGENTS ..., 1 10 100]

The page cache is warm for both: the first backup of all is not counted. Prints seconds of each round, ratios of medians, and the peak
resident memory of the service.
"""
import json, os, pathlib, re, shutil, signal, statistics, subprocess, sys, tempfile, time

PROGRAMS, DATA = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
AGENTS = [int(argument) for argument in sys.argv[4:]] or [1, 10, 100]
# Every agent of the memory test backs up a tree of its own of about this size.
AGENT_MIB = 40


class User:
    """A user of the program with a home of its own."""

    def __init__(self, home, vault):
        home.mkdir()
        self.home = home
        self.env = {**os.environ, "HOLDFAST_VAULT": str(vault)}
        self.env |= {f"XDG_{name}_HOME": str(home / name) for name in ("CONFIG", "STATE", "CACHE")}

    def begin(self, *arguments):
        command = [PROGRAMS / "holdfast", *map(str, arguments), "--json", "--quiet"]
        return subprocess.Popen(command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments):
        process = self.begin(*arguments)
        out, said = process.communicate()
        if process.returncode != 0:
            sys.exit(f"{arguments}: {process.returncode}\n{out}\n{said}")
        return json.loads(out)

    def secret(self, name, text):
        path = self.home / name
        path.touch(0o600)
        path.write_text(text)
        return path

    def own(self):
        passphrase = self.secret("passphrase", "a passphrase of the benchmark\n")
        self.run("init", "--kit", self.home / "kit", "--passphrase-file", passphrase)
        self.env["HOLDFAST_RECOVERY_KIT_FILE"] = str(self.home / "kit")
        return self


class Service:
    def __init__(self, work):
        self.out, log = work / "service.out", open(work / "service.log", "w")
        command = [PROGRAMS / "holdfast-vault", "serve", "--data", work / "service", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=open(self.out, "w"), stderr=log)
        while "one-time token" not in (said := self.out.read_text()):
            time.sleep(0.05)
        self.url = re.search(r"vault service at (\S+)", said)[1]
        self.authority = re.search(r"\(SHA-256\) (\S+)", said)[1]
        self.one_time = re.search(r"one-time token (\S+)", said)[1]

    def owner(self, home):
        user = User(home, self.url)
        user.run("login", self.url, "--fingerprint", self.authority, "--token-file", user.secret("one-time", self.one_time))
        return user.own()

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def seconds(user, *arguments):
    started = time.time()
    user.run(*arguments)
    return time.time() - started


def one_round(user, work):
    backup = ["backup", DATA, "--item", "bench"]
    times = {"first": seconds(user, *backup), "unchanged": seconds(user, *backup)}
    times["restore"] = seconds(user, "restore", "latest", "--to", work / "out")
    shutil.rmtree(work / "out")
    times["check"] = seconds(user, "check", "--read-data")
    return times


def throughput():
    rounds = {"embedded": [], "service": []}
    subprocess.run(["tar", "cf", "/dev/null", "--ignore-failed-read", str(DATA)], stderr=subprocess.DEVNULL)
    for number in range(ROUNDS):
        # Either first, by turns.
        for kind in sorted(rounds, reverse=number % 2 == 1):
            work = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-service-"))
            if kind == "embedded":
                rounds[kind].append(one_round(User(work / "home", work / "vault").own(), work))
            else:
                service = Service(work)
                rounds[kind].append(one_round(service.owner(work / "home"), work))
                print(f"    service: {service.peak_mib():.0f} MiB at most")
                service.end()
            shutil.rmtree(work)
    for phase in rounds["embedded"][0]:
        times = {kind: [each[phase] for each in rounds[kind]] for kind in rounds}
        ratio = statistics.median(times["embedded"]) / statistics.median(times["service"])
        shown = {kind: " ".join(f"{time:.2f}" for time in times[kind]) for kind in times}
        print(f"{phase:10} embedded {shown['embedded']}   service {shown['service']}   throughput of the service {ratio:.2f}")


def memory(agents):
    work = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-service-"))
    service = Service(work)
    owner = service.owner(work / "home")
    users = []
    for number in range(agents):
        token = work / f"token-{number}"
        owner.run("agent", "token", f"machine-{number}", "--to", token)
        user = User(work / f"machine-{number}", service.url)
        user.run("agent", "enroll", "--token-file", token)
        tree = user.home / "tree"
        tree.mkdir()
        for file in range(AGENT_MIB):
            (tree / str(file)).write_bytes(os.urandom(1 << 20))
        users.append((user, tree))
    started = time.time()
    running = [user.begin("backup", tree, "--item", "bench") for user, tree in users]
    for process in running:
        out, said = process.communicate()
        if process.returncode != 0:
            sys.exit(f"{out}\n{said}")
    took = time.time() - started
    print(f"{agents:4} agents: {agents * AGENT_MIB} MiB in {took:.1f} s; the service at most {service.peak_mib():.0f} MiB")
    service.end()
    shutil.rmtree(work)


if ROUNDS:
    throughput()
for agents in AGENTS:
    memory(agents)
