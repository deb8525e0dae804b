#!/usr/bin/env python3
"""Many small files: 100 to 1,000 bytes each, a hundred in a directory.

    bench/many.py DIRECTORY [--files N] [--tools NAME,NAME] [--toolfile FILE ...] [--json FILE] [--timeout SECONDS]

Run it as root. DIRECTORY must not exist; an image of a btrfs file system, which keeps such files within its metadata, is made and mounted
in it, and everything is removed at the end, each tool's repository before the next tool's turn. The page cache is dropped before each phase:

    first       the first backup
    unchanged   again
    changed     again, after one file of 1,000 was rewritten, one of 10,000 removed, and as many made
    one         one file that was rewritten is restored, and compared
    diff        what differs between the first and the last point: it must name as many as there are

Holdfast alone takes part unless tools are named. Other tools are described in files of the side-by-side benchmark (see README.md); how they
restore one file and what they call a difference stands here.
Prints for each phase wall seconds, processor seconds, and peak MiB of the tool's processes together, and how much of that no file stands behind.
"""
import hashlib, itertools, json, multiprocessing, os, pathlib, random, re, shutil, signal, subprocess, sys, time

import measure

IN_DIRECTORY = 100
DIRECTORIES_IN_GROUP = 1000
SMALLEST, LARGEST = 100, 1000
# What a file takes in the image, and in the largest repository of a known tool with its cache, and what both take without any.
IMAGE_BYTES, REPOSITORY_BYTES, ANYWAY_BYTES = 1600, 1100, 600 << 20

MORE = {
    "restic": dict(
        one="{B}/restic restore --quiet latest --target {out} --include {path}",
        last="{B}/restic snapshots latest --json | jq -r '.[0].id'",
        diff="{B}/restic diff {first} {last}",
    ),
    "rustic": dict(
        one="{B}/rustic restore latest:{path} {out}",
        diff="{B}/rustic diff {first} latest",
    ),
    "bupstash": dict(
        one="{B}/bupstash get -q --pick {inner} id={last} > {out}/one",
        diff="{B}/bupstash diff -q id={first} :: id={last}",
    ),
}


def arguments():
    parser = measure.parser(__doc__, 7200, "directory")
    parser.add_argument("--files", type=int, default=10_000_000, help="[10,000,000]")
    wanted = parser.parse_args()
    if wanted.files < 1000:
        parser.error("fewer than 1000 files are not many")
    return wanted


