"""What the scripts here share: tools that are described in files, and a command's time and memory."""
import argparse, os, pathlib, re, shutil, signal, subprocess, sys, threading, time

PEERS = os.path.abspath(os.environ.get("PEERS") or os.path.expanduser("~/.cache/peers"))
LOOK_EVERY = 0.02
# Looking for new processes goes through all of /proc, which on a small machine would be felt by what is measured.
FIND_EVERY = 0.2


class Failed(Exception):
    """A command that ended with an error or took too long."""


def tools(files, names):
    """The tools of these names, as the files of the side-by-side benchmark describe them (see README.md)."""
    known = {}
    for file in files:
        own = {"BASE": PEERS, "B": f"{PEERS}/bin", "__name__": "toolfile"}
        exec(open(file).read(), own)
        known.update(own["TOOLS"])
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"not described in {', '.join(map(str, files))}: {', '.join(unknown)} (there are {', '.join(known)})")
    if served := [name for name in names if known[name].get("server")]:
        sys.exit(f"needs a server, which is not started here: {', '.join(served)}")
    return {name: known[name] for name in names}


def parser(description, timeout, *places):
    """What every script is told: the directories of these names, tools, and where to leave the figures."""
    asked = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for place in places:
        asked.add_argument(place, type=pathlib.Path)
    asked.add_argument("--toolfile", action="append", default=[], help="beside that of Holdfast")
    asked.add_argument("--tools", default="holdfast", help="[holdfast]")
    asked.add_argument("--json", type=pathlib.Path, help="file for the figures")
    asked.add_argument("--timeout", type=int, default=timeout, help=f"seconds after which a command is given up [{timeout}]")
    return asked


def can_be_ended():
    """Ctrl-C and SIGTERM end a script with everything cleaned up, and a second one does not disturb that."""
    ends = (signal.SIGINT, signal.SIGTERM)

    def end(number, _):
        for each in ends:
            signal.signal(each, lambda *_: None)
        sys.exit(128 + number)

    for each in ends:
        signal.signal(each, end)


class Memory(threading.Thread):
    """The largest sum of resident memory over a process and all that it started."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.peak, self.anonymous, self.ended = root, 0, 0, threading.Event()

    def run(self):
        found, tree = 0, [self.root]
        while not self.ended.wait(LOOK_EVERY):
            if time.monotonic() - found > FIND_EVERY:
                found, tree = time.monotonic(), self.tree()
            resident, anonymous, alone = zip(*map(self.of, tree))
            # What one process held at most is known to the kernel even if it was held between two looks.
            self.peak = max(self.peak, sum(resident), *alone)
            self.anonymous = max(self.anonymous, sum(anonymous))

    def tree(self):
        children = {}
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                parent = int(pathlib.Path("/proc", process, "stat").read_bytes().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(process))
            except OSError:
                pass  # It has ended.
        tree = [self.root]
        for process in tree:
            tree += children.get(process, [])
        return tree

    @staticmethod
    def of(process):
        """Resident KiB, those of them that no file stands behind, and the most that were ever resident."""
        try:
            told = dict(re.findall(r"^(VmRSS|RssAnon|VmHWM):\s+(\d+)", pathlib.Path("/proc", str(process), "status").read_text(), re.M))
        except OSError:
            told = {}
        return [int(told.get(key, 0)) for key in ("VmRSS", "RssAnon", "VmHWM")]


class Tool:
    """One tool with a repository, a home and a log of its own, all below one directory."""

    def __init__(self, name, description, place, source, timeout):
        self.name, self.description, self.place, self.timeout = name, description, place, timeout
        self.values = {"B": f"{PEERS}/bin", "t": name, "src": str(source), "first": "", "last": ""}
        self.values |= {part: str(place / part) for part in ("repo", "cache", "out")}
        for directory in ("cache", "out"):
            (place / directory).mkdir(parents=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.values["cache"], "LC_ALL": "C.UTF-8", "TMPDIR": str(place)}
        self.environment |= {f"XDG_{kind}_HOME": self.values["cache"] for kind in ("CACHE", "CONFIG", "DATA")}
        self.environment |= {key: self.filled(value) for key, value in description.get("env", {}).items()}

    def filled(self, template, **more):
        return template.format(**self.values, **more)

    def told(self, template):
        """What a command prints, word by word; it is not measured."""
        shell = ["/bin/bash", "-euo", "pipefail", "-c", self.filled(template)]
        return subprocess.run(shell, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout.split()

    def measured(self, template, **more):
        """Runs a command with a cold page cache (where dropping it is allowed). Its output is in `said`."""
        command, self.said = self.filled(template, **more), self.place / "said"
        os.sync()
        try:
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        except PermissionError:
            pass
        load, started = os.getloadavg()[0], time.monotonic()
        with open(self.said, "w") as said:
            shell = ["/bin/bash", "-euo", "pipefail", "-c", command]
            process = subprocess.Popen(shell, env=self.environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True)
        memory, late = Memory(process.pid), threading.Event()

        def give_up():
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(self.timeout, give_up)
        memory.start(), timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            timer.cancel()
            memory.ended.set()
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        wall = time.monotonic() - started
        if late.is_set():
            raise Failed(f"given up after {self.timeout} s: {command}")
        if process.returncode != 0:
            raise Failed(f"{command}: {process.returncode}\n{self.said.read_text(errors='replace')[-2000:]}")
        memory.join()
        return {
            "wall": round(wall, 2),
            "cpu": round(used.ru_utime + used.ru_stime, 2),
            "peak_mib": round(memory.peak / 1024, 1),
            "anonymous_mib": round(memory.anonymous / 1024, 1),
            "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        }

    def repository_mib(self):
        return mebibytes(self.place / "repo")

    def remove(self):
        shutil.rmtree(self.place)


def in_turn(known, directory, source, timeout, phases, shown, result):
    """Has each tool do all its phases, prints their figures and puts them into the result; its repository goes before the next one's turn.
    `phases` gets the tool and its number, and gives names with figures; `shown` makes a line of figures."""
    for turn, (name, description) in enumerate(known.items(), 1):
        tool = Tool(name, description, directory / name, source, timeout)
        told = result[name] = {"version": " ".join(tool.told(description["version"]))}
        try:
            for phase, figures in phases(tool, turn):
                told[phase] = figures
                print(f"{name:12} {phase:10} {shown(figures)}", flush=True)
        except Failed as failed:
            told["failed"] = str(failed)
            print(f"{name}: {failed}", flush=True)
        tool.remove()


def mebibytes(directory):
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink()) / 2**20


def fresh(directory, needed, advice):
    """Makes a directory that was not there, if so many bytes are free where it is to be."""
    if directory.exists() or not directory.parent.is_dir():
        sys.exit(f"{directory} must not exist, and {directory.parent} must")
    free = shutil.disk_usage(directory.parent).free
    if free < needed:
        sys.exit(f"{directory.parent} has {free >> 20} MiB free, and {needed >> 20} MiB are needed ({advice})")
    directory.mkdir()
