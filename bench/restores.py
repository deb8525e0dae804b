#!/usr/bin/env python3
"""Restores of one tree by several tools, by turns, where nothing was deleted shortly before.

    bench/restores.py DIRECTORY TREE [--tools NAME,NAME] [--toolfile FILE ...] [--rounds N] [--rest SECONDS] [--json FILE]

Run it as root. DIRECTORY must not exist; everything is made in it and removed at the end. Each tool backs the tree up once. Then nothing is deleted
for a while, for ext4 without a journal searches past every inode that was deleted within the last five minutes whenever a file is made,
and so what is measured would be what the tool before it has left behind. Then the tools restore by turns, the page cache dropped before each, each
time into an empty directory of its own, and no restored tree is removed before the last one is there.
"""
import json, pathlib, shutil, statistics, sys, time

import measure


def arguments():
    parser = measure.parser(__doc__, 1800, "directory", "tree")
    parser.add_argument("--rounds", type=int, default=3, help="[3]")
    parser.add_argument("--rest", type=int, default=330, help="seconds in which nothing is deleted [330]")
    return parser.parse_args()


def restore(tool, number):
    tool.values["out"] = str(tool.place / f"out-{number}")
    pathlib.Path(tool.values["out"]).mkdir()
    if "last" in tool.description:
        tool.values["last"] = tool.told(tool.description["last"])[0]
    return tool.measured(tool.description["restore"])


def main():
    wanted = arguments()
    measure.can_be_ended()
    own = pathlib.Path(__file__).resolve().parent / "holdfast.py"
    names = wanted.tools.split(",")
    known = measure.tools([own, *wanted.toolfile], names)
    tree = wanted.tree.resolve()
    bytes_of_tree = sum(path.lstat().st_size + 4096 for path in tree.rglob("*"))
    needed = len(names) * (wanted.rounds + 1) * bytes_of_tree
    measure.fresh(wanted.directory, needed, f"{wanted.rounds} rounds of {len(names)} tools and their repositories")
    figures = {name: [] for name in names}
    try:
        tools = [measure.Tool(name, known[name], wanted.directory.resolve() / name, tree, wanted.timeout) for name in names]
        for tool in tools:
            tool.measured(tool.description["init"])
            tool.measured(tool.description["backup"])
            print(f"{tool.name}: {tool.repository_mib():.0f} MiB", flush=True)
        time.sleep(wanted.rest)
        for number in range(wanted.rounds):
            turn = number % len(tools)
            for tool in tools[turn:] + tools[:turn]:
                figures[tool.name].append(restore(tool, number))
                print(f"round {number + 1}, {tool.name}: {figures[tool.name][-1]}", flush=True)
    except measure.Failed as error:
        sys.exit(str(error))
    finally:
        if wanted.json:
            wanted.json.write_text(json.dumps(figures, indent=1))
        shutil.rmtree(wanted.directory)
    for name, each in figures.items():
        wall, cpu, peak = (statistics.median(one[key] for one in each) for key in ("wall", "cpu", "peak_mib"))
        print(f"{name:20} {wall:6.1f} s wall {cpu:6.1f} s processor {peak:7.0f} MiB")


main()