class Image:
    """A file system in a sparse file, mounted for as long as it is needed."""

    def __init__(self, directory, bytes_):
        self.file, self.mounted = directory / "image", directory / "source"
        self.bytes = bytes_

    def __enter__(self):
        self.mounted.mkdir()
        with open(self.file, "wb") as file:
            file.truncate(self.bytes)
        made = subprocess.run(["mkfs.btrfs", "-q", "-m", "single", "-d", "single", self.file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode != 0:
            sys.exit(made.stdout)
        subprocess.run(["mount", "-o", "loop,noatime,max_inline=2048,discard=async", self.file, self.mounted], check=True)
        return self

    def __exit__(self, *_):
        # What was ended a moment ago may still hold it.
        for _ in range(50):
            if not os.path.ismount(self.mounted) or subprocess.run(["umount", self.mounted], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.2)
        sys.exit(f"{self.mounted} cannot be unmounted: 'umount {self.mounted}', then remove {self.file.parent}")

    def mib(self):
        os.sync()
        return self.file.stat().st_blocks * 512 / 2**20


class Files:
    """The tree. What is in a file follows from its number and its version."""

    def __init__(self, root, count):
        self.root, self.count, self.text = root, count, text()

    def path(self, number):
        group, directory = divmod(number // IN_DIRECTORY, DIRECTORIES_IN_GROUP)
        return f"{self.root}/group-{group:03}/{directory:03}/note-{number:08}.txt"

    def content(self, number, version):
        drawn = hashlib.blake2b(b"%d %d" % (number, version), digest_size=12).digest()
        length = SMALLEST + int.from_bytes(drawn[:4]) % (LARGEST - SMALLEST + 1)
        start = int.from_bytes(drawn[4:8]) % (len(self.text) - LARGEST)
        head = b"%s %d\n" % (drawn[8:].hex().encode(), number)
        return head + self.text[start : start + length - len(head)]

    def write(self, number, version):
        file = os.open(self.path(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(file, self.content(number, version))
        os.close(file)

    def make_directory(self, first):
        os.makedirs(os.path.dirname(self.path(first)))
        for number in range(first, min(first + IN_DIRECTORY, self.count)):
            self.write(number, 0)

    def make(self):
        with multiprocessing.Pool(os.cpu_count(), initializer=left_to_their_parent) as pool:
            for _ in pool.imap_unordered(self.make_directory, range(0, self.count, IN_DIRECTORY), chunksize=50):
                pass

    def change(self, turn):
        """Rewrites, removes and makes files, others in each tool's turn."""
        numbers, few = random.Random(turn), max(self.count // 10_000, 1)
        rewritten = numbers.sample(range(0, self.count, 2), self.count // 1000)
        removed = numbers.sample(range(1, self.count, 2), few)
        made = [f"{self.path(number)}.{turn}" for number in numbers.sample(range(self.count), few)]
        for number in rewritten:
            self.write(number, turn)
        for number in removed:
            os.unlink(self.path(number))
        for path in made:
            pathlib.Path(path).write_bytes(self.content(0, turn))
        return rewritten, removed, made

    def settle(self, changes):
        """As many files as before the change, for the next tool."""
        _, removed, made = changes
        for number in removed:
            self.write(number, 0)
        for path in made:
            os.unlink(path)


def text():
    """32 MiB of words, common ones more often, and of numbers, which compress about as notes and source files do."""
    numbers = random.Random(1)
    words = ["".join(numbers.choices("etaoinshrdlucmfwypvbgk", k=numbers.choice((2, 3, 4, 5, 6, 7, 8, 10)))) for _ in range(5000)]
    words += [f"{numbers.getrandbits(20)}" for _ in range(1000)]
    often = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))
    lines = (" ".join(numbers.choices(words, cum_weights=often, k=12)) for _ in range(32 << 20 >> 6))
    return "\n".join(lines).encode()


def left_to_their_parent():
    """Ctrl-C and SIGTERM are for whoever started the processes: it ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def phases(tool, files, turn):
    """Runs the phases one after the other and gives the figures of each when it is done."""
    more = MORE.get(tool.name, {}) | tool.description
    tool.measured(more["init"])
    yield "first", tool.measured(more["backup"]) | {"repository_mib": round(tool.repository_mib(), 1)}
    yield "unchanged", tool.measured(more["backup"])
    changes = files.change(turn)
    yield "changed", tool.measured(more["backup"]) | {"repository_mib": round(tool.repository_mib(), 1)}
    rewritten, removed, made = changes
    if "one" in more:
        tool.values |= {which: (tool.told(more[which]) or [""])[0] for which in ("first", "last") if which in more}
        path = files.path(rewritten[0])
        figures = tool.measured(more["one"], path=path, inner=os.path.relpath(path, files.root))
        restored = [path for path in (tool.place / "out").rglob("*") if path.is_file()]
        if [path.read_bytes() for path in restored] != [files.content(rewritten[0], turn)]:
            raise measure.Failed(f"restored was {restored}, and not what is in {path}")
        yield "one", figures
    if "diff" in more:
        figures = tool.measured(more["diff"])
        named = set(re.findall(r"note-\d{8}\.txt(?:\.\d+)?", tool.said.read_text()))
        expected = {os.path.basename(path) for path in [*map(files.path, rewritten + removed), *made]}
        if named != expected:
            raise measure.Failed(f"{len(named)} names differ, and {len(expected)} were expected")
        yield "diff", figures
    files.settle(changes)


def run(wanted, tools, result):
    with Image(wanted.directory, image_bytes(wanted.files)) as image:
        files, started = Files(image.mounted / "tree", wanted.files), time.monotonic()
        files.make()
        print(f"{wanted.files} files in {-(-wanted.files // IN_DIRECTORY)} directories: {image.mib():.0f} MiB, made in {time.monotonic() - started:.0f} s")
        print(f"{'tool':12} {'phase':10} {'wall s':>8} {'cpu s':>8} {'peak MiB':>9} {'anonymous':>9} {'load':>11}  repository MiB", flush=True)
        result |= {"image_mib": round(image.mib())}
        shown = "{wall:8.1f} {cpu:8.1f} {peak_mib:9.0f} {anonymous_mib:9.0f} {load[0]:5.1f} {load[1]:5.1f}"
        line = lambda figures: f"{shown.format(**figures)}  {figures.get('repository_mib', '')}"
        each = lambda tool, turn: phases(tool, files, turn)
        measure.in_turn(tools, wanted.directory, files.root, wanted.timeout, each, line, result["tools"])
        print(f"the image in the end: {image.mib():.0f} MiB")


def image_bytes(files):
    return max(files * IMAGE_BYTES, 256 << 20) + ANYWAY_BYTES


def main():
    wanted = arguments()
    measure.can_be_ended()
    if os.geteuid() != 0:
        sys.exit("making and mounting a file system needs root")
    tools = measure.tools([pathlib.Path(__file__).parent / "holdfast.py", *wanted.toolfile], wanted.tools.split(","))
    needed = image_bytes(wanted.files) + wanted.files * REPOSITORY_BYTES + ANYWAY_BYTES
    wanted.directory = wanted.directory.absolute()
    measure.fresh(wanted.directory, needed, f"for {wanted.files} files; --files takes fewer")
    result = {"files": wanted.files, "tools": {}}
    try:
        run(wanted, tools, result)
    finally:
        if not os.path.ismount(wanted.directory / "source"):
            shutil.rmtree(wanted.directory)
        if wanted.json:
            wanted.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
