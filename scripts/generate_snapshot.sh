#!/bin/sh
# Write communication.md (the last K interactions), archive.md (the older ones) and events.log into this folder.
#
#   scripts/generate_snapshot.sh [K]        (K: 1 to 100; else the fleet's setting, 3)
#
# The last good page is kept as communication.md.bak. Files that would not change are not touched.

set -eu

# A relative or empty entry of PATH means the folder that this is called in, whose files may be anybody's.
safe='' IFS=: && set -f
for entry in $PATH; do
    case $entry in /*) safe=$safe${safe:+:}$entry ;; esac
done
unset IFS && set +f
PATH=$safe

# `gitcoord` from the PATH, else from the tree that this script stands in.
find_gitcoord() {
    if command -v gitcoord >/dev/null 2>&1; then
        return
    fi
    tree=$(cd "$(dirname "$0")/.." && pwd -P)
    for python in "$tree"/.environments/*/bin/python python3; do
        # -I: nothing of the folder that this is called in is run.
        if [ -d "$tree/gitcoord" ] && "$python" -I -c 'import click, git, nacl' >/dev/null 2>&1; then
            gitcoord() { "$python" -I "$tree/gitcoord/__main__.py" "$@"; }
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
