#!/bin/sh
# Log one event in the fleet of the folder that this is called in, and bring events.log there up to date.
#
#   scripts/log_event.sh [--allow-secret] INTERACTION ACTOR TYPE CONTENT
#   scripts/log_event.sh 1 "Agent A" question "How do I start the MCP server?"
#
# Content is data, whatever it holds: it goes through a pipe and is never evaluated. Each actor is an agent of its
# own, with its own key; its first event makes it a member, and the folder a fleet if it is none yet. The event is
# on the local disk before this ends with 0; other exit codes are gitcoord's (2: wrong use). What looks like a secret is
# refused, unless --allow-secret stands first.

set -eu

# A relative or empty entry of PATH means the folder that this is called in, whose files may be anybody's.
safe='' IFS=: && set -f
for entry in $PATH; do
    case $entry in /*) safe=$safe${safe:+:}$entry ;; esac
done
unset IFS && set +f
PATH=$safe

usage() {
    echo "usage: ${0##*/} [--allow-secret] INTERACTION ACTOR TYPE CONTENT      (INTERACTION: a number, or new)" >&2
    exit 2
}

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

allow=
if [ "${1-}" = --allow-secret ]; then
    allow=$1
    shift
fi
[ $# -eq 4 ] || usage
case $1 in
    new) ;;
    '' | *[!0-9]*) usage ;;
esac
find_gitcoord

name=$(printf '%s' "$2" | tr '[:upper:]' '[:lower:]')
home=$(git rev-parse --git-common-dir 2>/dev/null)/gitcoord || home=
case $name in
    '' | */*) known= ;; # no agent's name: init says so
    *) known=$home/keys/$name.key ;;
esac
if [ -z "$known" ] || [ ! -e "$home/config.json" ] || [ ! -e "$known" ]; then
    gitcoord init --agent "$2" --yes >&2
fi

# `-`: standard input. gitcoord takes one newline off its end: the one that is added here.
printf '%s\n' "$4" | gitcoord append ${allow:+"$allow"} --interaction "$1" --as "$2" -- "$3" -
gitcoord snapshot --files log --no-sync >/dev/null
