#!/bin/sh
# Write communication.md (the last K interactions), archive.md (the older ones) and events.log into this folder.
#
#   scripts/generate_snapshot.sh [K]        (K: 1 to 100; else the fleet's setting, 3)
#
# The last good page is kept as communication.md.bak. Files that would not change are not touched.

set -eu

# `gitcoord` from the PATH, else from the tree that this script stands in.
find_gitcoord() {
    if command -v gitcoord >/dev/null 2>&1; then
        return
    fi
    tree=$(cd "$(dirname "$0")/.." && pwd -P)
    for python in "$tree"/.environments/*/bin/python python3; do
        if [ -d "$tree/gitcoord" ] && PYTHONPATH=$tree "$python" -c 'import click, git, nacl' >/dev/null 2>&1; then
            gitcoord() { PYTHONPATH=$tree "$python" -m gitcoord "$@"; }
            return
        fi
    done
    echo "${0##*/}: gitcoord is not installed: pip install it, or put it on the PATH" >&2
    exit 1
}

case $#,${1-} in
    0,) ;;
    1,*[!0-9]* | 1, | [!01],*)
        echo "usage: ${0##*/} [K]" >&2
        exit 2
        ;;
esac
find_gitcoord
gitcoord snapshot --files all ${1:+-k "$1"}
