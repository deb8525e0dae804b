#!/usr/bin/env python3
"""First backups of one tree from a disk that turns, by several tools.

    bench/spinning.py DIRECTORY TREE [--tools NAME,NAME] [--toolfile FILE ...] [--json FILE]

Run it as root, with a C compiler, libfuse3's headers and mkfs.ext4. DIRECTORY must not exist; everything is made in it and removed at the end.
The tree is copied to an ext4 image, at full speed; then the image is read through `spinning_disk.c`, which takes as long as a disk with one arm,
below a loop device with the kernel's usual settings for such a disk. Repositories lie beside the image, on the disk that is there.
"""
import contextlib, json, pathlib, shutil, subprocess, sys, time

import measure

OWN = pathlib.Path(__file__).resolve().parent


def run(*command):
    subprocess.run(list(map(str, command)), check=True)


def mounted(device, place, *options):
    """Mounts it, and answers what undoes that."""
    place.mkdir(exist_ok=True)
    run("mount", *options, device, place)
    return lambda: run("umount", place)


def turning(image, place, undo):
    """The device of the image as a disk that turns, and what that tells."""
    place.mkdir()
    program = place.parent / "spinning_disk"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True, capture_output=True, text=True).stdout.split()
    run("cc", "-O2", "-o", program, OWN / "spinning_disk.c", *flags, "-lm", "-lpthread")
    # Ctrl-C is for the script: it ends the disk once nothing stands on it.
    process = subprocess.Popen([program, image, place], start_new_session=True)
    undo.callback(end, process, place)
    while not (place / "disk").exists():
        if process.poll() is not None:
            sys.exit("the disk does not turn")
        time.sleep(0.05)
    losetup = ["losetup", "--find", "--show", "--direct-io=on", str(place / "disk")]
    device = subprocess.run(losetup, check=True, capture_output=True, text=True).stdout.strip()
    undo.callback(run, "losetup", "-d", device)
    settings = pathlib.Path("/sys/block", pathlib.Path(device).name, "queue")
    for name, value in {"scheduler": "mq-deadline", "rotational": "1", "read_ahead_kb": "128"}.items():
        (settings / name).write_text(value)
    return device, place / "told"


def end(process, place):
    subprocess.run(["umount", place], stderr=subprocess.DEVNULL)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        subprocess.run(["umount", "-l", place])


def first(tool, told):
    tool.told(tool.description["init"])
    told.write_text("begin")
    return tool.measured(tool.description["backup"]) | json.loads(told.read_text())


def shown(figures):
    return "{wall:7.1f} s, of which the disk {busy:.1f}; {seeks} seeks, {requests} requests, {mib} MiB, peak {peak_mib} MiB".format(**figures)


def main():
    wanted = measure.parser(__doc__, 3600, "directory", "tree").parse_args()
    measure.can_be_ended()
    known = measure.tools([OWN / "holdfast.py", *wanted.toolfile], wanted.tools.split(","))
    tree = wanted.tree.resolve()
    bytes_of_tree = sum(path.lstat().st_size + 4096 for path in tree.rglob("*"))
    measure.fresh(wanted.directory, 3 * bytes_of_tree, "the image, a repository, and room for more")
    directory, figures = wanted.directory.resolve(), {}
    try:
        image = directory / "image"
        image.touch()
        with open(image, "r+") as file:
            file.truncate(2 * bytes_of_tree + (1 << 30))
        run("mkfs.ext4", "-q", "-F", "-i", 4096, image)
        with contextlib.ExitStack() as undo:
            undo.callback(mounted(image, directory / "plain", "-o", "loop"))
            run("cp", "-a", tree, directory / "plain/tree")
        with contextlib.ExitStack() as undo:
            device, told = turning(image, directory / "turning", undo)
            undo.callback(mounted(device, directory / "disk", "-o", "ro,noatime"))
            source = directory / "disk/tree"
            measure.in_turn(known, directory, source, wanted.timeout, lambda tool, _: [("first", first(tool, told))], shown, figures)
    finally:
        if wanted.json:
            wanted.json.write_text(json.dumps(figures, indent=1))
        shutil.rmtree(directory)


main()
