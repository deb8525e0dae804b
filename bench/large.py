#!/usr/bin/env python3
"""One large file: a database of which a hundredth of the pages changes, or a sparse file.

    bench/large.py database|sparse DIRECTORY --toolfile FILE [--toolfile FILE ...] --tools NAME,NAME [--gib N] [--json FILE] [--timeout SECONDS]

DIRECTORY must not exist; everything is made in it and removed at the end, each tool's repository before the next tool's turn. Tool files are
those of the side-by-side benchmark (see README.md). The page cache is dropped before each command where that is allowed.
Prints for the first backup and for the one after the change wall seconds, processor seconds, peak MiB of the tool's processes together (and
how much of that no file stands behind), and MiB that the repository grew by. A tool that fails or takes too long is told of, and the next
one has its turn.
"""
import argparse, json, pathlib, random, shutil

import measure

PAGE = 8192
SALT = 1500  # bytes of each page that are its own
STOCK = 16 << 20
RUN = 256  # pages that lie together in a sparse file
SPARSE_TIMES = 50  # a sparse file is so many times as long as its data


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["database", "sparse"])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--toolfile", action="append", default=[], required=True)
    parser.add_argument("--tools", required=True)
    parser.add_argument("--gib", type=float, default=4, help="GiB of data [4]")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds after which a command is given up [1800]")
    return parser.parse_args()


def stock():
    """16 MiB of rows: words, and numbers that do not compress."""
    numbers = random.Random(1)
    rows = ((numbers.getrandbits(30), numbers.getrandbits(32), numbers.randbytes(24)) for _ in range(STOCK // 48))
    return b"".join(b"%010d|customer %08x|%s|" % row for row in rows)[:STOCK]


def page(rows, numbers, number):
    """A page with its number. Where it takes its rows from is random: pages that came back in the same order would be cut alike again and again."""
    start = numbers.randrange(STOCK - PAGE)
    return number.to_bytes(8, "big") + numbers.randbytes(SALT) + rows[start : start + PAGE - SALT - 8]


def make(path, kind, data_bytes):
    rows, numbers = stock(), random.Random(1)
    with open(path, "wb") as file:
        step = PAGE * (SPARSE_TIMES if kind == "sparse" else 1)
        # Runs of data with holes between them, as virtual disks have them.
        for first in range(0, data_bytes // PAGE, RUN):
            file.seek(first * step)
            file.write(b"".join(page(rows, numbers, number) for number in range(first, first + RUN)))
        file.truncate(data_bytes // PAGE * step)


def change(path, kind, data_bytes):
    """A hundredth of the pages, anywhere among them."""
    rows, numbers = stock(), random.Random(2)
    step = PAGE * (SPARSE_TIMES if kind == "sparse" else 1)
    with open(path, "r+b") as file:
        for number in sorted(numbers.sample(range(data_bytes // PAGE), data_bytes // PAGE // 100)):
            first = number // RUN * RUN
            file.seek(first * step + (number - first) * PAGE)
            file.write(page(rows, numbers, number))


def run(tool, kind, file, data_bytes):
    """Runs the phases one after the other and gives the figures of each when it is done."""
    make(file, kind, data_bytes)
    tool.measured(tool.description["init"])
    figures = tool.measured(tool.description["backup"])
    before = tool.repository_mib()
    yield "first", figures | {"stored_mib": round(before, 1)}
    change(file, kind, data_bytes)
    figures = tool.measured(tool.description["backup"])
    yield "changed", figures | {"stored_mib": round(tool.repository_mib() - before, 1)}


def main():
    wanted = arguments()
    measure.can_be_ended()
    known, data_bytes = measure.tools(wanted.toolfile, wanted.tools.split(",")), int(wanted.gib * 2**30) // (RUN * PAGE) * (RUN * PAGE)
    # The data, a repository in which nothing became smaller, and what tools put aside meanwhile.
    wanted.directory = wanted.directory.absolute()
    measure.fresh(wanted.directory, 3 * data_bytes, "--gib takes less")
    result = {"kind": wanted.kind, "data_mib": data_bytes >> 20, "tools": {}}
    try:
        source = wanted.directory / "source"
        source.mkdir()
        length = data_bytes * (SPARSE_TIMES if wanted.kind == "sparse" else 1)
        print(f"{wanted.kind}: one file of {length >> 20} MiB with {data_bytes >> 20} MiB of data; then 1 % of its pages changed")
        print(f"{'tool':12} {'phase':10} {'wall s':>8} {'cpu s':>8} {'peak MiB':>9} {'anonymous':>9} {'stored anew MiB':>15} {'load':>11}", flush=True)
        shown = "{wall:8.1f} {cpu:8.1f} {peak_mib:9.0f} {anonymous_mib:9.0f} {stored_mib:15.1f} {load[0]:5.1f} {load[1]:5.1f}"
        phases = lambda tool, _: run(tool, wanted.kind, source / "file", data_bytes)
        measure.in_turn(known, wanted.directory, source, wanted.timeout, phases, lambda figures: shown.format(**figures), result["tools"])
    finally:
        shutil.rmtree(wanted.directory)
        if wanted.json:
            wanted.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
