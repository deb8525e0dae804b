#!/usr/bin/env python3
"""One large file: a database of which a hundredth of the pages changes, or a sparse file.

    bench/large.py database|sparse DIRECTORY --toolfile FILE [--toolfile FILE ...] --tools NAME,NAME [--gib N]

DIRECTORY must not exist; everything is made in it and removed at the end, each tool's repository before the next tool's turn. Tool files are
those of the side-by-side benchmark (see README.md). The page cache is dropped before each command where that is allowed.
Prints for each tool: wall seconds, processor seconds and peak MiB of the first backup and of the one after the change, MiB of the
repository after the first, and MiB that the second added.
"""
import argparse, os, pathlib, random, shutil, subprocess, sys, time

PAGE = 8192
SPARSE_TIMES = 50  # a sparse file is so many times as long as its data


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["database", "sparse"])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--toolfile", action="append", default=[], required=True)
    parser.add_argument("--tools", required=True)
    parser.add_argument("--gib", type=float, default=4, help="GiB of data [4]")
    return parser.parse_args()


def tools(files):
    base = os.path.abspath(os.environ.get("PEERS") or os.path.expanduser("~/.cache/peers"))
    known = {}
    for file in files:
        names = {"BASE": base, "B": f"{base}/bin", "__name__": "toolfile"}
        exec(open(file).read(), names)
        known.update(names["TOOLS"])
    return known


def page(numbers):
    """A page of rows: ids that grow, words, and numbers that do not compress."""
    row = b"".join(b"%010d|customer %08x|%s|" % (numbers.getrandbits(30), numbers.getrandbits(32), numbers.randbytes(24)) for _ in range(PAGE // 64))
    return row[:PAGE].ljust(PAGE, b"\0")


def make(path, kind, data_bytes):
    numbers = random.Random(1)
    # Making every page from rows takes minutes: a thousand are made, and each is numbered and salted where it stands.
    stock = [page(numbers) for _ in range(1000)]
    with open(path, "wb") as file:
        step = PAGE * (SPARSE_TIMES if kind == "sparse" else 1)
        # Runs of data with holes between them, as virtual disks have them.
        run = 256
        for first in range(0, data_bytes // PAGE, run):
            file.seek(first * step)
            file.write(b"".join(salted(stock, numbers, number) for number in range(first, first + run)))
        file.truncate(data_bytes // PAGE * step)


def salted(stock, numbers, number):
    return number.to_bytes(8, "big") + numbers.randbytes(1500) + stock[number % 1000][1508:]


def change(path, kind, data_bytes):
    """A hundredth of the pages, anywhere among them."""
    numbers = random.Random(2)
    stock = [page(numbers) for _ in range(1000)]
    step = PAGE * (SPARSE_TIMES if kind == "sparse" else 1)
    with open(path, "r+b") as file:
        for number in sorted(numbers.sample(range(data_bytes // PAGE), data_bytes // PAGE // 100)):
            first = number // 256 * 256
            file.seek(first * step + (number - first) * PAGE)
            file.write(salted(stock, numbers, number))


def measured(command, environment, log):
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except PermissionError:
        pass
    started = time.monotonic()
    process = subprocess.Popen(["/bin/bash", "-euo", "pipefail", "-c", command], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        said = pathlib.Path(log.name).read_text(errors="replace")[-2000:]
        sys.exit(f"{command}: {os.waitstatus_to_exitcode(status)}\n{said}")
    return time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def mebibytes(directory):
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink()) / 2**20


def run(name, tool, place, source, again):
    values = {"t": name, "src": str(source), "repo": str(place / "repo"), "cache": str(place / "cache"), "out": "", "first": "", "last": ""}
    environment = {"PATH": os.environ["PATH"], "HOME": values["cache"], "LC_ALL": "C.UTF-8", "TMPDIR": str(place)}
    environment |= {f"XDG_{kind}_HOME": values["cache"] for kind in ("CACHE", "CONFIG", "DATA")}
    environment |= {key: value.format(**values) for key, value in tool.get("env", {}).items()}
    (place / "cache").mkdir(parents=True)
    with open(place.parent / f"{name}.log", "w") as log:
        measured(tool["init"].format(**values), environment, log)
        first = measured(tool["backup"].format(**values), environment, log)
        size = mebibytes(place / "repo")
        again()
        second = measured(tool["backup"].format(**values), environment, log)
    grown = mebibytes(place / "repo") - size
    shutil.rmtree(place)
    told = "  ".join(f"{wall:6.1f} s {cpu:6.1f} s {peak:5.0f} MiB" for wall, cpu, peak in (first, second))
    print(f"{name:18} {told}   {size:6.0f} MiB {grown:+6.0f} MiB", flush=True)


def main():
    wanted = arguments()
    known, data_bytes = tools(wanted.toolfile), int(wanted.gib * 2**30) // (256 * PAGE) * (256 * PAGE)
    parent = wanted.directory.absolute().parent
    free, needed = shutil.disk_usage(parent).free, 3 * data_bytes
    if free < needed:
        sys.exit(f"{parent} has {free >> 20} MiB free, and {needed >> 20} MiB are needed (--gib takes less)")
    wanted.directory.mkdir()
    try:
        source = wanted.directory / "source"
        source.mkdir()
        print(f"{wanted.kind}: {data_bytes >> 20} MiB of data; first backup, then after 1 % of the pages changed: wall, processor, peak; repository, growth")
        for name in wanted.tools.split(","):
            make(source / "file", wanted.kind, data_bytes)
            run(name, known[name], wanted.directory / name, source, lambda: change(source / "file", wanted.kind, data_bytes))
    finally:
        shutil.rmtree(wanted.directory)


if __name__ == "__main__":
    main()
